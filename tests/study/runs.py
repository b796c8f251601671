"""One run: two models, a stream, and when a comparison of them is decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import cast

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.selection.contest import Contest
from millrace.schemas.records import Evaluation, FeatureVector, Label
from millrace.streams.operators.record import LabelRecord, Origin, Record, VectorRecord
from tests.study.pairs import Pair
from tests.study.streams import BEGIN_MS, SECOND_MS, SILENCE, Labels, Step
from tests.unit.streams.operators.commanding import folded, make_task

_SLICE = 1_000
_SILENCE_EVENTS = 2_000
_SCHEMA = {
    "type": "record",
    "name": "Point",
    "fields": [
        {"name": "id", "type": "string"},
        *({"name": name, "type": "double"} for name in "abc"),
    ],
}


@dataclass(frozen=True)
class Found:
    """What a run has shown.

    Attributes
    ----------
    labels
        How many labels it took to find the challenger better; None where it was not.
    difference
        By how much it was better, of all events, as a mean of losses.
    blocks
        How many blocks of events there were.
    """

    labels: int | None
    difference: float
    blocks: int


def compare(pair: Pair, steps: Iterator[Step], labels: Labels) -> Found:
    """Let two models meet a stream, as a worker would, and look after each block."""
    pipeline = _pipeline(pair, labels)
    task, contest, decided = make_task(pipeline), Contest(["no_change", "prior"]), None
    while part := [*islice(steps, _SLICE)]:
        for made in folded(task, map(_record, part)):
            if made.topic != "evaluations":
                continue
            contest.add(cast(Evaluation, made.value))
            standing = contest.standings["challenger"]
            if decided is None and standing.proof >= 1:
                decided = standing.labels
    mean = contest.standings["challenger"].evidence.mean if contest.blocks else 0.0
    return Found(decided, mean, contest.blocks)


def _pipeline(pair: Pair, labels: Labels) -> Pipeline:
    after = timedelta(seconds=_SILENCE_EVENTS)
    return Pipeline(
        name="study",
        schema=_SCHEMA,
        event_id="id",
        task="binary",
        models=pair,
        metrics={},
        pending=Pending(ttl=timedelta(days=1)),
        label_default=LabelDefault(False, after=after) if labels == SILENCE else None,
    )


def _record(step: Step) -> Record:
    """Return a step as the operator that predicts reads it; there is an event each second."""
    time_ms = BEGIN_MS + SECOND_MS * step.number
    event_id, origin = str(step.number), Origin("features", 0, step.number, time_ms, None, None)
    if step.features is None:
        assert step.label is not None
        label = Label(
            event_id=event_id, label=step.label, label_time_ms=None, key=None, source="labels"
        )
        return LabelRecord(label, origin, "features")
    vector = FeatureVector(
        event_id=event_id, key=None, event_time_ms=time_ms, label=None, features=step.features
    )
    return VectorRecord(vector, origin)
