"""Where no events come, ticks let time pass: labels and windows time out as by events."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from millrace.models.features import fields, rolling
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.schemas import shipped
from millrace.schemas.records import AcceptedCommand
from millrace.streams.operators.columns import as_records
from millrace.streams.operators.record import AcceptedRecord, EventRecord, Origin, Record
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.live_task import Definition, LiveTask
from tests.unit.streams.operators.commanding import Control, Log, folded, make_task

NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR = timedelta(hours=1)
WINDOW = timedelta(minutes=10)
FULL = "ingest+feature+prediction+learning+drift"
Make = Callable[..., Any]
Made = list[tuple[str, Any]]


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    """Make a pipeline whose events wait for an hour, with windows of ten minutes."""
    features = (fields("a", "b"), rolling("a", "count", "mean", window=WINDOW, by="id"))
    return make_pipeline(pending=Pending(ttl=HOUR), features=features)


class Partition:
    """The agents of a chain for one partition, each reading what the one before has written."""

    def __init__(self, pipeline: Pipeline, chain: str) -> None:
        self.log = [Log() for _ in chain.split(",")]
        self._pipeline, self._chain = pipeline, chain
        self.tasks = self._fresh()
        self._offset = 0

    def fold(self, origins: Sequence[Origin]) -> Made:
        """Fold records of its inputs, and of `control`; return what is written to all topics."""
        made: Made = []
        for task in self.tasks:
            folded = task.live.fold(origins)
            assert not folded.undecodable
            records = as_records(folded.made)
            made += [(each.topic, each.value) for each in records]
            origins = [self._written(each) for each in records if each.topic in task.feeds]
        return made

    def restart(self) -> None:
        """Save the state, and go on with new tasks that have it."""
        tasks = self._fresh()
        for log, before, after in zip(self.log, self.tasks, tasks, strict=True):
            log.save(before.live.task)
            log.restore(after.live.task)
        self.tasks = tasks

    def entries(self, operator: str, store: str) -> dict[str, Any]:
        stores = {name: each for task in self.tasks for name, each in task.live.task.stores()}
        return dict(stores[f"{operator}/{store}"])  # type: ignore[call-overload]

    def _fresh(self) -> list[Agent]:
        names = [each.split("+") for each in self._chain.split(",")]
        following = [*names[1:], []]
        pairs = zip(names, following, strict=True)
        return [Agent(self._pipeline, one, other) for one, other in pairs]

    def _written(self, record: Record) -> Origin:
        value = shipped(FORMS[record.type]).encode(record.value)
        self._offset += 1
        return Origin(record.topic, 0, self._offset, NOW_MS, record.key, value)


FORMS = {
    "AcceptedCommand": "accepted_command",
    "FeatureVector": "feature_vector",
    "Label": "label",
    "Example": "example",
}


class Agent:
    """A task, and what it writes that the next one reads."""

    def __init__(self, pipeline: Pipeline, operators: list[str], following: list[str]) -> None:
        spec = AgentSpec(tuple(operators))
        definition = Definition("", TaskFactory(pipeline, spec, 1, 10**6), TopicCodec(pipeline))
        self.live = LiveTask(definition, lambda _: pytest.fail("nothing is deployed"))  # type: ignore[arg-type]
        self.feeds = AgentSpec(tuple(following)).reads if following else frozenset()


def event(number: int, time_ms: int, y: bool | None = None, a: float = 1.0) -> Origin:
    value = {"id": f"e{number}", "a": a, "b": float(number % 5), "y": y}
    return Origin("events", 0, number, time_ms, None, json.dumps(value).encode())


def label(number: int, time_ms: int, offset: int) -> Origin:
    value = {"event_id": f"e{number}", "label": number % 3 == 0}
    return Origin("labels", 0, offset, time_ms, None, json.dumps(value).encode())


def tick(number: int, seconds: float) -> Origin:
    command = AcceptedCommand(
        number=number,
        id=f"t{number}",
        command="tick",
        arguments={"seconds": str(seconds)},
        who="a worker",
        why="",
    )
    value = shipped("accepted_command").encode(command)
    return Origin("control", 0, number, NOW_MS, None, value)


def of(topic: str, made: Made) -> list[Any]:
    return [value for name, value in made if name == topic]


def fates(made: Made) -> list[tuple[str, str]]:
    return [(each["event_id"], each["fate"]) for each in of("outcomes", made)]


def random_log(seed: int) -> list[Origin]:
    """Return events, labels early and late or none, silences with ticks, and odd clocks."""
    rng, now_ms, log, ticks = random.Random(seed), NOW_MS, [], 0
    for number in range(300):
        now_ms += rng.randrange(3 * MINUTE_MS)
        odd_ms = rng.choice([0] * 12 + [-90 * MINUTE_MS, 9 * 60 * MINUTE_MS])
        y = rng.choice([None, None, None, True])
        time_ms = now_ms - rng.randrange(2 * MINUTE_MS) + odd_ms
        log.append(event(number, time_ms, y, rng.gauss(0, 1)))
        if rng.random() < 0.6:
            log.append(label(number + rng.randrange(-20, 9), now_ms, number))
        while rng.random() < 0.3:
            ticks += 1
            seconds = rng.choice([1, 60, 600, 2_000])
            now_ms += seconds * 1_000 * rng.randrange(2)
            log.append(tick(ticks, seconds))
    return log


@pytest.mark.parametrize("seed", range(8))
def test_wherever_the_log_is_cut(pipeline: Pipeline, seed: int) -> None:
    """Outputs are the same, record by record, cut at random, and with restarts between."""
    rng, log = random.Random(seed), random_log(seed)
    whole = Partition(pipeline, FULL).fold(log)
    assert {fate for _, fate in fates(whole)} >= {"expired", "joined", "late", "orphan"}
    partition, made = Partition(pipeline, FULL), []
    while log:
        size = rng.randrange(1, 20)
        made += partition.fold(log[:size])
        del log[:size]
        if rng.random() < 0.2:
            partition.restart()
    for topic in ("predictions", "outcomes", "audit", "rejects", "alerts"):
        assert of(topic, made) == of(topic, whole)


@pytest.mark.parametrize(
    "chain",
    ["ingest+feature,prediction+learning", "ingest+feature,prediction,learning"],
)
def test_whichever_operators_share_an_agent(pipeline: Pipeline, chain: str) -> None:
    """A tick comes to each operator that keeps time, and the same expires at it."""
    log = random_log(1)
    whole, split = Partition(pipeline, FULL), Partition(pipeline, chain)
    assert fates(split.fold(log)) == fates(whole.fold(log))
    for store in ("progress", "ends"):
        assert split.entries("prediction", store) == whole.entries("prediction", store)
    for store in ("windows", "window_time"):
        assert split.entries("feature", store).keys() == whole.entries("feature", store).keys()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ticks", [1, 7])
def test_what_expires_does_so_as_by_events(pipeline: Pipeline, seed: int, ticks: int) -> None:
    """The same events and labels, in the same order, with the same outcomes and rejects."""
    rng = random.Random(seed)
    times_ms = [NOW_MS + rng.randrange(40 * MINUTE_MS) for _ in range(40)]
    log = [event(number, time_ms) for number, time_ms in enumerate(times_ms)]
    log += [label(number, NOW_MS, number) for number in range(100, 110)]
    eighth_ms = sorted(times_ms)[-8]
    silence_ms = rng.choice([10, 70, 90]) * MINUTE_MS
    ticked, moved = Partition(pipeline, FULL), Partition(pipeline, FULL)
    for each in (ticked, moved):
        each.fold(log)
    each_ms = silence_ms // ticks
    by_ticks = ticked.fold([tick(1 + at, each_ms / 1_000) for at in range(ticks)])
    reached_ms = eighth_ms + each_ms * ticks
    by_events = moved.fold([event(200 + at, reached_ms, y=True) for at in range(8)])
    for fate in ("expired", "orphan"):
        ended = [
            [e for e in of("outcomes", made) if e["fate"] == fate] for made in (by_ticks, by_events)
        ]
        assert ended[0] == ended[1]
        assert bool(ended[0]) == (silence_ms > 10 * MINUTE_MS)
    assert of("rejects", by_ticks) == of("rejects", by_events)


def test_a_partition_without_events(pipeline: Pipeline) -> None:
    """It has no time yet, and a tick moves nothing."""
    partition = Partition(pipeline, FULL)
    partition.fold([tick(1, 86_400), label(9, NOW_MS, 0), tick(2, 86_400)])
    assert fates(partition.fold([event(9, NOW_MS)])) == [("e9", "joined")]


@pytest.mark.parametrize("count", range(1, 8))
def test_a_partition_of_few_events(pipeline: Pipeline, count: int) -> None:
    """They expire, too, and early labels with them, by the time since the oldest of them."""
    partition = Partition(pipeline, FULL)
    log = [label(99, NOW_MS, 0), *(event(at, NOW_MS + at) for at in range(count)), tick(1, 3_600)]
    assert fates(partition.fold(log)) == []
    expired = [(f"e{at}", "expired") for at in range(count)]
    partition.restart()
    assert fates(partition.fold([tick(2, 0.007)])) == expired
    assert fates(partition.fold([tick(3, 3_599.992)])) == []
    assert fates(partition.fold([tick(4, 0.002)])) == [("e99", "orphan")]
    assert fates(partition.fold([label(0, NOW_MS, 1)])) == [("e0", "late")]


def test_few_events_of_a_clock_that_is_ahead(pipeline: Pipeline) -> None:
    """They expire by their own time, and those that follow by theirs, restarted or not."""
    ahead = [event(at, NOW_MS + 9 * 60 * MINUTE_MS) for at in range(3)]
    for restarts in (False, True):
        partition = Partition(pipeline, FULL)
        assert len(fates(partition.fold([*ahead, tick(1, 3_601)]))) == 3
        if restarts:
            partition.restart()
        assert fates(partition.fold([event(3, NOW_MS), tick(2, 3_600)])) == []
        assert fates(partition.fold([tick(3, 0.001)])) == [("e3", "expired")]


def test_an_event_that_is_older_than_the_silence(pipeline: Pipeline) -> None:
    """It is predicted, and does not take the time back: it expires by its own time."""
    partition = Partition(pipeline, FULL)
    partition.fold([*(event(at, NOW_MS) for at in range(8)), tick(1, 3_601)])
    made = partition.fold([event(8, NOW_MS), event(9, NOW_MS + 2_000), tick(2, 1), tick(3, 0.001)])
    assert len(of("predictions", made)) == 2
    assert fates(made) == [("e8", "expired"), ("e9", "expired")]


def test_a_tick_that_is_read_again(pipeline: Pipeline) -> None:
    """It lets time pass once, after a restart, too, in each agent."""
    chain = "ingest+feature,prediction+learning"
    partition = Partition(pipeline, chain)
    partition.fold([*(event(at, NOW_MS) for at in range(8)), tick(1, 3_000)])
    before = [partition.entries(*each) for each in PROGRESS]
    partition.restart()
    assert fates(partition.fold([tick(1, 3_000)])) == []
    assert [partition.entries(*each) for each in PROGRESS] == before


PROGRESS = [("feature", "window_time"), ("prediction", "progress")]


def test_windows_time_out(pipeline: Pipeline) -> None:
    """They go once an event that is one window late would see nothing in them; the rest stay."""
    partition = Partition(pipeline, FULL)
    partition.fold([event(at, NOW_MS + at * MINUTE_MS) for at in range(10)])
    partition.fold([tick(1, 17 * 60 + 59)])  # the watermark was at e2
    assert len(partition.entries("feature", "windows")) == 10
    partition.fold([tick(2, 1)])
    assert len(partition.entries("feature", "windows")) == 9
    partition.restart()
    partition.fold([tick(3, 9 * 60)])
    assert partition.entries("feature", "windows") == {}


def test_nothing_is_told_of_a_tick(pipeline: Pipeline) -> None:
    """A quiet pipeline would write an entry of the audit a minute, for ever."""
    made = Partition(pipeline, FULL).fold([event(0, NOW_MS), tick(1, 60)])
    assert of("audit", made) == []


def test_a_deploy_goes_on_with_the_time(make_pipeline: Make) -> None:
    """The watermarks of features and of labels are taken over."""
    before = make_pipeline(features=(rolling("a", "count", window=WINDOW),))
    features = (rolling("a", "count", window=WINDOW), fields("b"))
    now = make_pipeline(features=features, pending=Pending(ttl=2 * HOUR))
    agent = "feature+prediction+learning"
    control, task, after = Control(before, "clean"), make_task(before, agent), make_task(now, agent)
    folded(task, _clean(range(9)))
    after.inherit(task, control.deploy(now))
    stores = dict(after.stores())
    before_ms, wait_ms = (dict(stores[name])["watermark"]["newest"] for name in STORES)  # type: ignore[call-overload]
    folded(after, [_on_clean(control.accept("tick", seconds="60"))])
    after_ms, waited_ms = (dict(stores[name])["watermark"]["newest"] for name in STORES)  # type: ignore[call-overload]
    reaches_ms = [operator._watermark.reach_ms for operator in after.operators[:1]]  # type: ignore[attr-defined]
    assert reaches_ms == [120 * MINUTE_MS]
    assert after_ms == [each + MINUTE_MS for each in before_ms]
    assert waited_ms == [each + MINUTE_MS for each in wait_ms]


STORES = ("feature/window_time", "prediction/progress")


def _on_clean(command: AcceptedRecord) -> AcceptedRecord:
    return AcceptedRecord(command.value, command.origin, "clean")


def _clean(numbers: Iterable[int]) -> list[Record]:
    return [
        EventRecord(
            {
                "event_id": f"e{number}",
                "key": None,
                "event_time_ms": NOW_MS + number,
                "label": None,
                "fields": {"a": 1.0, "b": 2.0},
            },
            Origin("clean", 0, number, NOW_MS, None, None),
        )
        for number in numbers
    ]
