"""Blocks of events are evaluated in the order of the events, however their labels come."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from river.dummy import NoChangeClassifier, StatisticRegressor
from river.stats import Mean

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.schemas.records import Evaluation
from millrace.streams.operators.record import Record
from tests.unit.streams.operators.commanding import Control, Log, folded, make_task

Make = Callable[..., Any]
MINUTE_MS = 60_000
BEGIN_MS = 1_700_000_000_000


class Says(NoChangeClassifier):  # type: ignore[misc]  # River has no types
    """Always answers the same."""

    def __init__(self, answer: bool) -> None:
        super().__init__()
        self.answer = answer

    def predict_one(self, x: dict[str, Any], **_: Any) -> bool:
        return self.answer


def yes() -> Says:
    return Says(True)


def no() -> Says:
    return Says(False)


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    """One candidate always says yes and serves, the other always says no."""
    made: Pipeline = make_pipeline(models={"yes": yes, "no": no})
    return made


def time_ms(number: int) -> int:
    """Return the time of an event: one comes each minute."""
    return BEGIN_MS + number * MINUTE_MS


def blocks_of(made: Iterable[Record]) -> list[Evaluation]:
    """Return the blocks among records."""
    return [each.value for each in made if each.topic == "evaluations"]  # type: ignore[misc]


def evaluated(pipeline: Pipeline, records: Iterable[Record]) -> list[Evaluation]:
    """Return the blocks that records lead to."""
    return blocks_of(folded(make_task(pipeline), records))


def test_a_hundred_events_with_labels_are_a_block(pipeline: Pipeline, make_vector: Make) -> None:
    """It says what each candidate lost, and how it compares with the champion."""
    labels = [number % 4 == 0 for number in range(250)]  # yes is right in a fourth
    first, second = evaluated(
        pipeline,
        [make_vector(f"e{n}", time_ms(n), label=label) for n, label in enumerate(labels)],
    )
    assert (first["number"], second["number"]) == (0, 1)
    assert (first["champion"], first["events"], first["late_labels"]) == ("yes", 100, 0)
    assert (first["first_time_ms"], first["last_time_ms"]) == (time_ms(0), time_ms(99))
    assert (first["loss_bound"], first["drifted"], first["definition"]) == (1.0, [], "")
    assert {*first["candidates"]} == {"yes", "no", "no_change", "prior"}
    assert first["candidates"]["yes"] == {
        "rival": "yes",
        "events": 100,
        "missing": 0,
        "loss": 75.0,
        "bounded_loss": 75.0,
        "difference": 0.0,
        "squared_difference": 0.0,
    }
    assert first["candidates"]["no"] == {
        "rival": "yes",
        "events": 100,
        "missing": 0,
        "loss": 25.0,
        "bounded_loss": 25.0,
        "difference": 50.0,
        "squared_difference": 100.0,
    }


def test_labels_in_another_order_give_the_same_blocks(
    pipeline: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """Positives that come at once, and negatives long after, are not judged apart."""
    labels = [number % 4 == 0 for number in range(400)]
    events = [make_vector(f"e{n}", time_ms(n)) for n in range(400)]
    positives = [make_label(f"e{n}", True) for n, label in enumerate(labels) if label]
    negatives = [make_label(f"e{n}", False) for n, label in enumerate(labels) if not label]
    task = make_task(pipeline)
    assert blocks_of(folded(task, [*events, *positives])) == []
    late = blocks_of(folded(task, negatives))
    at_once = evaluated(
        pipeline,
        [make_vector(f"e{n}", time_ms(n), label=label) for n, label in enumerate(labels)],
    )
    assert len(late) == 4
    for one, other in zip(late, at_once, strict=True):
        for name in ("yes", "no"):
            assert one["candidates"][name] == other["candidates"][name]


def test_blocks_are_published_in_order(
    pipeline: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """A block of which all is known waits for the one before it."""
    task = make_task(pipeline)
    folded(task, [make_vector(f"e{n}", time_ms(n)) for n in range(200)])
    assert blocks_of(folded(task, [make_label(f"e{n}", True) for n in range(1, 200)])) == []
    made = blocks_of(folded(task, [make_label("e0", True)]))
    assert [each["number"] for each in made] == [0, 1]


def test_events_that_never_get_a_label_hold_nothing_back_for_long(
    pipeline: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """Four times as long as labels take is enough; what comes later is counted."""
    records = []
    for n in range(2_000):
        records.append(make_vector(f"e{n}", time_ms(n)))
        if n >= 10 and (n - 10) % 20:  # a label takes ten minutes, one in twenty never comes
            records.append(make_label(f"e{n - 10}", True))
    task = make_task(pipeline)
    made = blocks_of(folded(task, records))
    ended = [time_ms(2_000) - each["last_time_ms"] for each in made]
    assert min(ended) < 200 * MINUTE_MS  # and not the seven days of pending.ttl
    assert {each["candidates"]["yes"]["events"] for each in made} == {95}
    assert {each["events"] for each in made} == {100}
    folded(task, [make_label("e0", True), make_label("e20", True)])
    more = [make_vector(f"f{n}", time_ms(2_000 + n), label=True) for n in range(200)]
    assert next(each["late_labels"] for each in blocks_of(folded(task, more))) == 2


def test_what_came_before_the_first_label_waits_no_longer_than_the_others(
    pipeline: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """How long is enough is known once labels have come, for the blocks before them, too."""
    records = []
    for n in range(2_000):
        records.append(make_vector(f"e{n}", time_ms(n)))
        if n >= 150 and n % 20:
            records.append(make_label(f"e{n - 150}", True))
    made = evaluated(pipeline, records)
    assert [each["number"] for each in made] == [*range(len(made))] != []


def test_events_that_expire_after_their_block_are_no_late_labels(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Late is a label that came; an event that got none is not."""
    pipeline = make_pipeline(models={"yes": yes}, pending=Pending(ttl=timedelta(hours=8)))
    records = []
    for n in range(2_000):
        records.append(make_vector(f"e{n}", time_ms(n)))
        if n % 20:
            records.append(make_label(f"e{n}", True))
    made = evaluated(pipeline, records)
    assert len(made) > 15
    assert {each["late_labels"] for each in made} == {0}


