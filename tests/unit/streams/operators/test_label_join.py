"""A label finds its event where it was predicted, and each label and event has one fate."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pending
from millrace.schemas.records import Fate, RejectReason
from millrace.streams.operators.class_names import as_published
from tests.unit.streams.operators.apart import Apart, made_by

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
Make = Callable[..., Any]


@pytest.fixture
def operator(make_pipeline: Make) -> Apart:
    """Make an operator that keeps 3 events for at most a day."""
    pipeline = make_pipeline(pending=Pending(limit=3, ttl=timedelta(days=1)))
    return Apart(pipeline)


def pass_time(operator: Apart, make_vector: Make, time_ms: int) -> list[tuple[str, Any]]:
    """Let eight events that bring their labels reach a time; return what else they lead to."""
    names = [f"at {time_ms} {i}" for i in range(8)]
    made = made_by(operator, *(make_vector(each, time_ms, label=True) for each in names))
    return [each for each in made if each[1] not in names]


def fates(operator: Apart) -> dict[str, int]:
    return {which: count for (what, which), count in operator.tally.items() if what == "label"}


def test_joined(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A label whose event waits makes one example: what was seen and said, the label, the delay."""
    (prediction,) = operator.process(make_vector("e1", NOW_MS, a=1.0))
    (example,) = operator.process(make_label("e1", True, label_time_ms=NOW_MS + 250))
    assert (example.topic, example.type) == ("examples", "Example")
    value = example.value
    said = value["predicted"]["own"]["probabilities"]
    assert as_published([said]) == [prediction.value["probabilities"]]
    assert {*value["predicted"]} == {"own", "no_change", "prior"}
    assert (value["features"], value["label"]) == ({"a": 1.0}, True)
    assert (value["label_delay_ms"], value["event_time_ms"]) == (250, NOW_MS)
    assert fates(operator) == {"joined": 1}
    assert not operator.waiting


def test_label_inside(operator: Apart, make_vector: Make) -> None:
    """A label that comes with its event is joined right after the prediction, with no delay."""
    prediction, example = operator.process(make_vector("e1", NOW_MS, a=1.0, label=False))
    assert (prediction.topic, example.topic) == ("predictions", "examples")
    assert (example.value["label"], example.value["label_delay_ms"]) == (False, 0)
    assert fates(operator) == {"joined": 1}
    assert not operator.waiting


