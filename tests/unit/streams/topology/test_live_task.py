"""A task goes over to another definition at the place in the log where that is deployed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from millrace.models.features import derived, fields
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import DefinitionError, shipped
from millrace.schemas.records import AcceptedCommand
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import Origin
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.live_task import Definition, LiveTask

Make = Callable[..., Pipeline]

ALL = AgentSpec(("ingest", "feature", "prediction", "learning", "drift"))
INGEST = AgentSpec(("ingest",))


class Definitions:
    """Those of one agent."""

    def __init__(self, agent: AgentSpec, **pipelines: Pipeline) -> None:
        self.known: dict[str, Definition] = {}
        self.news: list[Pipeline] = []
        self._agent = agent
        self._pipelines = pipelines

    def __call__(self, digest: str) -> Definition:
        if digest not in self._pipelines:
            raise DefinitionError(f"no {digest}")
        pipeline = self._pipelines[digest]
        factory = TaskFactory(pipeline, self._agent, 1, 10**6, definition=digest)
        others = [each.event_schema for each in self._pipelines.values()]
        return Definition(digest, factory, TopicCodec(pipeline, others=others))

    def renewed(self, definition: Definition) -> Definition:
        return definition


def event(offset: int) -> Origin:
    a = float(offset % 7)
    value = {"id": f"e{offset}", "a": a, "b": 1.0, "y": a > 3}
    return Origin("events", 0, offset, offset, None, json.dumps(value).encode())


def deploy(offset: int, digest: str, number: int) -> Origin:
    command = AcceptedCommand(
        number=number,
        id=f"c{number}",
        command="deploy",
        arguments={"definition": digest},
        who="anna",
        why="",
    )
    value = shipped("accepted_command").encode(command)
    return Origin("control", 0, offset, offset, None, value)


@pytest.fixture
def two(make_pipeline: Make) -> Definitions:
    """Make two definitions: the second has one feature more."""
    more = (fields("a", "b"), derived("double", lambda event: event["a"] * 2))
    return Definitions(ALL, one=make_pipeline(), two=make_pipeline(features=more))


def folded(
    live: LiveTask, origins: Sequence[Origin], rng: random.Random | None = None
) -> list[Any]:
    """Fold, in slices cut at random; return what comes out."""
    made, at = [], 0
    while at < len(origins):
        size = len(origins) if rng is None else rng.randrange(1, 9)
        folded = live.fold(origins[at : at + size])
        made += [(each.topic, each.value) for each in as_records(folded.made)]
        made += [(each.topic, each.value) for each in folded.undecodable]
        at += size
    return made


def of(topic: str, made: list[Any]) -> list[Any]:
    return [value for name, value in made if name == topic]


LOG = [*map(event, range(30)), deploy(0, "two", 1), *map(event, range(30, 60))]


def test_it_takes_over_at_the_command(two: Definitions) -> None:
    """What comes before is predicted under the one definition, what comes after under the other."""
    live = LiveTask(two("one"), two)
    predictions = of("predictions", folded(live, LOG))
    assert [each["definition"] for each in predictions] == ["one"] * 30 + ["two"] * 30
    assert ["double" in each["features"] for each in predictions] == [False] * 30 + [True] * 30
    assert live.definition.digest == "two"


@pytest.mark.parametrize("seed", range(10))
def test_wherever_the_log_is_cut(two: Definitions, seed: int) -> None:
    """Outputs are the same, in the same order on each topic."""
    whole = folded(LiveTask(two("one"), two), LOG)
    cut = folded(LiveTask(two("one"), two), LOG, random.Random(seed))
    for topic in ("predictions", "outcomes", "audit", "rejects", "alerts"):
        assert of(topic, cut) == of(topic, whole)


def test_what_goes_on_is_as_without_the_deploy(two: Definitions) -> None:
    """A candidate that is unchanged predicts as if nothing had been deployed."""
    changed = of("predictions", folded(LiveTask(two("one"), two), LOG))
    undisturbed = of("predictions", folded(LiveTask(two("one"), two), LOG[:30] + LOG[31:]))
    for each, other in zip(changed, undisturbed, strict=True):
        assert (each["value"], each["probabilities"]) == (other["value"], other["probabilities"])


def test_a_deploy_counts_once(two: Definitions) -> None:
    """One that is read again changes nothing: another may have come since."""
    live = LiveTask(two("one"), two)
    folded(live, [deploy(0, "two", 1), deploy(1, "one", 2), deploy(0, "two", 1)])
    assert live.definition.digest == "one"


def test_the_definition_in_force_may_be_deployed(two: Definitions) -> None:
    """The task stays, and says that it has come to the place."""
    live = LiveTask(two("one"), two)
    task = live.task
    (audit,) = of("audit", folded(live, [deploy(0, "one", 1)]))
    assert live.task is task
    assert (audit["subject"], audit["action"], audit["after"]) == ("definition", "applied", "one")


def test_what_cannot_be_decoded_is_rejected_once(two: Definitions) -> None:
    """Before the deploy and after it."""
    broken = [Origin("control", 0, at, at, None, b"?") for at in (1, 3)]
    made = folded(LiveTask(two("one"), two), [broken[0], deploy(2, "two", 1), broken[1]])
    assert [each["offset"] for each in of("rejects", made)] == [1, 3]


def test_a_definition_that_cannot_be_loaded_halts(two: Definitions) -> None:
    """The record is folded again once it can be."""
    live = LiveTask(two("one"), two)
    with pytest.raises(DefinitionError, match="no three"):
        folded(live, [event(0), deploy(0, "three", 1)])
    assert live.definition.digest == "one"


def test_drift_follows_what_predictions_name(make_pipeline: Make, two: Definitions) -> None:
    """It reads no commands."""
    drift = Definitions(
        AgentSpec(("drift",)), one=make_pipeline(), two=make_pipeline(rolling_window=10)
    )
    made = of("predictions", folded(LiveTask(two("one"), two), LOG))
    encode = shipped("prediction").encode
    origins = [Origin("predictions", 0, at, at, None, encode(each)) for at, each in enumerate(made)]
    live = LiveTask(drift("one"), drift)
    live.fold(origins[:29])
    assert live.definition.digest == "one"
    live.fold(origins[29:])
    assert live.definition.digest == "two"
    monitors = dict(live.task.stores())["drift/monitors"]
    assert len(monitors) == 4  # of two inputs, a third one since the deploy, and predictions


def test_ingest_goes_over_between_batches(make_pipeline: Make) -> None:
    """It takes what is in force, and has no state to take over."""
    ingest = Definitions(INGEST, one=make_pipeline(), two=make_pipeline(max_id_bytes=2))
    live = LiveTask(ingest("one"), ingest)
    live.fold([event(100)])
    live.follow("two")
    assert [each["reason"] for each in of("rejects", folded(live, [event(101)]))] == ["oversized"]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_skipped_is_not_folded(two: Definitions, seed: int) -> None:
    """It is rejected at its place; everything else is as if it had not been there."""
    skipped = {("events", 0, 10), ("events", 0, 40)}
    live = LiveTask(two("one"), two, skipped)
    made = folded(live, LOG, random.Random(seed))
    rejects = [(each["offset"], each["reason"]) for each in of("rejects", made)]
    assert rejects == [(10, "skipped"), (40, "skipped")]
    without = [each for each in LOG if (each.topic, 0, each.offset) not in skipped]
    expected = folded(LiveTask(two("one"), two), without)
    for topic in ("predictions", "outcomes", "audit"):
        assert of(topic, made) == of(topic, expected)


def test_no_command_is_skipped(two: Definitions) -> None:
    """Else a task would go on under another definition than the others."""
    live = LiveTask(two("one"), two, {("control", 0, 0)})
    made = folded(live, LOG)
    assert (of("rejects", made), live.definition.digest) == ([], "two")


def test_more_may_be_skipped_later(two: Definitions) -> None:
    """From the next slice on."""
    skipped: set[tuple[str, int, int]] = set()
    live = LiveTask(two("one"), two, skipped)
    assert of("rejects", folded(live, LOG[:5])) == []
    skipped.add(("events", 0, 5))
    assert [each["offset"] for each in of("rejects", folded(live, LOG[5:9]))] == [5]


def test_what_is_being_folded_is_known(two: Definitions) -> None:
    """While it is, and no longer, whatever happens."""
    seen: list[int] = []
    live = LiveTask(two("one"), two)

    def look(digest: str) -> Definition:
        seen.extend(each.offset for each in live.folding)
        raise DefinitionError(digest)

    live._find = look  # type: ignore[assignment]  # it is called in the middle of a fold
    with pytest.raises(DefinitionError):
        live.fold([event(3), deploy(4, "two", 1)])
    assert (seen, live.folding) == ([3, 4], ())


def test_it_stops_behind_a_snapshot_where_it_is_told_to(two: Definitions) -> None:
    """What comes behind is left, to be folded once the state is saved; the audit says which."""
    command = AcceptedCommand(
        number=1, id="c1", command="snapshot", arguments={"version": "v"}, who="anna", why=""
    )
    asked = Origin("control", 0, 0, 0, None, shipped("accepted_command").encode(command))
    log = [*map(event, range(10)), asked, *map(event, range(10, 20))]
    live = LiveTask(two("one"), two)
    first = live.fold(log, to_snapshot=True)
    assert [*first.rest] == log[11:]
    assert live.task.version == "v"
    (audit,) = [each.value for each in as_records(first.made) if each.topic == "audit"]
    assert (audit["subject"], audit["action"], audit["after"]) == ("version", "asked_for", "v")
    second = live.fold(first.rest, to_snapshot=True)
    assert not second.rest

    whole = LiveTask(two("one"), two)
    predictions = of("predictions", folded(whole, log))
    made = as_records([*first.made, *second.made])
    assert predictions == [each.value for each in made if each.topic == "predictions"]