def test_silence_is_waited_for(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Where silence is a label, each event of a block has its own, whatever came before."""
    pipeline = make_pipeline(
        models={"yes": yes, "no": no},
        label_default=LabelDefault(False, after=timedelta(hours=30)),
    )
    records = []
    for n in range(3_000):
        records.append(make_vector(f"e{n}", time_ms(n)))
        if n and n % 4 == 0:
            records.append(make_label(f"e{n - 1}", True))  # soon, and only positives
    made = evaluated(pipeline, records)
    assert len(made) == 11  # 30 hours are 1,800 events
    for each in made:
        assert each["candidates"]["no"]["events"] == 100
        assert (each["candidates"]["no"]["loss"], each["late_labels"]) == (25.0, 0)


def test_evicted_and_removed_events_end(make_pipeline: Make, make_vector: Make) -> None:
    """A block without any label is not published, and holds back none."""
    pipeline = make_pipeline(models={"yes": yes, "no": no}, pending=Pending(limit=50))
    events = [make_vector(f"e{n}", time_ms(n)) for n in range(300)]
    labelled = [make_vector(f"f{n}", time_ms(300 + n), label=True) for n in range(150)]
    made = evaluated(pipeline, [*events, *labelled])
    assert [each["number"] for each in made] == [3]
    more = [make_vector(f"g{n}", time_ms(450 + n)) for n in range(100)]
    made = evaluated(pipeline, [*events, *labelled, *more])
    found = [(each["number"], each["candidates"]["yes"]["events"]) for each in made]
    assert found == [(3, 100), (4, 50)]


def test_another_champion_begins_another_block(pipeline: Pipeline, make_vector: Make) -> None:
    """No block has events of two champions, and each candidate is compared with the block's."""
    task, control = make_task(pipeline), Control(pipeline)
    events = [make_vector(f"e{n}", time_ms(n), label=n % 4 == 0) for n in range(230)]
    made = folded(task, [*events[:130], control.accept("promote", model="no"), *events[130:]])
    found = [(each["champion"], each["events"]) for each in blocks_of(made)]
    assert found == [("yes", 100), ("yes", 30), ("no", 100)]
    assert [each["command"] for each in blocks_of(made)] == [0, 0, 1]
    last = blocks_of(made)[-1]["candidates"]["yes"]
    assert (last["rival"], last["difference"]) == ("no", -50.0)


def test_a_command_that_changes_models_orders_blocks(pipeline: Pipeline, make_vector: Make) -> None:
    """It begins no block: one has the number of the last such command before its first event."""
    task, control = make_task(pipeline), Control(pipeline)
    events = [make_vector(f"e{n}", time_ms(n), label=n % 4 == 0) for n in range(300)]
    resets = [control.accept("reset", model="no") for _ in range(2)]
    made = folded(task, [resets[0], *events[:150], resets[1], *events[150:]])
    found = [(each["command"], each["events"]) for each in blocks_of(made)]
    assert found == [(1, 100), (1, 100), (2, 100)]


def test_a_prediction_that_is_missing_is_the_worst(make_pipeline: Make, make_vector: Make) -> None:
    """A model that answers only where it is sure has no advantage of that."""

    class Silent(Says):
        def predict_one(self, x: dict[str, Any], **_: Any) -> bool | None:  # type: ignore[override]
            return None if x["a"] > 0 else True

    pipeline = make_pipeline(models={"yes": yes, "silent": lambda: Silent(True)})
    events = [make_vector(f"e{n}", time_ms(n), label=True, a=n % 2) for n in range(100)]
    (block,) = evaluated(pipeline, events)
    silent = block["candidates"]["silent"]
    assert (silent["events"], silent["missing"], silent["loss"]) == (100, 50, 0.0)
    assert (silent["bounded_loss"], silent["difference"]) == (50.0, -50.0)


def test_losses_without_a_bound_are_bounded_by_earlier_blocks(
    make_pipeline: Make, make_vector: Make
) -> None:
    """The first block only says how large losses are; then one event is never more than one."""
    pipeline = make_pipeline("regression", models={"mean": lambda: StatisticRegressor(Mean())})
    rng = random.Random(1)
    labels = [rng.gauss(0, 1) for _ in range(300)]
    labels[299] = 1e9
    first, second, third = evaluated(
        pipeline, [make_vector(f"e{n}", time_ms(n), label=each) for n, each in enumerate(labels)]
    )
    assert first["loss_bound"] is None
    assert first["candidates"]["mean"]["bounded_loss"] == 0.0
    mean = first["candidates"]["mean"]["loss"] / 100
    assert second["loss_bound"] == pytest.approx(5 * mean, rel=0.3)
    bounded = second["candidates"]["mean"]["bounded_loss"]
    loss = second["candidates"]["mean"]["loss"]
    assert bounded == pytest.approx(loss / second["loss_bound"], rel=0.05)
    assert third["loss_bound"] == pytest.approx(second["loss_bound"], rel=0.2)
    assert third["candidates"]["mean"]["loss"] > 1e8
    assert third["candidates"]["mean"]["bounded_loss"] < 30


def test_a_drift_is_noted_where_it_was_found(make_pipeline: Make, make_vector: Make) -> None:
    """The block whose events came when the loss was found to have drifted names the candidate."""
    pipeline = make_pipeline(models={"yes": yes, "no": no})
    labels = [n < 1_500 for n in range(3_000)]
    made = evaluated(
        pipeline,
        [make_vector(f"e{n}", time_ms(n), label=label) for n, label in enumerate(labels)],
    )
    drifted = [(each["number"], each["drifted"]) for each in made if each["drifted"]]
    assert [names for _, names in drifted] == [["yes"]]
    assert 15 <= drifted[0][0] <= 17


@pytest.mark.parametrize("seed", range(8))
def test_restarts_and_slices_change_nothing(
    seed: int, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Blocks are the same wherever the log is cut, and the state saved and restored."""
    rng = random.Random(seed)
    pipeline = make_pipeline(
        models={"yes": yes, "no": no},
        pending=Pending(limit=rng.choice([30, 10_000]), ttl=timedelta(hours=rng.choice([2, 90]))),
        label_default=rng.choice([None, LabelDefault(False, after=timedelta(hours=3))]),
    )
    records, due = [], list[tuple[int, str]]()
    for n in range(900):
        moment = time_ms(n) + rng.choice([0, 0, 0, -90, 5_000]) * MINUTE_MS // 100
        records.append(make_vector(f"e{n}", moment))
        if rng.random() < 0.9:
            due.append((n + rng.choice([0, 1, 5, 40]), f"e{n}"))
        for each in [each for each in due if each[0] <= n]:
            due.remove(each)
            records.append(make_label(each[1], rng.random() < 0.3))
    expected = [
        block
        for task in [make_task(pipeline)]
        for record in records
        for block in blocks_of(folded(task, [record]))
    ]
    task, log, made, left = make_task(pipeline), Log(), list[Evaluation](), records
    while left:
        size = rng.choice([1, 7, 150, 600])
        made += blocks_of(folded(task, left[:size]))
        left = left[size:]
        if rng.random() < 0.5:
            log.save(task)
            task = log.restore(make_task(pipeline))
    assert made == expected != []