def test_label_inside_and_early(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """Of two labels, the one inside the event counts; an early one repeats it or comes too late."""
    for event_id, early, reason in (
        ("e1", True, RejectReason.DUPLICATE_LABEL),
        ("e2", False, RejectReason.LATE_CORRECTION),
    ):
        made = made_by(operator, make_label(event_id, early), make_vector(event_id, label=True))
        assert made == [("predictions", event_id), ("examples", event_id), ("rejects", reason)]


def test_early_label(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A label that overtakes its event waits for it, and is joined right after the prediction."""
    assert made_by(operator, make_label("e2", True)) == []
    assert made_by(operator, make_vector("e1"), make_vector("e2", NOW_MS + 1)) == [
        ("predictions", "e1"),
        ("predictions", "e2"),
        ("examples", "e2"),
    ]
    assert fates(operator) == {"early": 1, "joined": 1}
    assert not operator.store("early")


def test_labels_before_any_event(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Labels that come before the very first event wait from its time on, as others do."""
    pipeline = make_pipeline(pending=Pending(limit=9, ttl=timedelta(days=1)))
    operator = Apart(pipeline)
    assert made_by(operator, *(make_label(f"e{i}", True) for i in (1, 2, 3))) == []
    assert made_by(operator, make_vector("e1")) == [("predictions", "e1"), ("examples", "e1")]
    pass_time(operator, make_vector, NOW_MS)
    assert pass_time(operator, make_vector, NOW_MS + DAY_MS) == []
    assert made_by(operator, make_vector("e2")) == [("predictions", "e2"), ("examples", "e2")]
    rejects = [("rejects", RejectReason.ORPHAN_LABEL)]
    assert pass_time(operator, make_vector, NOW_MS + DAY_MS + 1) == rejects


def test_corrected(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """Of two early labels that differ, the later counts."""
    made = made_by(operator, make_label("e1", True), make_label("e1", False))
    assert made == []
    example = [*operator.process(make_vector("e1"))][1]
    assert example.value["label"] is False
    assert fates(operator) == {"early": 1, "corrected": 1, "joined": 1}


def test_duplicates(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A label that says the same again is a reject, before its event has come and after."""
    reject = ("rejects", RejectReason.DUPLICATE_LABEL)
    assert made_by(operator, make_label("e1", True), make_label("e1", True)) == [reject]
    assert made_by(operator, make_vector("e1"), make_label("e1", True))[2:] == [reject]
    assert fates(operator) == {"early": 1, "duplicate": 2, "joined": 1}


def test_late_correction(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A label that differs from the one learned is a reject that shows both."""
    made_by(operator, make_vector("e1"), make_label("e1", True))
    (made,) = operator.process(make_label("e1", False))
    assert made.value["reason"] == RejectReason.LATE_CORRECTION
    assert "learned with the label True; got False" in made.value["detail"]
    assert fates(operator) == {"joined": 1, "late_correction": 1}


def test_late_by_time(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """An event waits until event time has moved on by more than `pending.ttl`."""
    made_by(operator, make_vector("e1"), make_vector("e2", NOW_MS + 1))
    pass_time(operator, make_vector, NOW_MS + DAY_MS + 1)
    assert made_by(operator, make_label("e1", True), make_label("e2", True)) == [
        ("rejects", RejectReason.LATE_LABEL),
        ("examples", "e2"),
    ]
    assert operator.tally["expired", "ttl"] == 1
    assert fates(operator) == {"late": 1, "joined": 9}


def test_late_by_number(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """The oldest of more than `pending.limit` events is evicted."""
    made_by(operator, *(make_vector(f"e{i}") for i in range(4)))
    assert operator.waiting == ["e1", "e2", "e3"]
    assert made_by(operator, make_label("e0", True)) == [("rejects", RejectReason.LATE_LABEL)]
    assert operator.tally["expired", "limit"] == 1


def test_orphan_by_time(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A label whose event does not come within `pending.ttl` is a reject."""
    pass_time(operator, make_vector, NOW_MS)
    made_by(operator, make_label("nobody", True))
    assert pass_time(operator, make_vector, NOW_MS + DAY_MS) == []
    rejects = [("rejects", RejectReason.ORPHAN_LABEL)]
    assert pass_time(operator, make_vector, NOW_MS + DAY_MS + 1) == rejects
    assert fates(operator) == {"joined": 24, "early": 1, "orphan": 1}


def test_orphan_by_number(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """The oldest of more than `pending.limit` early labels is evicted, with its own origin."""
    labels = [make_label(f"e{i}", True) for i in range(4)]
    labels[0].origin = labels[0].origin._replace(offset=77)
    made = [each for label in labels for each in operator.process(label)]
    assert [(each.value["reason"], each.value["offset"]) for each in made] == [
        (RejectReason.ORPHAN_LABEL, 77)
    ]
    assert [*operator.store("early")] == ["e1", "e2", "e3"]


def test_every_label_has_one_fate(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """Of all labels: joined, rejected or still waiting, and each is counted."""
    records = []
    for i in range(60):
        records.append(make_vector(f"e{i % 40}", NOW_MS + i * DAY_MS // 5))
        records += [make_label(f"e{(i * k) % 50 + 2 * k}", i % 3 == 0) for k in (0, 1, 3)]
    made = made_by(operator, *records)
    label_rejects = [
        what for topic, what in made if topic == "rejects" and what != RejectReason.DUPLICATE_EVENT
    ]
    joined = sum(topic == "examples" for topic, _ in made)
    told = fates(operator)
    assert joined == told["joined"]
    assert joined + len(label_rejects) + len(operator.store("early")) + told["corrected"] == 180
    assert {*told} == {
        *("joined", "early", "corrected", "duplicate", "late", "late_correction", "orphan")
    }


def test_times_before_1970(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Event times before the Unix epoch move the watermark like any others."""
    pipeline = make_pipeline(pending=Pending(ttl=timedelta(days=1)))
    operator = Apart(pipeline)
    past_ms = -300 * DAY_MS
    made_by(operator, make_vector("e1", past_ms), make_vector("e2", past_ms + 5))
    assert made_by(operator, make_label("e1", True)) == [("examples", "e1")]
    pass_time(operator, make_vector, past_ms + DAY_MS + 6)
    assert made_by(operator, make_label("e2", True)) == [("rejects", RejectReason.LATE_LABEL)]


def test_outcome_of_a_joined_label(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """An event that gets its label has one outcome: the label, its delay, each candidate's loss."""
    operator = Apart(make_pipeline("multiclass"))
    made_by(operator, make_vector("e1", label="sky"), make_vector("e2", NOW_MS, key="k"))
    made_by(operator, make_label("e2", "grass", label_time_ms=NOW_MS + 250))
    first, second = operator.outcomes
    assert (first["event_id"], first["label_delay_ms"], first["losses"]) == ("e1", 0, {})
    assert second == {
        "event_id": "e2",
        "key": "k",
        "event_time_ms": NOW_MS,
        "fate": "joined",
        "label": "grass",
        "label_delay_ms": 250,
        "label_source": "labels",
        "losses": {},
    }


def test_losses_of_every_candidate(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """A candidate or baseline that made a prediction has a loss; one that did not has none."""
    made_by(operator, make_vector("e1"), make_label("e1", True), make_vector("e2", label=False))
    assert [each["losses"] for each in operator.outcomes] == [{"own": 1.0}, {"own": 0.0}]


def test_outcomes_without_a_label(operator: Apart, make_vector: Make) -> None:
    """An event that expires and one that is evicted have an outcome without label and losses."""
    made_by(operator, *(make_vector(f"e{i}", NOW_MS + i) for i in range(4)))
    pass_time(operator, make_vector, NOW_MS + DAY_MS + 2)
    ended = [each for each in operator.outcomes if each["fate"] != Fate.JOINED]
    fates = [(each["event_id"], each["fate"], each["label"]) for each in ended]
    assert fates == [("e0", "evicted", None), ("e1", "expired", None)]
    assert ended[1]["event_time_ms"] == NOW_MS + 1
    assert operator.tally["expired", "ttl"] == operator.tally["expired", "limit"] == 1


def test_outcomes_of_labels_that_are_not_used(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """A label that is corrected, duplicate, late or an orphan has an outcome, and no event time."""
    made_by(operator, make_vector("e1", label=True), make_label("e1", True, key="k"))
    made_by(operator, make_label("e1", False), make_label("x", True), make_label("x", False))
    made_by(operator, make_vector("e2", NOW_MS + 1))
    pass_time(operator, make_vector, NOW_MS)
    pass_time(operator, make_vector, NOW_MS + 2 * DAY_MS)
    made_by(operator, make_label("e2", True))
    labels = [each for each in operator.outcomes if each["event_time_ms"] is None]
    assert [(each["event_id"], each["fate"], each["label"]) for each in labels] == [
        ("e1", Fate.DUPLICATE, True),
        ("e1", Fate.LATE_CORRECTION, False),
        ("x", Fate.CORRECTED, True),
        ("x", Fate.ORPHAN, False),
        ("e2", Fate.LATE, True),
    ]
    assert [each["key"] for each in labels] == ["k", None, None, None, None]
    assert all(each["losses"] == {} and each["label_delay_ms"] is None for each in labels)


def test_readings(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """Metrics show how many events wait for labels, and labels for events."""
    made_by(operator, make_vector("e1"), make_vector("e2"), make_label("x", True))
    readings = {(each.metric, *each.labels): each.value for each in operator.operator.readings()}
    assert readings == {
        ("pending", "event"): 2,
        ("pending", "label"): 1,
        ("pending", "held_label"): 0,
    }


MINUTE_MS = 60_000
LIMITLESS = 10**6


def out_of_order(rng: random.Random, count: int, most_late_ms: int) -> list[tuple[str, str, int]]:
    """Return (kind, event id, event time) of events and labels: both come late by some minutes."""
    arrivals = []
    for i in range(count):
        time_ms = NOW_MS + i * MINUTE_MS
        came_ms = time_ms + rng.randrange(most_late_ms)
        arrivals.append((came_ms, "event", f"e{i}", time_ms))
        known_ms = came_ms + rng.randrange(-10 * MINUTE_MS, 150 * MINUTE_MS)
        arrivals.append((known_ms, "label", f"e{i}", time_ms))
    return [each[1:] for each in sorted(arrivals)]


def joined_by_the_book(arrivals: list[tuple[str, str, int]], ttl_ms: int) -> set[str]:
    """Return the events whose label comes while no eight events are later by more than `ttl_ms`."""
    times: list[int] = []
    came: dict[str, int] = {}
    early: dict[str, int | None] = {}
    joined: set[str] = set()

    def watermark_ms() -> int | None:
        return sorted(times)[-8] if len(times) >= 8 else None

    def is_over(since_ms: int | None) -> bool:
        now_ms = watermark_ms()
        return now_ms is not None and since_ms is not None and since_ms < now_ms - ttl_ms

    for kind, event_id, time_ms in arrivals:
        if kind == "event":
            had_none = watermark_ms() is None
            times.append(time_ms)
            if had_none:
                early = dict.fromkeys(early, watermark_ms())
            came[event_id] = time_ms
            if event_id in early and not is_over(early[event_id]):
                joined.add(event_id)
        elif event_id not in came:
            early[event_id] = watermark_ms()
        elif not is_over(came[event_id]):
            joined.add(event_id)
    return joined


@pytest.mark.parametrize("most_late_ms", [1, 20 * MINUTE_MS, 60 * MINUTE_MS, 110 * MINUTE_MS])
@pytest.mark.parametrize("seed", range(4))
def test_each_event_expires_by_its_own_time(
    seed: int,
    most_late_ms: int,
    make_pipeline: Make,
    make_vector: Make,
    make_label: Make,
    move: Make,
) -> None:
    """Out of order too, and wherever state is moved, a label is joined while its event waits."""
    rng = random.Random(seed)
    arrivals = out_of_order(rng, 300, most_late_ms)
    pipeline = make_pipeline(pending=Pending(limit=LIMITLESS, ttl=timedelta(hours=1)))
    operator, log, joined = Apart(pipeline), {}, set()
    for kind, event_id, time_ms in arrivals:
        if rng.random() < 0.02:
            moved = Apart(pipeline)
            move(operator.operator, moved.operator, log)
            operator = moved
        is_event = kind == "event"
        record = make_vector(event_id, time_ms) if is_event else make_label(event_id, True)
        joined |= {what for topic, what in made_by(operator, record) if topic == "examples"}
    assert joined == joined_by_the_book(arrivals, 60 * MINUTE_MS)
    assert 20 < len(joined) < 300


def test_one_event_far_ahead(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """An event stamped 9 hours ahead makes no label late, nor do seven."""
    for ahead in (1, 7):
        operator = Apart(make_pipeline(pending=Pending(ttl=timedelta(hours=1))))
        for i in range(70):
            shift_ms = 9 * 60 * MINUTE_MS if 10 <= i < 10 + ahead else 0
            made_by(operator, make_vector(f"e{i}", NOW_MS + i * MINUTE_MS + shift_ms))
            made_by(operator, *([make_label(f"e{i - 5}", True)] if i >= 5 else []))
        assert fates(operator) == {"joined": 65}


def test_an_event_that_comes_too_late_to_wait(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """It is predicted and expires at once, whether or not another event comes before its label."""
    pass_time(operator, make_vector, NOW_MS)
    made_by(operator, *(make_vector(f"e{i}") for i in range(3)))
    made = made_by(operator, make_vector("late", NOW_MS - DAY_MS - 1), make_label("late", True))
    assert made == [("predictions", "late"), ("rejects", RejectReason.LATE_LABEL)]
    assert operator.outcomes[-2]["fate"] == Fate.EXPIRED
    assert operator.waiting == ["e0", "e1", "e2"]


def test_only_what_waits_takes_the_place_of_another(
    operator: Apart, make_vector: Make, make_label: Make
) -> None:
    """At the limit, an event whose label is there, in it or early, evicts no other."""
    made_by(operator, make_label("early", True), *(make_vector(f"e{i}") for i in range(3)))
    made = made_by(operator, make_vector("own", label=True), make_vector("early"))
    assert [topic for topic, _ in made] == ["predictions", "examples"] * 2
    assert operator.waiting == ["e0", "e1", "e2"]
    made_by(operator, make_vector("e3"))
    assert operator.waiting == ["e1", "e2", "e3"]
    assert operator.tally["expired", "limit"] == 1


def test_bounds_in_bytes(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Events and labels that wait, and ids that have ended, stay within `pending.limit_bytes`."""
    pipeline = make_pipeline(pending=Pending(limit_bytes=50_000))
    operator = Apart(pipeline)
    for i in range(40):
        event_id = f"{i} {'x' * 5_000}"
        record = make_label(f"early {event_id}", True)
        record.origin = record.origin._replace(value=b" " * 5_000)
        made_by(operator, record, make_vector(event_id, text="é" * 5_000))
    assert (len(operator.waiting), len(operator.store("early"))) == (4, 4)
    assert operator.tally["expired", "limit"] == operator.tally["label", "orphan"] == 36
    made_by(operator, make_vector("small"), make_label("small", True))
    assert len(operator.waiting) == 4
