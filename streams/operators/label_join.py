"""Where a label meets its event.

Prediction hands over each event that it has predicted, with what every candidate predicted, and
each label. The features are kept until the label comes: models learn from what they saw, never
from features computed again. What is joined goes to training (`learning`, or the examples for
it); what cannot be joined becomes a reject, and everything that ends an outcome (`outcomes`).

State: waiting events and early labels, each up to `pending.limit`, and the ends of as many past
events. Duplicates are recognised within that memory; beyond it, a repeated event is a new one and
its label an orphan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from millrace.models.candidates.losses import losses
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import Fate, FeatureVector, Label, LabelValue, Predicted
from millrace.streams.operators.base import Reading, Tally
from millrace.streams.operators.ended_events import EndedEvents
from millrace.streams.operators.keyed_state import KeyedState, StateStore
from millrace.streams.operators.outcomes import Outcomes
from millrace.streams.operators.record import Origin, Record

_WATERMARK = "watermark_ms"


class Waiting(NamedTuple):
    """An event that waits for its label, with what every candidate predicted."""

    vector: FeatureVector
    predicted: dict[str, Predicted]


class Early(NamedTuple):
    """A label that waits for its event, and the watermark when it came."""

    label: Label
    origin: Origin
    since_ms: int


class Joined(NamedTuple):
    """An event to train on, with its label.

    Attributes
    ----------
    vector
        The features that the models saw.
    predicted
        What each candidate predicted.
    label
        None where models learn without labels.
    label_time_ms
        When the label became known; None where that is unknown.
    losses
        Candidate to loss, for those that made a prediction.
    origin
        Of the record that brought the label.
    """

    vector: FeatureVector
    predicted: dict[str, Predicted]
    label: LabelValue | None
    label_time_ms: int | None
    losses: dict[str, float]
    origin: Origin


class Training(Protocol):
    """Takes what is joined: learning itself, or the examples for it."""

    def train(self, joined: Joined) -> Iterable[Record]: ...


class LabelJoin:
    """Joins the labels and the predicted events of one partition.

    Parameters
    ----------
    pipeline
        The definition.
    training
        Takes what is joined.
    tally
        Where fates are counted.

    Attributes
    ----------
    stores
        Name to keyed state, for the operator that owns this join.
    """

    def __init__(self, pipeline: Pipeline, training: Training, tally: Tally) -> None:
        self._task = Task(pipeline.task)
        self._learns_without_labels = pipeline.learns_without_labels
        self._limit = pipeline.pending.limit
        self._ttl_ms = int(pipeline.pending.ttl.total_seconds() * 1000)
        self._training = training
        self._outcomes = Outcomes(tally)
        self._waiting: KeyedState[Waiting] = KeyedState()
        self._early: KeyedState[Early] = KeyedState()
        self._ended = EndedEvents(self._limit)
        self._progress: KeyedState[int] = KeyedState()
        self.stores: dict[str, StateStore] = {
            "waiting": self._waiting,
            "early": self._early,
            "ends": self._ended.segments,
            "progress": self._progress,
        }

    def knows(self, event_id: str) -> bool:
        """Whether an event with this id is waiting, or has ended lately."""
        return event_id in self._waiting or event_id in self._ended

    def add_event(
        self, vector: FeatureVector, predicted: dict[str, Predicted], origin: Origin
    ) -> list[Record]:
        """Take an event that has been predicted, and join it if its label is known."""
        event_id = vector["event_id"]
        label, time_ms = vector["label"], vector["event_time_ms"]
        made = self._advance(time_ms, origin)
        if label is None:
            self._waiting[event_id] = Waiting(vector, predicted)
        else:
            made += self._join(vector, predicted, label, time_ms, origin)
        if self._learns_without_labels:
            made += self._training.train(Joined(vector, predicted, None, None, {}, origin))
        if event_id in self._early:
            early = self._early[event_id]
            del self._early[event_id]
            made += self.add_label(early.label, early.origin)
        return made

    def add_label(self, label: Label, origin: Origin) -> list[Record]:
        """Take a label, and join it if its event waits."""
        event_id = label["event_id"]
        waiting = self._waiting.take(event_id)
        if waiting is not None:
            return self._join(*waiting, label["label"], label["label_time_ms"], origin)
        if event_id in self._ended:
            return self._too_late(label, origin)
        return self._hold(label, origin)

    def readings(self) -> Iterable[Reading]:
        """Return how many events and labels wait."""
        yield Reading("pending", ("event",), len(self._waiting))
        yield Reading("pending", ("label",), len(self._early))

    def _join(
        self,
        vector: FeatureVector,
        predicted: dict[str, Predicted],
        label: LabelValue,
        label_time_ms: int | None,
        origin: Origin,
    ) -> list[Record]:
        self._ended.add(vector["event_id"], label)
        by_candidate = losses(self._task, label, predicted)
        outcome = self._outcomes.joined(vector, label, label_time_ms, by_candidate, origin)
        joined = Joined(vector, predicted, label, label_time_ms, by_candidate, origin)
        return [outcome, *self._training.train(joined)]

    def _too_late(self, label: Label, origin: Origin) -> list[Record]:
        event_id, learned = label["event_id"], self._ended[label["event_id"]]
        if learned is None:
            fate = Fate.LATE
            detail = f"event {event_id!r} no longer waits for a label (pending.ttl, pending.limit)"
        elif learned == label["label"]:
            fate, detail = Fate.DUPLICATE, _already_labelled(event_id)
        else:
            fate = Fate.LATE_CORRECTION
            detail = (
                f"event {event_id!r} has been learned with the label {learned!r};"
                f" got {label['label']!r}"
            )
        return [*self._outcomes.unusable(label, fate, detail, origin)]

    def _hold(self, label: Label, origin: Origin) -> list[Record]:
        event_id = label["event_id"]
        made: list[Record] = []
        earlier = self._early.get(event_id)
        if earlier is None:
            self._outcomes.waits()
        elif earlier.label["label"] == label["label"]:
            detail = _already_labelled(event_id)
            return [*self._outcomes.unusable(label, Fate.DUPLICATE, detail, origin)]
        else:
            made.append(self._outcomes.corrected(earlier.label, earlier.origin))
        self._early[event_id] = Early(label, origin, self._watermark_ms)
        return made + self._drop_orphans()

    def _advance(self, event_time_ms: int, origin: Origin) -> list[Record]:
        """Move the watermark, and end what has waited for too long."""
        watermark_ms = self._progress.get(_WATERMARK)
        if watermark_ms is None:
            self._start_waiting(event_time_ms)
        elif event_time_ms > watermark_ms:
            self._progress[_WATERMARK] = event_time_ms
        made = self._expire(origin) if self._waiting else []
        return made + self._drop_orphans() if self._early else made

    def _expire(self, origin: Origin) -> list[Record]:
        made: list[Record] = []
        horizon_ms = self._watermark_ms - self._ttl_ms
        while self._waiting:
            event_id, waiting = self._waiting.oldest()
            has_expired = waiting.vector["event_time_ms"] < horizon_ms
            if not has_expired and len(self._waiting) < self._limit:
                break
            del self._waiting[event_id]
            self._ended.add(event_id, None)
            fate = Fate.EXPIRED if has_expired else Fate.EVICTED
            made.append(self._outcomes.unlabelled(waiting.vector, fate, origin))
        return made

    def _start_waiting(self, event_time_ms: int) -> None:
        """Let the labels that came before any event wait from the first event's time."""
        self._progress[_WATERMARK] = event_time_ms
        for event_id, early in [*self._early.items()]:
            self._early[event_id] = early._replace(since_ms=event_time_ms)

    def _drop_orphans(self) -> list[Record]:
        made: list[Record] = []
        horizon_ms = self._watermark_ms - self._ttl_ms
        while self._early:
            event_id, early = self._early.oldest()
            if early.since_ms >= horizon_ms and len(self._early) <= self._limit:
                break
            del self._early[event_id]
            detail = f"event {event_id!r} did not come while its label waited (pending.ttl)"
            made += self._outcomes.unusable(early.label, Fate.ORPHAN, detail, early.origin)
        return made

    @property
    def _watermark_ms(self) -> int:
        return self._progress.get(_WATERMARK, 0)


def _already_labelled(event_id: str) -> str:
    return f"event {event_id!r} already has this label"
