"""What may be asked of a pipeline, and what it makes of what is in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest
from river.linear_model import LogisticRegression

from millrace.models.identity.definition import describe
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import CommandError
from millrace.streams.control.commands import COMMANDS, check_form, spec_of
from millrace.streams.control.in_force import InForce

IN_FORCE = InForce(models=("tree", "line"), champion="tree", prefix="p.")


Asked = tuple[str, dict[str, str]]


def after(*asked: Asked) -> InForce:
    in_force = IN_FORCE
    for name, arguments in asked:
        in_force = spec_of(name).takes(in_force, arguments)
    return in_force


def skip(topic: str = "p.clean", partition: str = "0", offset: str = "7") -> Asked:
    return "skip", {"topic": topic, "partition": partition, "offset": offset}


def restore(definition: str = "", archived: str = "", version: str = "v") -> Asked:
    files = '{"0": ["prediction-learning", "1f9a", 20]}'
    whole = f'{{"definition": "{definition}", "files": {files}}}'
    return "restore", {"version": version, "archived": archived or whole}


DEPLOYED = replace(IN_FORCE, history=((1, "d1"),), description={"scope": "partition"})
LINE, TREE = ("promote", {"model": "line"}), ("promote", {"model": "tree"})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([LINE], {"champion": "line", "former": ("tree",)}),
        ([LINE, TREE], {"champion": "tree", "former": ("tree", "line")}),
        ([LINE, ("rollback", {})], {"champion": "tree", "former": ()}),
        ([LINE, TREE, ("rollback", {}), ("rollback", {})], {"champion": "tree", "former": ()}),
        ([("reset", {"model": "tree"})], {}),
        ([("pause", {})], {"is_paused": True}),
        ([("pause", {}), ("resume", {})], {"is_paused": False}),
        ([("promote", {"model": "line.challenger@7"})], {"champion": "line", "former": ("tree",)}),
        ([skip()], {"skipped": (("p.clean", 0, 7),)}),
        ([restore()], {}),
        ([("snapshot", {})], {}),
        ([skip("events"), skip()], {"skipped": (("p.events", 0, 7), ("p.clean", 0, 7))}),
    ],
)
def test_what_is_in_force(asked: list[Asked], expected: dict[str, Any]) -> None:
    """Each command changes what it says, and nothing else."""
    assert vars(after(*asked)) == vars(IN_FORCE) | {"served": ANY, "paused_at": ANY} | expected


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([TREE], "another than the champion; got 'tree'"),
        ([("promote", {"model": "bush"})], "one of tree, line; got 'bush'"),
        ([("reset", {"model": "bush"})], "one of tree, line; got 'bush'"),
        ([("rollback", {})], "no champion before 'tree'"),
        ([("resume", {})], "not paused"),
        ([("pause", {}), ("pause", {})], "paused already"),
        ([("promote", {"model": "line.challenger@deploy7"})], r"a deploy \(none yet\); got 'line"),
        ([("promote", {"model": "line.challenger@deployed"})], "name a challenger after"),
        ([("promote", {"model": "tree.challenger@deploy" + "9" * 5_000})], "a challenger after"),
        ([("promote", {"model": "tree.challenger@"})], "name a challenger after"),
        ([skip("p.q.clean")], "topic must be that of a source, or one of p.events, .*'p.q.clean'"),
        ([skip("p.commands")], "topic must be that of a source, or one of"),
        ([skip("p.control")], "topic must be that of a source, or one of"),
        ([skip(partition="-1")], "partition must be a number of at least 0; got '-1'"),
        ([skip(offset="7.0")], "offset must be a number of at least 0; got '7.0'"),
        ([skip(offset="\u0667")], "offset must be a number of at least 0"),
        ([skip(offset="9" * 5_000)], "offset must be a number of at least 0"),
        ([skip(), skip("clean")], "not skipped yet"),
        ([restore("d2")], "definition in force, ''; it was made under 'd2'. Deploy that one first"),
        ([restore(archived="{}")], "archived must be what `millrace restore` makes"),
        ([restore(archived='{"definition": "", "files": {}}')], "archived must be what"),
        ([restore(archived='{"definition": "", "files": {"0": ["a", "b"]}}')], "archived must be"),
        (
            [restore(archived='{"definition": "", "files": {"0": ["a", "b", 1.5]}}')],
            "archived must",
        ),
        (
            [restore(archived='{"definition": "", "files": {"0": ["../a", "b", 1]}}')],
            "archived must",
        ),
        (
            [restore(archived='{"definition": "", "files": {"x": ["a", "b", 1]}}')],
            "archived must be",
        ),
        (
            [restore(archived='{"definition": 7, "files": {"0": ["a", "b", 1]}}')],
            "archived must be",
        ),
        ([restore(archived="[" * 100_000)], "archived must be what"),
        ([restore(version="../v")], "archived must be what"),
    ],
)
def test_what_does_not_fit_is_refused(asked: list[Asked], says: str) -> None:
    """The error names what is wrong, and what there is."""
    with pytest.raises(CommandError, match=says):
        after(*asked)


def test_a_version_is_of_the_definition_in_force() -> None:
    """And of models that each serve many keys: those of a key come and go."""
    name, arguments = restore("d1")
    takes = spec_of(name).takes
    assert takes(DEPLOYED, arguments) == DEPLOYED
    drifting = replace(DEPLOYED, history=((1, "d1"), (2, "d1?drift.policy=reset")))
    assert takes(drifting, arguments) == drifting
    assert takes(DEPLOYED, restore("d1?drift.policy=reset")[1]) == DEPLOYED
    with pytest.raises(CommandError, match="'d1'; it was made under ''"):
        takes(DEPLOYED, restore()[1])
    with pytest.raises(CommandError, match=r"scope must be global or partition .*; got 'key'"):
        takes(replace(DEPLOYED, description={"scope": "key"}), arguments)


def test_a_challenger_of_the_champion_may_be_promoted() -> None:
    """It takes the place of its incumbent, which serves."""
    assert after(("promote", {"model": "tree.challenger@7"})).champion == "tree"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("promte", {}, "one of .*promote, .*; got 'promte'"),
        ("promote", {}, "argument model, the candidate that serves .*; got no arguments"),
        ("promote", {"model": ""}, "argument model"),
        ("pause", {"model": "tree"}, "pause must have no arguments; got the arguments 'model'"),
        ("promote", {"model": "tree", "now": "1"}, "must have the arguments 'model'; got"),
    ],
)
def test_the_form_of_a_command(name: str, arguments: dict[str, str], says: str) -> None:
    """A command has the arguments that it takes, all of them and no others."""
    with pytest.raises(CommandError, match=says):
        check_form(name, arguments)


def test_every_command_says_what_it_does() -> None:
    """Their sentences are the help of the command line."""
    assert all(each.does.endswith(".") for each in COMMANDS.values())


def test_so_many_are_skipped_at_most() -> None:
    """The oldest are forgotten: nobody folds them any more."""
    in_force = after(*[skip(offset=str(each)) for each in range(10_002)])
    assert [each[2] for each in in_force.skipped] == [*range(2, 10_002)]


def test_what_was_in_force_before() -> None:
    """Behind each command there was a champion, and models learned or did not."""
    in_force = IN_FORCE
    for name, arguments in (LINE, ("pause", {}), ("rollback", {}), ("resume", {}), LINE):
        changed = spec_of(name).takes(in_force, arguments)
        in_force = replace(changed, number=in_force.number + 1)
    assert [in_force.at(number)[2:] for number in range(7)] == [
        ("", False),
        ("line", False),
        ("line", True),
        ("tree", True),
        ("tree", False),
        ("line", False),
        ("line", False),
    ]


@pytest.mark.parametrize(
    ("former", "models", "expected"),
    [
        (("bush", "line"), ("tree", "line"), ("line",)),
        (("line", "bush", "line"), ("tree", "line"), ("line",)),
        (("line", "tree", "bush"), ("tree", "line"), ("line",)),
        (("bush",), ("tree",), ()),
    ],
)
def test_a_champion_that_is_gone_does_not_come_back(
    former: tuple[str, ...],
    models: tuple[str, ...],
    expected: tuple[str, ...],
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """After a deploy, `rollback` goes to the last champion that there is still."""
    pipeline = make_pipeline(models=dict.fromkeys(models, LogisticRegression))
    description = json.dumps(describe(pipeline))
    before = InForce(models=("tree", "line", "bush"), champion="tree", former=former)
    found = before.deployed({"definition": "d1", "description": description})
    assert found.former == expected


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {"models": []},
        {"models": [{"name": "own"}]},
        {"models": "own"},
        {"features": [{"name": ["x"], "identity": "", "reads": []}]},
        {"schema": {"type": "record"}},
        {"schema": None},
        {"classes": 3},
        {"drift": {"detectors": [1]}},
        {"rolling_window": {"a": [{}]}, "metrics": None},
    ],
)
def test_what_is_no_description_is_refused(
    changed: dict[str, Any], is_first: bool, make_pipeline: Callable[..., Pipeline]
) -> None:
    """Any client may write `deploy`: tasks are told only what can be compared."""
    before, good = IN_FORCE, describe(make_pipeline())
    if not is_first:
        before = before.deployed({"definition": "d1", "description": json.dumps(good)})
    with pytest.raises(CommandError, match=r"(description|schema) must .* `millrace deploy`"):
        before.deployed({"definition": "d2", "description": json.dumps(good | changed)})
