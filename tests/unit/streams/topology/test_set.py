"""What is set comes into force at one place in the log, like a definition that has it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import itemgetter
from typing import Any

import pytest

from millrace.models.identity.definition import describe
from millrace.models.identity.reference import Reference
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.settings import with_settings
from millrace.schemas import shipped
from millrace.streams.operators.context import CommandTopic
from millrace.streams.operators.control import ControlOperator
from millrace.streams.operators.record import AcceptedRecord, Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.live_task import Definition, LiveTask
from tests.chaos.likeness import difference
from tests.unit.streams.operators.commanding import Log, kept
from tests.unit.streams.topology.test_live_task import folded, of

Make = Callable[..., Any]
Command = tuple[str, dict[str, str]]
ALL = AgentSpec(("ingest", "feature", "prediction", "learning", "drift"))
TOPICS = ("predictions", "outcomes", "audit", "rejects", "alerts")
LENGTH, PLACE = 1_000, 300
DRIFT = DriftSettings(cooldown=0, replacement_after=100)


class Definitions:
    """Those of one agent, found by their references."""

    def __init__(self, agent: AgentSpec, **pipelines: Pipeline) -> None:
        self._agent = agent
        self._pipelines = pipelines

    def __call__(self, digest: str) -> Definition:
        found = Reference.of(digest)
        pipeline = with_settings(self._pipelines[found.digest], found.settings)
        factory = TaskFactory(pipeline, self._agent, 1, 10**6, definition=digest)
        return Definition(digest, factory, TopicCodec(pipeline))

    def renewed(self, definition: Definition) -> Definition:
        return definition

    def deploy(self, digest: str) -> Command:
        description = json.dumps(describe(self._pipelines[digest]))
        deployed = {"definition": digest, "description": description, "signature": "-"}
        return "deploy", deployed


def setting(name: str, value: str) -> Command:
    return "set", {"name": name, "value": value}


def accepted(pipeline: Pipeline, *commands: Command) -> list[Origin]:
    """Return what `control` makes of commands."""
    control = ControlOperator(pipeline, CommandTopic("control", 1))
    found = []
    for at, (name, arguments) in enumerate(commands):
        value = json.dumps({"command": name, "arguments": arguments, "who": "anna"}).encode()
        origin = Origin("commands", 0, at, 0, None, value)
        _, command = control.run(Slice([RawRecord.of(origin)]))
        assert isinstance(command, AcceptedRecord)
        encoded = shipped("accepted_command").encode(command.value)
        found.append(Origin("control", 0, at, at, None, encoded))
    return found


@pytest.fixture(scope="module")
def events(make_rows: Make) -> list[Origin]:
    """Make events whose labels turn over now and then."""
    return [
        _event(at, x | {"k": f"k{at % 2}", "y": label is (at // 400 % 2 == 0)})
        for at, (x, label) in enumerate(make_rows("binary", LENGTH))
    ]


def _event(at: int, fields: dict[str, Any]) -> Origin:
    return Origin("events", 0, at, at, None, json.dumps({"id": f"e{at}", **fields}).encode())


@pytest.fixture(params=["global", "key"])
def pipeline(request: pytest.FixtureRequest, make_pipeline: Make, avro: Make) -> Pipeline:
    """Make a pipeline that only raises alerts."""
    schema = avro(id="string", k="string", a="double", b="double", y=["null", "boolean"])
    made: Pipeline = make_pipeline(schema=schema, key="k", scope=request.param, drift=DRIFT)
    return made


def effects(made: list[Any]) -> list[tuple[str, ...]]:
    """Return what the audit says of commands."""
    names = ("subject", "action", "before", "after")
    return [
        tuple(each[name] for name in names) for each in of("audit", made) if each["who"] == "anna"
    ]


def without_definition(values: Iterable[Any]) -> list[Any]:
    """Return predictions, or blocks of events, whichever definition they name."""
    return [{**each, "definition": ""} for each in values]


def test_a_policy_is_set_at_its_place(pipeline: Pipeline, events: list[Origin]) -> None:
    """From there on it acts; predictions name it; the audit has it with before and after."""
    find = Definitions(ALL, one=pipeline)
    first, command = accepted(pipeline, find.deploy("one"), setting("drift.policy", "reset"))
    log = [first, *events[:PLACE], command, *events[PLACE:]]
    made = folded(LiveTask(find("one"), find), log)
    named = [each["definition"] for each in of("predictions", made)]
    assert named == ["one"] * PLACE + ["one?drift.policy=reset"] * (LENGTH - PLACE)
    assert effects(made) == [
        ("definition", "applied", None, "one"),
        ("definition", "applied", "one", "one?drift.policy=reset"),
        ("drift.policy", "set", "alert", "reset"),
    ]
    resets = [each for each in of("audit", made) if each["who"] == "rule:drift.policy"]
    assert resets
    assert all(each["offset"] >= PLACE for each in resets)
    plain = folded(LiveTask(find("one"), find), [first, *events])
    assert of("predictions", plain)[:PLACE] == of("predictions", made)[:PLACE]
    assert of("predictions", plain)[PLACE:] != of("predictions", made)[PLACE:]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("drift.policy", "replace"),
        ("drift.cooldown", "300"),
        ("drift.replacement_after", "20"),
        ("drift.loss", "page_hinkley"),
        ("drift.loss", "none"),
        ("drift.inputs", "kswin"),
        ("drift.inputs.a", "none"),
        ("drift.predictions", "kswin"),
    ],
)
def test_it_is_as_a_file_that_has_it(
    name: str, value: str, pipeline: Pipeline, events: list[Origin]
) -> None:
    """Outputs and state are the same, bit for bit, as after a deploy of such a file."""
    changed = with_settings(pipeline, {name: value})
    find = Definitions(ALL, one=pipeline, two=changed)
    first, command = accepted(pipeline, find.deploy("one"), setting(name, value))
    _, deploy = accepted(pipeline, find.deploy("one"), find.deploy("two"))
    results = []
    for each in (command, deploy):
        live = LiveTask(find("one"), find)
        made = folded(live, [first, *events[:PLACE], each, *events[PLACE:]])
        results.append((live.task, made))
    (ours, made), (theirs, of_file) = results
    for topic in ("outcomes", "alerts"):
        assert of(topic, made) == of(topic, of_file)
    for topic in ("predictions", "evaluations"):
        one, other = (without_definition(of(topic, each)) for each in (made, of_file))
        assert one == other != []
    expected = kept(theirs)
    for store, entries in kept(ours).items():
        if store == "prediction/blocks":
            blocks = (map(itemgetter(1), each) for each in (expected[store], entries))
            one, other = map(without_definition, blocks)
            assert one == other
        elif store != "audit/trail":
            assert difference(expected[store], entries) is None, store


@pytest.mark.parametrize("seed", range(4))
def test_wherever_the_log_is_cut_and_saved(
    seed: int, pipeline: Pipeline, events: list[Origin]
) -> None:
    """Outputs and state are the same, also where another task goes on with what was saved."""
    rng = random.Random(seed)
    find = Definitions(ALL, one=pipeline, two=replace(pipeline, rolling_window=50))
    asked = (
        find.deploy("one"),
        setting("drift.policy", "reset"),
        ("pause", {}),
        setting("drift.inputs.a", "kswin"),
        ("resume", {}),
        setting("drift.loss", "none"),
        ("reset", {"model": "own"}),
        setting("drift.loss", "page_hinkley"),
        find.deploy("two"),
        setting("drift.policy", "replace"),
    )
    log = [*events]
    places = sorted(rng.sample(range(LENGTH), len(asked)), reverse=True)
    for place, command in zip(places, reversed(accepted(pipeline, *asked)), strict=True):
        log.insert(place, command)
    whole = LiveTask(find("one"), find)
    expected, made = folded(whole, log), []
    live, saved, at = LiveTask(find("one"), find), Log(), 0
    while at < len(log):
        end = at + rng.randrange(1, 90)
        made += folded(live, log[at:end], rng)
        at = end
        if rng.random() < 0.4:
            saved.save(live.task)
            digest = live.definition.digest
            live = LiveTask(find(digest), find)
            saved.restore(live.task)
    for topic in TOPICS:
        assert of(topic, made) == of(topic, expected)
    assert live.definition.digest == whole.definition.digest == "two?drift.policy=replace"
    for store, entries in kept(whole.task).items():
        assert difference(entries, kept(live.task)[store]) is None, store


def test_a_deploy_ends_what_was_set(pipeline: Pipeline, events: list[Origin]) -> None:
    """The audit names each, with what it was and what it is."""
    find = Definitions(ALL, one=pipeline, two=replace(pipeline, rolling_window=50))
    asked = (
        find.deploy("one"),
        setting("drift.loss", "kswin"),
        setting("drift.cooldown", "7"),
        find.deploy("two"),
    )
    live = LiveTask(find("one"), find)
    made = folded(live, [*events[:100], *accepted(pipeline, *asked), *events[100:200]])
    both = "one?drift.cooldown=7&drift.loss=kswin"
    assert effects(made) == [
        ("definition", "applied", None, "one"),
        ("definition", "applied", "one", "one?drift.loss=kswin"),
        ("drift.loss", "set", "adwin", "kswin"),
        ("drift.loss", "begins_anew", None, None),
        ("definition", "applied", "one?drift.loss=kswin", both),
        ("drift.cooldown", "set", "0", "7"),
        ("definition", "applied", both, "two"),
        ("drift.cooldown", "unset", "7", "0"),
        ("drift.loss", "unset", "kswin", "adwin"),
        ("rolling_window", "begins_anew", None, None),
        ("drift.loss", "begins_anew", None, None),
    ]
    assert live.definition.digest == "two"


def test_only_what_depends_on_it_begins_anew(pipeline: Pipeline, events: list[Origin]) -> None:
    """The monitors of other sources go on."""
    find = Definitions(ALL, one=pipeline)
    first, command = accepted(pipeline, find.deploy("one"), setting("drift.inputs.a", "kswin"))
    live = LiveTask(find("one"), find)
    folded(live, [first, *events[:PLACE]])
    monitors = dict(live.task.stores())["drift/monitors"]
    before = {source: monitors[source] for source in monitors}  # type: ignore[attr-defined,index]
    made = folded(live, [command])
    after = dict(live.task.stores())["drift/monitors"]
    assert {*before} - {*after} == {"input:a"}  # type: ignore[misc]
    assert all(after[source] is before[source] for source in after)  # type: ignore[attr-defined,index]
    assert effects(made)[1:] == [
        ("drift.inputs.a", "set", "adwin", "kswin"),
        ("drift.inputs['a']", "begins_anew", None, None),
    ]


def test_a_command_that_is_read_again_changes_nothing(
    pipeline: Pipeline, events: list[Origin]
) -> None:
    """Another may have come since."""
    find = Definitions(ALL, one=pipeline)
    asked = (setting("drift.policy", "reset"), setting("drift.policy", "replace"))
    first, reset, replaced = accepted(pipeline, find.deploy("one"), *asked)
    live = LiveTask(find("one"), find)
    made = folded(live, [first, reset, replaced, *events[:10], reset])
    assert live.definition.digest == "one?drift.policy=replace"
    assert [each for each in effects(made) if each[0] == "drift.policy"] == [
        ("drift.policy", "set", "alert", "reset"),
        ("drift.policy", "set", "reset", "replace"),
    ]


def test_drift_follows_what_predictions_name(pipeline: Pipeline, events: list[Origin]) -> None:
    """Where it has an agent of its own, it reads no commands."""
    alone = AgentSpec(("drift",))
    find, of_drift = Definitions(ALL, one=pipeline), Definitions(alone, one=pipeline)
    first, command = accepted(pipeline, find.deploy("one"), setting("drift.inputs", "none"))
    made = folded(LiveTask(find("one"), find), [first, *events[:60], command, *events[60:120]])
    encode = shipped("prediction").encode
    origins = [
        Origin("predictions", 0, at, at, None, encode(each))
        for at, each in enumerate(of("predictions", made))
    ]
    live = LiveTask(of_drift("one"), of_drift)
    live.fold(origins)
    assert live.definition.digest == "one?drift.inputs=none"
    assert [*dict(live.task.stores())["drift/monitors"]] == ["prediction"]  # type: ignore[call-overload]
