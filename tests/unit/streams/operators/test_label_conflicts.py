"""Of several labels of one event, the one of the largest priority counts, or the first, or last."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from river.anomaly import HalfSpaceTrees
from river.naive_bayes import GaussianNB

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.pipeline.sources import LabelSource
from millrace.schemas import DefinitionError, RejectReason
from millrace.schemas.records import Fate, Removal
from millrace.streams.operators.base import Tally
from millrace.streams.operators.class_names import as_published
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.record import (
    AcceptedRecord,
    ExampleRecord,
    Record,
    RemovalRecord,
    VectorRecord,
)
from tests.chaos.likeness import difference
from tests.unit.streams.operators.apart import Apart, made_by
from tests.unit.streams.operators.commanding import (
    Control,
    Log,
    as_written,
    folded,
    kept,
    learning_of,
    make_task,
    prediction_of,
)

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
REVIEWS, CHARGEBACKS, HINTS = "@reviews", "@chargebacks", "@hints"  # priorities 2, 1 and 0
Make = Callable[..., Any]


def source(topic: str, priority: int) -> LabelSource:
    return LabelSource(topic, event_id="id", label="y", priority=priority)


@pytest.fixture
def make(make_pipeline: Make) -> Make:
    """Make pipelines with three sources of labels, which hold labels for an hour."""
    defaults: dict[str, Any] = {
        "labels": [source("reviews", 2), source("chargebacks", 1), source("hints", 0)],
        "label_conflicts": LabelConflicts(within=timedelta(hours=1)),
        "pending": Pending(limit=50, ttl=timedelta(days=1)),
    }
    return lambda **changes: make_pipeline(**(defaults | changes))


@pytest.fixture
def label(make_label: Make) -> Make:
    """Make labels of a source."""
    return lambda event_id, value, source="labels": make_label(event_id, value, source=source)


@pytest.fixture
def until(make_vector: Make) -> Callable[[Apart, float], list[tuple[str, bool, str | None]]]:
    """Let event time come to so many hours; return what is joined: event, label and source."""

    def pass_time(operator: Apart, hours: float) -> list[tuple[str, bool, str | None]]:
        time_ms, before = NOW_MS + int(hours * HOUR_MS), len(operator.outcomes)
        made_by(operator, *(make_vector(f"at {time_ms} {i}", time_ms) for i in range(8)))
        return joined(operator.outcomes[before:])

    return pass_time


def joined(outcomes: Iterable[Any]) -> list[tuple[str, bool, str | None]]:
    found = [each for each in outcomes if each["fate"] == "joined"]
    return [(each["event_id"], each["label"], each["label_source"]) for each in found]


def dropped(operator: Apart) -> list[tuple[str, bool | None, str | None]]:
    """Return fate, label and source of each outcome that is none of an event's own."""
    return [
        (each["fate"], each["label"], each["label_source"])
        for each in operator.outcomes
        if each["event_time_ms"] is None
    ]


