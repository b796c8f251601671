"""Runs: consecutive records of which each has the fate that almost all have.

An event is new, and brings its label or waits for it; a label meets an event that waits, unless
labels are held. Nothing expires or is evicted on the way. What becomes of such records does not
depend on what models say of them, so that it is known beforehand: models can follow a whole run in
one loop, and what is kept of it is kept at once. All other records are taken one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from millrace.models.candidates.steps import Step
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import FeatureVector, LabelValue, Predicted
from millrace.streams.operators.classes import Classes
from millrace.streams.operators.ended_events import EndedEvents
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.label_sources import INSIDE
from millrace.streams.operators.packing import Waiting
from millrace.streams.operators.record import LabelRecord, Record, VectorRecord
from millrace.streams.operators.waiting import WaitingEvents, wait_ms
from millrace.streams.operators.waiting_labels import WaitingLabels
from millrace.streams.operators.watermark import Watermark


@dataclass(slots=True)
class Run:
    """Records that are taken together, one step each.

    Attributes
    ----------
    steps
        What each record asks of models, and teaches them.
    events
        The events, in order.
    labels_before
        How many labels had been joined before each event.
    events_before
        How many events had come when each label was joined, with those that bring their labels.
    joined
        The events that meet their labels, in order of these.
    waiting
        Id to event: those that wait for their label when the run ends.
    met
        Ids of those that had waited before the run, and do no longer.
    """

    steps: list[Step] = field(default_factory=list)
    events: list[VectorRecord] = field(default_factory=list)
    labels_before: list[int] = field(default_factory=list)
    events_before: list[int] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    met: list[str] = field(default_factory=list)

    def add_event(self, record: VectorRecord, place: int) -> None:
        """Add an event, with its label where it has that."""
        vector = record.value
        label, features = vector["label"], vector["features"]
        predicted: dict[str, Predicted] = {}
        self.events.append(record)
        self.labels_before.append(len(self.joined))
        if label is None:
            self.waiting[vector["event_id"]] = Waiting(vector, predicted)
            self.steps.append(Step(features, predicted, None, None, predicted))
            return
        time_ms, origin = vector["event_time_ms"], record.origin
        self.events_before.append(len(self.events))
        self.joined.append(Joined(vector, predicted, label, time_ms, INSIDE, origin, place, origin))
        self.steps.append(Step(features, predicted, features, label, predicted))

    def add_label(self, record: LabelRecord, waiting: Waiting, place: int) -> None:
        """Add a label and the event that it meets."""
        given, (vector, predicted), origin = record.value, waiting, record.origin
        label, time_ms, source = given["label"], given["label_time_ms"], given.get("source")
        self.events_before.append(len(self.events))
        self.joined.append(Joined(vector, predicted, label, time_ms, source, origin, place, origin))
        self.steps.append(Step(None, {}, vector["features"], label, predicted))

    @classmethod
    def of(cls, records: Iterable[Record], waited: Iterable[Waiting], place: int) -> Run:
        """Return the run of events and of labels, whose events have waited."""
        run, events = cls(), iter(waited)
        for record in records:
            if type(record) is VectorRecord:
                run.add_event(record, place)
            elif type(record) is LabelRecord:
                run.add_label(record, next(events), place)
                run.met.append(record.value["event_id"])
        return run

    @classmethod
    def of_labelled(cls, events: list[VectorRecord], place: int) -> Run:
        """Return the run of events that all bring their labels."""
        vectors = [each.value for each in events]
        features = [each["features"] for each in vectors]
        labels = [each["label"] for each in vectors]
        times_ms = [each["event_time_ms"] for each in vectors]
        predicted: list[dict[str, Predicted]] = [{} for _ in events]
        origins = [each.origin for each in events]
        sources, places = repeat(INSIDE), repeat(place)
        joined = map(
            Joined, vectors, predicted, labels, times_ms, sources, origins, places, origins
        )
        steps = map(Step, features, predicted, features, labels, predicted)
        count = len(events)
        return cls([*steps], events, [*range(count)], [*range(1, count + 1)], [*joined])

    def first(self, steps: int) -> Run:
        """Return the first steps as a run."""
        done = self.steps[:steps]
        events = sum(step.asked is not None for step in done)
        joined = self.joined[: sum(step.taught is not None for step in done)]
        ended = {each.vector["event_id"] for each in joined}
        answers = [step.answers for step in done if step.asked is not None]
        return Run(
            done,
            self.events[:events],
            self.labels_before[:events],
            self.events_before[: len(joined)],
            joined,
            {
                event_id: Waiting(record.value, predicted)
                for record, predicted in zip(self.events, answers, strict=False)
                if (event_id := record.value["event_id"]) not in ended
            },
            [event_id for event_id in self.met if event_id in ended],
        )


class RunFinder:
    """Finds runs by what a label join keeps, of which it changes nothing.

    Parameters
    ----------
    pipeline
        The definition.
    waiting, labels, ended, watermark, classes
        What the join keeps.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        waiting: WaitingEvents,
        labels: WaitingLabels,
        ended: EndedEvents,
        watermark: Watermark,
        classes: Classes,
    ) -> None:
        self._names = [*pipeline.models]
        self._wait_ms = wait_ms(pipeline)
        self._learns_without_labels = pipeline.learns_without_labels
        self._waiting = waiting
        self._labels = labels
        self._ended = ended
        self._watermark = watermark
        self._classes = classes

    def find(self, records: Sequence[Record], place: int, most_labels: int) -> Run:
        """Return the run that the next records begin with; it may be empty.

        Parameters
        ----------
        records
            The next records.
        place
            How much their slice has led to before.
        most_labels
            That may be joined.
        """
        self._run, self._place = Run(), place
        labels = self._labels
        self._most_labels = 0 if labels.holds else most_labels
        self._held_until_ms = labels.held_until_ms
        is_unsure = labels.some_wait and self._watermark.time_ms is None
        ends_holding = bool(labels.held) and not labels.holds
        if self._learns_without_labels or is_unsure or ends_holding:
            return self._run
        if labels.holds:
            return self._of_each(records)
        return self._of_all(records) or self._of_each(records)

    def _of_all(self, records: Sequence[Record]) -> Run | None:
        """Return a run of all records, if they are new events, and labels of events that waited."""
        events = [each for each in records if type(each) is VectorRecord]
        labels = [each for each in records if type(each) is LabelRecord]
        vectors = [each.value for each in events]
        ids = {each["event_id"] for each in vectors}
        met = [each.value["event_id"] for each in labels]
        if len(ids) + len({*met}) < len(records) or not self._are_new(ids):
            return None
        unlabelled = [each for each in vectors if each["label"] is None]
        known = {each["label"] for each in vectors} | {each.value["label"] for each in labels}
        times_ms = [each["event_time_ms"] for each in vectors]
        latest_ms = max([*times_ms, self._watermark.latest_ms])
        oldest_ms = min(*times_ms, self._labels.early.oldest_ms, self._waiting.oldest_ms)
        size_bytes = sum(map(self._waiting.most_size_of, unlabelled))
        if (
            len(records) - len(unlabelled) > self._most_labels
            or latest_ms - self._wait_ms > oldest_ms
            or not all(each is None or self._classes.has(each) for each in known)
            or not self._waiting.has_room(len(unlabelled), size_bytes)
        ):
            return None
        if not labels and not unlabelled:
            return Run.of_labelled(events, self._place)
        waited = [each for each in map(self._waiting.get, met) if each is not None]
        if len(waited) < len(met) or not all(map(self._is_predicted, waited)):
            return None
        return Run.of(records, waited, self._place)

    def _are_new(self, ids: set[str]) -> bool:
        """Whether none of the events has come, and no label of any."""
        return (
            self._ended.has_none(ids)
            and self._waiting.has_none(ids)
            and self._labels.early.entries.keys().isdisjoint(ids)
        )

    def _of_each(self, records: Iterable[Record]) -> Run:
        """Return the run that the next records begin with, looking at one after the other."""
        self._seen: set[str] = set()
        self._size_bytes = 0
        self._latest_ms = self._watermark.latest_ms
        self._oldest_ms = min(self._labels.early.oldest_ms, self._waiting.oldest_ms)
        for record in records:
            if type(record) is VectorRecord:
                if not self._add_event(record):
                    break
            elif not (type(record) is LabelRecord and self._add_label(record)):
                break
        return self._run

    def _add_event(self, record: VectorRecord) -> bool:
        """Add an event to the run, if it is new, and nothing expires as it comes."""
        vector = record.value
        event_id, time_ms, label = vector["event_id"], vector["event_time_ms"], vector["label"]
        if event_id in self._seen or event_id in self._ended or event_id in self._waiting:
            return False
        if self._labels.early and event_id in self._labels.early.entries:
            return False
        self._latest_ms = max(self._latest_ms, time_ms)
        self._oldest_ms = min(self._oldest_ms, time_ms)
        if self._latest_ms - self._wait_ms > self._oldest_ms:
            return False
        if self._latest_ms > self._held_until_ms:
            return False
        if not (self._has_room(vector) if label is None else self._is_learnable(label)):
            return False
        self._seen.add(event_id)
        self._run.add_event(record, self._place)
        return True

    def _add_label(self, record: LabelRecord) -> bool:
        """Add a label to the run, if its event waits."""
        event_id = record.value["event_id"]
        if not self._is_learnable(record.value["label"]):
            return False
        event = self._run.waiting.pop(event_id, None)
        if event is None:
            event = self._waiting.get(event_id)
            if event is None or event_id in self._seen or not self._is_predicted(event):
                return False
            self._seen.add(event_id)
            self._run.met.append(event_id)
        self._run.add_label(record, event, self._place)
        return True

    def _is_learnable(self, label: LabelValue) -> bool:
        return len(self._run.joined) < self._most_labels and self._classes.has(label)

    def _is_predicted(self, event: Waiting) -> bool:
        """Whether every candidate made a prediction for an event."""
        predicted = event.predicted
        return all(
            name in predicted and predicted[name]["value"] is not None for name in self._names
        )

    def _has_room(self, vector: FeatureVector) -> bool:
        self._size_bytes += self._waiting.most_size_of(vector)
        return self._waiting.has_room(len(self._run.waiting) + 1, self._size_bytes)
