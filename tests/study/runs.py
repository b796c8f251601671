"""One run: two models, a stream, and when a comparison of them is decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import cast

from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.label_default import LabelDefault
from millrace.models.selection.promoter import Promoter
from millrace.models.selection.promotion import Promotion
from millrace.schemas.records import Evaluation, FeatureVector, Label
from millrace.streams.operators.record import LabelRecord, Origin, Record, VectorRecord
from tests.study.pairs import Pair
from tests.study.streams import BEGIN_MS, SECOND_MS, SILENCE, Labels, Step
from tests.unit.streams.operators.commanding import folded, make_task

_SLICE = 1_000
_SILENCE_EVENTS = 2_000
_OTHER = {"champion": "challenger", "challenger": "champion"}
_SCHEMA: dict[str, object] = {
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
        After how many labels the challenger was to serve; None where it never was.
    proof_labels
        After how many labels it was proven better on the events that were seen.
    blocks, events
        How many blocks of events there were until then, and labelled events in them.
    total, squares
        By how much it was better: sums of differences of losses, and of their squares.
    """

    labels: int | None
    proof_labels: int | None
    blocks: int
    events: int
    total: float
    squares: float


def compare(pair: Pair, steps: Iterator[Step], labels: Labels) -> Found:
    """Let two models meet a stream, as a worker would, until it is decided between them."""
    return found(evaluations(pair, steps, labels))


def evaluations(pair: Pair, steps: Iterator[Step], labels: Labels) -> Iterator[Evaluation]:
    """Yield the blocks of a stream."""
    task = make_task(_pipeline(pair, labels))
    while part := [*islice(steps, _SLICE)]:
        for made in folded(task, map(_record, part)):
            if made.topic == "evaluations":
                yield cast(Evaluation, made.value)


def found(blocks: Iterable[Evaluation]) -> Found:
    """Return when blocks decide that the challenger is to serve; those after it are not read."""
    promoter = Promoter(["no_change", "prior"])
    labels = proof_labels = None
    total, squares, events = 0.0, 0.0, 0
    for block in blocks:
        decision = promoter.add(block)
        standing = promoter.contest.standings["challenger"]
        losses = block["candidates"]["challenger"]
        total, squares = total + losses["difference"], squares + losses["squared_difference"]
        if proof_labels is None and standing.is_proven:
            proof_labels = standing.labels
        events = standing.labels
        if decision is not None:
            labels = standing.labels
            break
    return Found(labels, proof_labels, promoter.contest.blocks, events, total, squares)


def mirrored(block: Evaluation) -> Evaluation:
    """Return a block of a pair with the two in each other's places."""
    champion, challenger = (block["candidates"][name] for name in _OTHER)
    nothing = {"rival": "champion", "difference": 0.0, "squared_difference": 0.0}
    of_champion = {**challenger, **nothing}
    of_challenger = champion | {
        "rival": "champion",
        "difference": -challenger["difference"],
        "squared_difference": challenger["squared_difference"],
    }
    candidates = {"champion": of_champion, "challenger": of_challenger}
    drifted = [_OTHER.get(name, name) for name in block["drifted"]]
    return cast(Evaluation, {**block, "candidates": candidates, "drifted": drifted})


def _pipeline(pair: Pair, labels: Labels) -> Pipeline:
    after = timedelta(seconds=_SILENCE_EVENTS)
    return Pipeline(
        name="study",
        schema=_SCHEMA,
        event_id="id",
        task="binary",
        models=pair,
        metrics={},
        promotion=Promotion(),
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
