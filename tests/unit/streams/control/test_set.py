"""What the command `set` makes of what is in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from millrace.models.identity.definition import describe
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import CommandError
from millrace.streams.control.commands import check_form, spec_of
from millrace.streams.control.in_force import InForce

Make = Callable[..., Pipeline]


def accepted(in_force: InForce, command: str, **arguments: str) -> InForce:
    """Return what is in force after a command, as `control` has it."""
    check_form(command, arguments)
    after = spec_of(command).takes(in_force, arguments)
    return replace(after, number=in_force.number + 1)


def deployed(in_force: InForce, pipeline: Pipeline, digest: str) -> InForce:
    given = {"definition": digest, "description": json.dumps(describe(pipeline))}
    return accepted(in_force, "deploy", **given, signature="-")


@pytest.fixture
def in_force(make_pipeline: Make) -> InForce:
    """Return what is in force after the first deploy."""
    return deployed(InForce(models=("own",), champion="own"), make_pipeline(), "one")


def set_to(in_force: InForce, *settings: str) -> InForce:
    for each in settings:
        name, _, value = each.partition("=")
        in_force = accepted(in_force, "set", name=name, value=value)
    return in_force


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["drift.policy=reset"], "one?drift.policy=reset"),
        (["drift.policy=reset", "drift.policy=replace"], "one?drift.policy=replace"),
        (["drift.policy=reset", "drift.policy=alert"], "one"),
        (["drift.loss=none", "drift.cooldown=005"], "one?drift.cooldown=5&drift.loss=none"),
        (["drift.inputs.a=kswin"], "one?drift.inputs.a=kswin"),
        (["drift.inputs.a=kswin", "drift.inputs=none"], "one?drift.inputs=none"),
        (["drift.inputs.a=kswin", "drift.inputs=adwin"], "one"),
        (["drift.inputs.a=kswin", "drift.inputs.a=adwin"], "one"),
        (
            ["drift.inputs=kswin", "drift.inputs.a=adwin"],
            "one?drift.inputs=kswin&drift.inputs.a=adwin",
        ),
    ],
)
def test_the_definition_in_force_is_named_by_what_is_set(
    settings: list[str], expected: str, in_force: InForce
) -> None:
    """In one form, whatever the order; what is as in the file is not named."""
    after = set_to(in_force, *settings)
    assert after.definition == expected
    assert [number for number, _ in after.history] == [*range(1, 2 + len(settings))]
    assert after == replace(in_force, history=after.history, number=after.number)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["drift.polcy=reset"], "name must be one of drift.policy, .*Did you mean 'drift.policy'"),
        (["drift.policy=retrain"], "must be one of 'alert', 'reset', 'replace'; got 'retrain'"),
        (["drift.loss=own"], "one of 'adwin', 'kswin', 'page_hinkley', 'none'; got 'own'"),
        (["drift.inputs.c=adwin"], r"must be of the features \['a', 'b'\]; got 'c'"),
        (["drift.policy=alert"], "drift.policy must be another than it is; got 'alert'"),
        (["drift.inputs.a=adwin"], "drift.inputs.a must be another than it is"),
        (["drift.policy=reset", "drift.policy=reset"], "must be another than it is; got 'reset'"),
        (["drift.policy="], "must have the argument value, a policy, a number"),
    ],
)
def test_what_is_wrong_is_refused(settings: list[str], says: str, in_force: InForce) -> None:
    """The reason lists what there is."""
    with pytest.raises(CommandError, match=says):
        set_to(in_force, *settings)


def test_without_a_definition_in_the_log_nothing_can_be_set() -> None:
    """The reason says what to do."""
    with pytest.raises(CommandError, match="none was deployed yet: start a worker, or"):
        set_to(InForce(models=("own",), champion="own"), "drift.policy=reset")


def test_what_is_set_is_short(make_pipeline: Make, avro: Callable[..., Any]) -> None:
    """It goes into the metadata of committed offsets, for which brokers have a limit."""
    names = [f"field_{n}" for n in range(100)]
    schema = avro(id="string", y=["null", "boolean"], **dict.fromkeys(names, "double"))
    first = InForce(models=("own",), champion="own")
    in_force = deployed(first, make_pipeline(schema=schema), "one")
    settings = [f"drift.inputs.{name}=none" for name in names]
    assert 900 < len(set_to(in_force, *settings[:35]).definition) <= 1_000
    with pytest.raises(CommandError, match=r"1000 characters or less together.* Deploy a file"):
        set_to(in_force, *settings)


def test_what_was_in_force_before_a_command_is_known(in_force: InForce) -> None:
    """A task that begins there has it."""
    after = set_to(in_force, "drift.policy=reset", "drift.cooldown=5")
    assert [after.at(number).definition for number in range(5)] == [
        "",
        "one",
        "one?drift.policy=reset",
        "one?drift.cooldown=5&drift.policy=reset",
        "one?drift.cooldown=5&drift.policy=reset",
    ]


class TestADeploy:
    """After something was set."""

    def test_the_new_file_counts(self, in_force: InForce, make_pipeline: Make) -> None:
        """What was set ends, and the summary names it, and what it is now."""
        before = set_to(in_force, "drift.policy=reset", "drift.cooldown=7")
        now = make_pipeline(rolling_window=10, drift=DriftSettings(cooldown=7))
        found = before.changes_to(describe(now))
        assert found is not None
        assert found.settings["drift.policy"] == ("reset", "alert")
        assert "drift.cooldown" not in found.settings
        said = str(found)
        assert "drift.policy is 'alert'; it was 'reset'" in said
        for each in ("drift.policy is no longer set to 'reset'", "drift.cooldown is no longer set"):
            assert each in said
        assert deployed(before, now, "two").definition == "two"

    def test_names_a_digest_alone(self, in_force: InForce, make_pipeline: Make) -> None:
        """What is set is said by `set`, which checks it."""
        for each in ("one?drift.policy=reset", "two?drift.policy=retrain", "two ", "?"):
            with pytest.raises(CommandError, match="definition must be the digest of a bundle"):
                deployed(in_force, make_pipeline(rolling_window=9), each)

    def test_the_same_file_ends_what_was_set(self, in_force: InForce, make_pipeline: Make) -> None:
        """So it is the way back where a detector has no name; once more, it is refused."""
        before = set_to(in_force, "drift.loss=none")
        after = deployed(before, make_pipeline(), "one")
        assert [each for _, each in after.history] == ["one", "one?drift.loss=none", "one"]
        with pytest.raises(CommandError, match="another than the one in force"):
            deployed(after, make_pipeline(), "one")