def test_a_label_is_held(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """It is learned when the watermark has advanced by more than `within`, and not before."""
    operator = Apart(make())
    until(operator, 0)
    (prediction,) = operator.process(make_vector("e1", NOW_MS, a=1.0))
    assert made_by(operator, label("e1", True, CHARGEBACKS)) == []
    assert until(operator, 1) == []
    made = [
        each
        for i in range(8)
        for each in operator.process(make_vector(f"later {i}", NOW_MS + HOUR_MS + 1))
        if isinstance(each, ExampleRecord)
    ]
    (example,) = [each.value for each in made]
    assert (example["event_id"], example["label"], example["features"]) == ("e1", True, {"a": 1.0})
    said = example["predicted"]["own"]["probabilities"]
    assert as_published([said]) == [prediction.value["probabilities"]]
    assert joined(operator.outcomes) == [("e1", True, "chargebacks")]
    assert "e1" not in operator.waiting
    assert not operator.store("held")


@pytest.mark.parametrize(
    ("keep", "labels", "counts", "others"),
    [
        ("last", [(True, "labels"), (False, "events")], 1, [(Fate.CORRECTED, 0)]),
        ("first", [(True, "labels"), (False, "events")], 0, [(Fate.OVERRULED, 1)]),
        ("last", [(True, REVIEWS), (False, CHARGEBACKS)], 0, [(Fate.OVERRULED, 1)]),
        ("first", [(True, CHARGEBACKS), (False, REVIEWS)], 1, [(Fate.CORRECTED, 0)]),
        ("last", [(True, "labels"), (False, HINTS)], 0, [(Fate.OVERRULED, 1)]),
        ("first", [(True, HINTS), (False, "labels")], 1, [(Fate.CORRECTED, 0)]),
        ("last", [(True, "labels"), (True, CHARGEBACKS)], 0, [(Fate.DUPLICATE, 1)]),
        ("first", [(True, "labels"), (True, REVIEWS)], 1, [(Fate.DUPLICATE, 0)]),
        (
            "last",
            [(True, "labels"), (True, REVIEWS), (False, "labels")],
            1,
            [(Fate.DUPLICATE, 0), (Fate.OVERRULED, 2)],
        ),
        (
            "last",
            [(True, "labels"), (False, REVIEWS), (True, REVIEWS), (False, "labels")],
            2,
            [(Fate.CORRECTED, 0), (Fate.CORRECTED, 1), (Fate.OVERRULED, 3)],
        ),
        ("first", [(True, "@gone"), (False, None)], 0, [(Fate.OVERRULED, 1)]),
    ],
)
@pytest.mark.parametrize("is_early", [False, True])
def test_which_label_counts(
    is_early: bool,
    keep: str,
    labels: list[tuple[bool, str | None]],
    counts: int,
    others: list[tuple[Fate, int]],
    make: Make,
    make_vector: Make,
    label: Make,
    until: Make,
) -> None:
    """That of the largest priority; among equals the first or the last; before the event, too."""
    operator = Apart(make(label_conflicts=LabelConflicts(within=timedelta(hours=1), keep=keep)))
    until(operator, 0)
    records = [label("e1", *each) for each in labels]
    at = len(records) if is_early else 0
    records.insert(at, make_vector("e1", NOW_MS))
    made = [each for each in made_by(operator, *records) if each[0] != "predictions"]
    expected = [(fate.value, *labels[which]) for fate, which in others]
    assert dropped(operator) == [(a, b, c and c.removeprefix("@")) for a, b, c in expected]
    duplicates = sum(fate is Fate.DUPLICATE for fate, _ in others)
    assert made == [("rejects", RejectReason.DUPLICATE_LABEL)] * duplicates
    value, source = labels[counts]
    assert until(operator, 1.01) == [("e1", value, source and source.removeprefix("@"))]
    assert operator.tally["label", "overruled"] == [fate for fate, _ in others].count(
        Fate.OVERRULED
    )


def test_a_label_that_an_earlier_release_took_in(
    make: Make, make_vector: Make, label: Make, until: Make
) -> None:
    """It has no source, and the usual priority."""
    operator = Apart(make())
    until(operator, 0)
    old = label("e1", True)
    del old.value["source"]
    made_by(operator, old, make_vector("e1", NOW_MS), label("e1", False, HINTS))
    assert dropped(operator) == [("overruled", False, "hints")]
    assert until(operator, 1.01) == [("e1", True, None)]


def test_after_that_it_is_too_late(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """What has been learned stays, whatever the priority of the next label is."""
    operator = Apart(make())
    until(operator, 0)
    made_by(operator, make_vector("e1", NOW_MS), label("e1", True))
    until(operator, 1.01)
    assert made_by(operator, label("e1", False, REVIEWS), label("e1", True, REVIEWS)) == [
        ("rejects", RejectReason.LATE_CORRECTION),
        ("rejects", RejectReason.DUPLICATE_LABEL),
    ]


def test_the_time_is_that_of_the_first(
    make: Make, make_vector: Make, label: Make, until: Make
) -> None:
    """A label that takes the place of another is not held for longer."""
    operator = Apart(make())
    until(operator, 0)
    made_by(operator, make_vector("e1", NOW_MS), label("e2", True), label("e1", True))
    until(operator, 0.9)
    made_by(operator, label("e1", False), label("e2", False), make_vector("e2", NOW_MS))
    assert until(operator, 1) == []
    assert until(operator, 1.01) == [("e1", False, "labels"), ("e2", False, "labels")]


def test_an_event_that_comes_after_its_time(
    make: Make, make_vector: Make, label: Make, until: Make
) -> None:
    """Where its early label has waited for longer than `within`, it is joined as it comes."""
    operator = Apart(make())
    until(operator, 0)
    made_by(operator, label("e1", True))
    until(operator, 1.01)
    made = made_by(operator, make_vector("e1", NOW_MS, label=False))
    assert made == [("predictions", "e1"), ("examples", "e1")]
    assert joined(operator.outcomes) == [("e1", False, "event")]


def test_a_label_inside(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """It is held as any other, and comes after an early one."""
    first = LabelConflicts(within=timedelta(hours=1), keep="first")
    operator = Apart(make(label_conflicts=first))
    until(operator, 0)
    made_by(operator, label("e2", False), label("e3", True, HINTS))
    made_by(operator, *(make_vector(f"e{i}", NOW_MS, label=True) for i in (1, 2, 3)))
    made_by(operator, label("e1", False, REVIEWS))
    assert dropped(operator) == [
        ("overruled", True, "event"),
        ("duplicate", True, "hints"),
        ("corrected", True, "event"),
    ]
    assert until(operator, 1.01) == [
        ("e2", False, "labels"),
        ("e3", True, "event"),
        ("e1", False, "reviews"),
    ]


@pytest.mark.parametrize("inside", [None, True])
def test_without_conflicts_a_label_counts_at_once(
    inside: bool | None, make: Make, make_vector: Make, label: Make
) -> None:
    """The first one, whatever its priority; early ones compete, and among equals the last wins."""
    operator = Apart(make(label_conflicts=None))
    made_by(operator, label("e1", True, REVIEWS), label("e1", False), label("e2", True))
    made_by(operator, label("e2", False, CHARGEBACKS), label("e2", False, REVIEWS))
    made_by(operator, make_vector("e1", label=inside), make_vector("e2"), make_vector("e3"))
    made_by(operator, label("e3", False, HINTS), label("e3", True, REVIEWS))
    others = [
        ("overruled", False, "labels"),
        ("corrected", True, "labels"),
        ("duplicate", False, "chargebacks"),
        ("duplicate", True, "reviews"),
        ("late_correction", True, "reviews"),
    ]
    assert dropped(operator) == [each for each in others if inside or each[:2] != others[3][:2]]
    assert joined(operator.outcomes) == [
        ("e1", True, "event" if inside else "reviews"),
        ("e2", False, "reviews"),
        ("e3", False, "hints"),
    ]


def test_an_event_that_may_wait_no_longer(
    make: Make, make_vector: Make, label: Make, until: Make
) -> None:
    """One that expires, comes too late, or is evicted gets the label that is held."""
    pending = Pending(limit=2, ttl=timedelta(hours=1))
    operator = Apart(make(pending=pending, label_conflicts=LabelConflicts(within=pending.ttl)))
    until(operator, 0)
    made_by(operator, make_vector("old", NOW_MS - HOUR_MS), label("old", True))
    made_by(operator, make_vector("evicted", NOW_MS), label("evicted", True))
    made_by(operator, make_vector("x", NOW_MS), make_vector("y", NOW_MS))
    assert joined(operator.outcomes) == [("old", True, "labels"), ("evicted", True, "labels")]
    made_by(operator, label("y", False), label("late", True))
    assert until(operator, 0.5) == [("y", False, "labels")]
    made = made_by(operator, make_vector("late", NOW_MS - HOUR_MS))
    assert made == [("predictions", "late"), ("examples", "late")]
    assert operator.tally["expired", "ttl"] == 0


def test_an_event_that_expires(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """By its own time, it is joined with what is held, and not with what silence means."""
    silence = LabelDefault(False, after=timedelta(hours=2))
    operator = Apart(make(label_default=silence))
    until(operator, 0)
    made_by(operator, make_vector("e1", NOW_MS), make_vector("e2", NOW_MS))
    until(operator, 1.5)
    made_by(operator, label("e1", True))
    found = [each for each in until(operator, 2.01) if not each[0].startswith("at")]
    assert found == [("e1", True, "labels"), ("e2", False, "default")]


def test_no_room(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """Where more labels are held than `limit_bytes` allows, the oldest is joined."""
    operator = Apart(make(pending=Pending(limit_bytes=50_000)))
    until(operator, 0)
    for i in range(20):
        record = label(f"e{i}", True)
        record.origin = record.origin._replace(value=b" " * 5_000)
        made_by(operator, make_vector(f"e{i}", NOW_MS), record)
    assert [event_id for event_id, *_ in joined(operator.outcomes)] == [f"e{i}" for i in range(11)]
    assert len(operator.store("held")) == 9


def test_a_row_that_is_gone(
    make: Make, make_vector: Make, make_origin: Make, label: Make, until: Make
) -> None:
    """It takes the event and its label out: both are `removed`."""
    operator = Apart(make())
    made_by(operator, make_vector("e1", NOW_MS), label("e1", True, REVIEWS))
    gone = RemovalRecord(
        Removal(event_id="e1", key=None), make_origin(topic="features"), "features"
    )
    assert made_by(operator, gone) == []
    found = [(e["fate"], e["label"], e["label_source"]) for e in operator.outcomes]
    assert found == [("removed", True, "reviews"), ("removed", None, None)]
    assert operator.tally["label", "removed"] == operator.tally["expired", "removed"] == 1
    assert not operator.store("held")
    assert until(operator, 3) == []


def test_before_there_is_a_watermark(make: Make, make_vector: Make, label: Make) -> None:
    """A label is held from the first watermark on, or from the first tick."""
    tasks = [make_task(make()), make_task(make())]
    control = Control(make())
    for task in tasks:
        assert len(folded(task, [make_vector("e1", NOW_MS), label("e1", True)])) == 1
    folded(tasks[0], [make_vector(f"a{i}", NOW_MS) for i in range(8)])
    folded(tasks[1], [tick(control, 9)])
    for task in tasks:
        assert folded(task, [tick(control, 1)]) == []
        (outcome,) = folded(task, [tick(control, 0.01)])
        assert (outcome.value["event_id"], outcome.value["fate"]) == ("e1", "joined")


def test_a_slice_in_which_the_watermark_begins(
    make: Make, make_vector: Make, label: Make, runs: list[int]
) -> None:
    """What is held before counts from there, as one by one, whatever models have learned."""
    made = []
    for size in (1, 40):
        holding, task = make_task(make()), make_task(make())
        folded(holding, [make_vector("e1", NOW_MS), label("e1", True)])
        folded(task, [make_vector(f"w{i}", NOW_MS + i * HOUR_MS, label=True) for i in range(20)])
        prediction_of(task)._join.inherit(prediction_of(holding)._join, make())
        records = [make_vector(f"f{i}", NOW_MS + i * HOUR_MS // 9) for i in range(40)]
        parts = [records[at : at + size] for at in range(0, 40, size)]
        made.append(as_written(each for part in parts for each in folded(task, part)))
    assert made[0] == made[1]
    assert '"event_id": "e1"' in made[0]["outcomes"][0]
    assert runs


def test_readings(make: Make, make_vector: Make, label: Make) -> None:
    """A metric shows how many labels are held."""
    operator = Apart(make())
    made_by(operator, make_vector("e1"), label("e1", True), label("x", True))
    readings = {each.labels: each.value for each in operator.operator.readings()}
    assert readings == {("event",): 1, ("label",): 1, ("held_label",): 1}


def test_one_class_too_many(make: Make, make_vector: Make, label: Make, until: Make) -> None:
    """A label of a class that is not admitted is rejected, and takes no other's place."""
    kinds = {"max_classes": 2, "task": "multiclass"}
    operator = Apart(multiclass(make, **kinds))
    until(operator, 0)
    made_by(operator, make_vector("e1", NOW_MS), label("e1", "a"), make_vector("e2", NOW_MS))
    made_by(operator, label("e2", "b"), label("e3", "c"))
    made = made_by(operator, label("e1", "c", REVIEWS), make_vector("e3", NOW_MS, label="b"))
    assert made == [
        ("rejects", RejectReason.UNKNOWN_CLASS),
        ("predictions", "e3"),
        ("rejects", RejectReason.UNKNOWN_CLASS),
    ]
    assert [each[:2] for each in until(operator, 1.01)] == [("e1", "a"), ("e2", "b"), ("e3", "b")]


def multiclass(make: Make, **changes: Any) -> Pipeline:
    fields = [
        *({"name": name, "type": "double"} for name in "ab"),
        {"name": "id", "type": "string"},
        {"name": "y", "type": ["null", "string"]},
    ]
    schema = {"type": "record", "name": "Loan", "fields": fields}
    pipeline: Pipeline = make(schema=schema, models={"own": GaussianNB}, **changes)
    return pipeline


def tick(control: Control, hours: float) -> AcceptedRecord:
    return control.accept("tick", seconds=str(hours * 3_600))


def drawn(
    draw: random.Random, control: Control, make_vector: Make, make_origin: Make, label: Make
) -> list[Record]:
    """Draw events and labels of all sources, early, late and inside, with ticks and removals."""
    records: list[Record] = []
    rare = draw.choice([0.0, 0.02])  # labels inside
    for number in range(500):
        time_ms = NOW_MS + number * 20_000 - draw.choice([0, 0, 0, 1, 5, 300, 9_000]) * 1_000
        inside = draw.random() < 0.5 if draw.random() < rare else None
        records.append(make_vector(f"e{number}", time_ms, a=draw.random(), label=inside))
        for _ in range(draw.choice([0, 0, 0, 1, 2]) if number % 200 < 100 else 0):
            of = f"e{max(number + draw.randrange(-15, 4), 0)}"
            name = draw.choice(["labels", "events", REVIEWS, CHARGEBACKS, HINTS])
            records.append(label(of, draw.random() < 0.5, name))
        if draw.random() < 0.02:
            records.append(tick(control, draw.random()))
        if draw.random() < 0.04:
            gone = Removal(event_id=f"e{max(number - draw.randrange(9), 0)}", key=None)
            records.append(RemovalRecord(gone, make_origin(topic="features"), "features"))
    return records


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many records each run has."""
    sizes: list[int] = []
    take_run = LabelJoin.take_run

    def note(join: LabelJoin, run: Any) -> list[float | None]:
        sizes.append(len(run.steps))
        return take_run(join, run)

    monkeypatch.setattr(LabelJoin, "take_run", note)
    return sizes


@pytest.mark.parametrize("seed", range(16))
def test_slices_and_restarts_change_nothing(
    seed: int, make: Make, make_vector: Make, make_origin: Make, label: Make
) -> None:
    """Records in slices of any size lead to what they lead to one by one, restarts or not."""
    draw = random.Random(seed)
    pipeline = make(
        pending=Pending(limit=draw.choice([15, 5_000]), ttl=timedelta(hours=3)),
        label_conflicts=LabelConflicts(
            within=timedelta(minutes=draw.choice([1, 20, 90])), keep=draw.choice(["first", "last"])
        ),
        label_default=draw.choice([None, LabelDefault(False, after=timedelta(hours=2))]),
    )
    records = drawn(draw, Control(pipeline), make_vector, make_origin, label)
    one_by_one, sliced = make_task(pipeline), make_task(pipeline)
    expected = [made for record in records for made in folded(one_by_one, [record])]
    made, left, log = list[Record](), records, Log()
    while left:
        size = draw.randrange(1, 80)
        made += folded(sliced, left[:size])
        left = left[size:]
        if draw.random() < 0.3:
            log.save(sliced)
            sliced = log.restore(make_task(pipeline))
    assert as_written(made) == as_written(expected)
    for task in (sliced, one_by_one):
        prediction_of(task).stores["waiting"].events.pack_all()  # type: ignore[attr-defined]
    assert difference(kept(one_by_one), kept(sliced)) is None
    _learned_as_river_does(pipeline, records, expected, sliced)


def test_events_are_taken_together_until_a_label_is_due(
    make: Make, make_vector: Make, label: Make, runs: list[int]
) -> None:
    """Events without labels are, while labels are held; what is learned is learned at its place."""
    records: list[Record] = []
    for number in range(700):
        time_ms = NOW_MS + number * 20_000
        records.append(make_vector(f"e{number}", time_ms, a=number % 7, label=number < 30 or None))
        if number % 200 == 50:
            records.append(label(f"e{number - 3}", False))
    pipeline = make(pending=Pending(limit=1_000, ttl=timedelta(days=1)))
    one_by_one, sliced = make_task(pipeline), make_task(pipeline)
    expected = [made for record in records for made in folded(one_by_one, [record])]
    assert runs == []
    assert as_written(folded(sliced, records)) == as_written(expected)
    assert 300 < sum(runs) < 650


def _learned_as_river_does(
    pipeline: Pipeline, records: list[Record], made: list[Record], task: Any
) -> None:
    """A model of River's own that learns in the order of joins has the same weights."""
    events = [each.value for each in records if isinstance(each, VectorRecord)]
    features = {each["event_id"]: each["features"] for each in events}
    model: Any = pipeline.fresh_model("own")
    for event_id, label, _ in joined(each.value for each in made if each.topic == "outcomes"):
        model.learn_one(features[event_id], label)
    (models,) = learning_of(task).models.by_scope_key.values()
    found: Any = models.candidates["own"].model
    assert found.predict_proba_one({"a": 0.3}) == model.predict_proba_one({"a": 0.3})


def test_every_label_has_one_end(
    make: Make, make_vector: Make, make_origin: Make, label: Make
) -> None:
    """Of each label that came, one outcome says what became of it, or it waits still."""
    draw, pipeline = random.Random(5), make()
    records = drawn(draw, Control(pipeline), make_vector, make_origin, label)
    task, tally = make_task(pipeline), Tally()
    made = [each for record in records for each in folded(task, [record])]
    tally += task.take_tally()
    came = sum(e.type == "Label" or e.value.get("label") is not None for e in records)
    ended = sum(e.topic == "outcomes" and e.value["label"] is not None for e in made)
    fates = {which for what, which in tally if what == "label"}
    assert fates >= {"joined", "corrected", "overruled", "duplicate", "removed"}
    stores = prediction_of(task).stores
    assert came == ended + len(stores["early"]) + len(stores["held"])
    assert sum(n for (what, which), n in tally.items() if what == "label" and which != "early") == (
        ended
    )


@pytest.mark.parametrize("conflicts", [None, LabelConflicts(within=timedelta(minutes=5))])
def test_a_deploy_goes_on_with_what_is_held(
    conflicts: LabelConflicts | None, make: Make, make_vector: Make, label: Make
) -> None:
    """With the time of the new definition; where that holds no labels, none is held any longer."""
    before = make()
    after = replace(before, label_conflicts=conflicts)
    task, other = Apart(before), Apart(after)
    made_by(task, *(make_vector(f"e{i}", NOW_MS) for i in range(9)), label("e1", True))
    made_by(task, label("e2", True))
    other.operator._join.inherit(task.operator._join, after)
    events = [make_vector(f"f{i}", NOW_MS + 400_000) for i in range(8)]
    assert ("examples", "e1") not in made_by(other, *events[: 0 if conflicts is None else 7])
    made = made_by(other, events[-1])
    assert made == [("predictions", "f7"), ("examples", "e1"), ("examples", "e2")]


def test_records_are_taken_together_again_after_such_a_deploy(
    make: Make, make_vector: Make, label: Make, runs: list[int]
) -> None:
    """Once what was held is joined: at the first event, as one by one."""
    before, after = make(), make(label_conflicts=None)
    made = []
    for size in (1, 50):
        holding, task = make_task(before), make_task(after)
        folded(holding, [*(make_vector(f"e{i}") for i in range(9)), label("e1", True)])
        folded(task, [make_vector(f"w{i}", label=i % 2 == 0) for i in range(30)])
        prediction_of(task)._join.inherit(prediction_of(holding)._join, after)
        records = [make_vector(f"f{i}", label=i % 3 == 0) for i in range(50)]
        parts = [records[at : at + size] for at in range(0, 50, size)]
        made.append(as_written(each for part in parts for each in folded(task, part)))
    assert made[0] == made[1]
    assert '"event_id": "e1"' in made[0]["outcomes"][0]
    assert 49 in runs


def test_a_label_after_a_deploy_that_holds_none(make: Make, make_vector: Make, label: Make) -> None:
    """It competes with the one that was held, and then all that were are joined."""
    before, after = make(), make(label_conflicts=None)
    task, other = Apart(before), Apart(after)
    made_by(task, *(make_vector(f"e{i}", NOW_MS) for i in range(9)))
    made_by(task, label("e1", True), label("e2", True, CHARGEBACKS))
    other.operator._join.inherit(task.operator._join, after)
    made_by(other, label("e1", False, REVIEWS))
    assert joined(other.outcomes) == [("e2", True, "chargebacks"), ("e1", False, "reviews")]


def test_a_deploy_of_smaller_limits(make: Make, make_vector: Make, label: Make) -> None:
    """What there is no more room for is joined as the next label is held."""
    before, after = make(), make(pending=Pending(limit=2, ttl=timedelta(days=1)))
    task, other = Apart(before), Apart(after)
    for i in range(4):
        made_by(task, make_vector(f"e{i}"), label(f"e{i}", True))
    other.operator._join.inherit(task.operator._join, after)
    made = made_by(other, label("e3", False))
    assert made == [("examples", "e0"), ("examples", "e1")]


def test_models_that_learn_without_labels(
    make: Make, make_vector: Make, label: Make, until: Make
) -> None:
    """They learn each event once, as it comes; the label that counts evaluates what was said."""
    operator = Apart(make(task="anomaly", label=None, models={"own": HalfSpaceTrees}))
    until(operator, 0)
    made_by(operator, label("e1", False))
    made = operator.process(make_vector("e1", NOW_MS, a=1.0))
    assert [each.value.get("label") for each in made if each.topic == "examples"] == [None]
    made_by(operator, label("e1", True, REVIEWS))
    assert until(operator, 1.01) == [("e1", True, "reviews")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_conflicts": "last"}, "label_conflicts must be LabelConflicts"),
        (
            {"label_conflicts": LabelConflicts(within=timedelta(hours=25))},
            r"within must be no longer than pending.ttl \(1 day, 0:00:00\)",
        ),
        (
            {"label_default": LabelDefault(False, after=timedelta(minutes=1))},
            r"within must be no longer than label_default.after \(0:01:00\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Make, changes: dict[str, Any], message: str) -> None:
    """The error names the parameter, and how long it may be."""
    with pytest.raises(DefinitionError, match=message):
        make(**changes)
