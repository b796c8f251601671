"""An event of which no news comes gets the label that silence means."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.schemas import DefinitionError, RejectReason
from millrace.streams.operators.class_names import as_published
from millrace.streams.operators.record import AcceptedRecord, ExampleRecord, Record
from tests.unit.streams.operators.apart import Apart, made_by
from tests.unit.streams.operators.commanding import (
    Control,
    Log,
    as_written,
    folded,
    kept,
    learning_of,
    make_task,
)

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
AFTER = timedelta(hours=2)
Make = Callable[..., Any]


def tick(control: Control, hours: float) -> AcceptedRecord:
    return control.accept("tick", seconds=str(hours * 3_600))


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    """Make a pipeline for which two hours of silence are a no."""
    pending = Pending(limit=50, ttl=timedelta(days=1))
    return make_pipeline(pending=pending, label_default=LabelDefault(False, after=AFTER))


def test_it_may_be_longer_than_ttl(make_pipeline: Make, make_vector: Make) -> None:
    """An event waits as long as silence needs, whatever the limit for other pipelines is."""
    pending = Pending(ttl=timedelta(hours=1))
    later = make_pipeline(pending=pending, label_default=LabelDefault(False, after=AFTER))
    operator = Apart(later)
    made_by(operator, make_vector("e1", NOW_MS, a=1.0))
    for hours in (1, 2):
        made_by(operator, *others(make_vector, NOW_MS + hours * HOUR_MS))
        assert operator.waiting == ["e1"]
    made_by(operator, *others(make_vector, NOW_MS + 2 * HOUR_MS + 1))
    assert operator.waiting == []


def others(make_vector: Make, time_ms: int) -> list[Record]:
    """Return eight events that bring their labels, which is what the watermark follows."""
    return [make_vector(f"at {time_ms} {i}", time_ms, label=True) for i in range(8)]


def test_silence(pipeline: Pipeline, make_vector: Make) -> None:
    """After so long, and not before, an event is an example, with its own predictions."""
    operator = Apart(pipeline)
    (prediction,) = operator.process(make_vector("e1", NOW_MS, a=1.0))
    made_by(operator, *others(make_vector, NOW_MS + 2 * HOUR_MS))
    assert operator.waiting == ["e1"]
    made = [
        each
        for record in others(make_vector, NOW_MS + 2 * HOUR_MS + 1)
        for each in operator.process(record)
        if isinstance(each, ExampleRecord) and each.value["event_id"] == "e1"
    ]
    (example,) = [each.value for each in made]
    assert (example["label"], example["label_delay_ms"]) == (False, 2 * HOUR_MS)
    assert example["features"] == {"a": 1.0}
    said = example["predicted"]["own"]["probabilities"]
    assert as_published([said]) == [prediction.value["probabilities"]]
    (outcome,) = [each for each in operator.outcomes if each["event_id"] == "e1"]
    assert (outcome["fate"], outcome["label"]) == ("joined", False)
    assert operator.waiting == []


def test_news_comes_first(pipeline: Pipeline, make_vector: Make, make_label: Make) -> None:
    """A label that comes in time counts; one that comes after silence has been learned is late."""
    operator = Apart(pipeline)
    made_by(operator, make_vector("e1", NOW_MS), make_vector("e2", NOW_MS))
    assert made_by(operator, make_label("e1", True)) == [("examples", "e1")]
    made = made_by(operator, *others(make_vector, NOW_MS + 3 * HOUR_MS))
    assert ("examples", "e2") in made
    assert ("examples", "e1") not in made
    assert made_by(operator, make_label("e2", False), make_label("e2", True)) == [
        ("rejects", RejectReason.DUPLICATE_LABEL),
        ("rejects", RejectReason.LATE_CORRECTION),
    ]


def test_an_event_that_comes_late(pipeline: Pipeline, make_vector: Make) -> None:
    """One for which it has been silent for long enough as it comes is an example at once."""
    operator = Apart(pipeline)
    made_by(operator, *others(make_vector, NOW_MS + 3 * HOUR_MS))
    made = made_by(operator, make_vector("e1", NOW_MS))
    assert made == [("predictions", "e1"), ("examples", "e1")]


def test_evicted(pipeline: Pipeline, make_vector: Make) -> None:
    """An event for which there was no room does not get it, and is counted."""
    operator = Apart(pipeline)
    made_by(operator, *(make_vector(f"e{i}", NOW_MS) for i in range(51)))
    made = made_by(operator, *others(make_vector, NOW_MS + 3 * HOUR_MS))
    assert ("examples", "e0") not in made
    assert ("examples", "e1") in made
    assert operator.tally["expired", "limit"] == 1


def test_without_traffic(pipeline: Pipeline, make_vector: Make) -> None:
    """Where no events come, ticks let the time pass; models learn, and metrics count."""
    task, control = make_task(pipeline), Control(pipeline)
    folded(task, [*others(make_vector, NOW_MS), make_vector("e1", NOW_MS, a=1.0)])
    assert folded(task, [tick(control, 1)]) == []
    made = folded(task, [tick(control, 1.5)])
    assert [(each.topic, each.value["fate"], each.value["label"]) for each in made] == [
        ("outcomes", "joined", False)
    ]
    assert {*made[0].value["losses"]} == {"own", "no_change", "prior"}
    learning = learning_of(task)
    assert learning.models.of("").version == 9
    assert learning.evaluation is not None
    assert learning.evaluation.examples["own"] == 9


@pytest.mark.parametrize("seed", range(12))
def test_slices_and_restarts_change_nothing(
    seed: int, pipeline: Pipeline, make_vector: Make, make_label: Make
) -> None:
    """Records in slices of any size lead to what they lead to one by one, restarts or not."""
    draw, control = random.Random(seed), Control(pipeline)
    records: list[Record] = []
    for number in range(300):
        time_ms = NOW_MS + number * draw.randrange(2, 400_000)
        inside = draw.choice([None, None, None, True, False])
        records.append(make_vector(f"e{number}", time_ms, a=draw.random(), label=inside))
        if draw.random() < 0.3:
            records.append(make_label(f"e{draw.randrange(number + 3)}", draw.random() < 0.5))
        if draw.random() < 0.02:
            records.append(tick(control, draw.random()))
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
    assert kept(sliced).keys() == kept(one_by_one).keys()
    silent = [each for each in made if each.topic == "outcomes" and _is_of_silence(each)]
    assert len(silent) > 20


def _is_of_silence(record: Record) -> bool:
    return record.value["label_delay_ms"] == 2 * HOUR_MS


@pytest.mark.parametrize(
    ("default", "message"),
    [
        (False, "label_default must be LabelDefault"),
        (LabelDefault("no", after=AFTER), "label_default.label: .*'no'"),
    ],
)
def test_what_does_not_fit_is_refused(make_pipeline: Make, default: Any, message: str) -> None:
    """The error names the parameter."""
    with pytest.raises(DefinitionError, match=message):
        make_pipeline(label_default=default)
