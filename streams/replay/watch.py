"""How far the worker is, from its `/metrics`, and whether it gets any further."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import Settings

STALL_SECONDS = 60.0

_LIVE = (names.MODEL_VERSION, names.PENDING, names.PREQUENTIAL_EXAMPLES)
"""Gauges that move within a batch, where counters move after it: a slow model is no stall."""

_READS = {"learning": "examples", "drift": "predictions"}
"""What the operators after prediction read, where they begin an agent of their own."""


class Watched(Protocol):
    """What is asked of a worker; `streams.worker.subprocess.WorkerProcess` is one."""

    def metrics(self) -> Samples: ...

    def failing(self) -> dict[str, str]: ...

    def last_lines(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has become of the records produced so far.

    Attributes
    ----------
    received_events, received_labels
        By ingest; a label inside an event counts.
    predictions, rejected_events
        An event's two ends.
    learned, rejected_labels, held_labels
        A label's ends: held, because its event was rejected, or replaced by a correction.
    lessons
        Of how many examples the models will learn.
    unread
        Records that the agents after prediction have yet to read.
    """

    received_events: int
    received_labels: int
    predictions: int
    rejected_events: int
    learned: int
    rejected_labels: int
    held_labels: int
    lessons: int
    unread: int

    @property
    def events(self) -> int:
        """Events predicted or rejected."""
        return self.predictions + self.rejected_events

    @property
    def labels(self) -> int:
        """Labels, or events where models learn without labels, learned or rejected."""
        return self.learned + self.rejected_labels + self.held_labels

    def missing(self, sent_events: int, sent_labels: int) -> list[str]:
        """Say what is yet to come when so much has been produced; empty when all is done."""
        unlearned = max(self.lessons, sent_labels) - self.labels
        counts = {
            "events not read": sent_events - self.received_events,
            "events neither predicted nor rejected": sent_events - self.events,
            "labels neither learned nor rejected": unlearned,
            "predictions or examples not read": self.unread,
        }
        return [f"{count} {what}" for what, count in counts.items() if count]


class Watch:
    """Looks at a worker again and again, and raises when there is no point in going on.

    Parameters
    ----------
    worker
        The worker.
    pipeline, settings
        What it runs, and how.
    stall_seconds
        Without any progress for so long, while something is missing, is an error.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    samples
        What `/metrics` said last.
    """

    def __init__(
        self,
        worker: Watched,
        pipeline: Pipeline,
        settings: Settings,
        stall_seconds: float = STALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.samples = Samples([])
        self._worker = worker
        self._learns_without_labels = pipeline.learns_without_labels
        self._late = [each for each in settings.agents if each.operators[0] in _READS]
        self._is_embedded = settings.is_embedded
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._seen: tuple[object, ...] = ()
        self._seen_at = clock()

    def look(self, sent_events: int, sent_labels: int) -> Progress:
        """Return how far the worker is with what has been sent.

        Raises
        ------
        BrokerError
            An agent failed on the embedded broker, where what is lost cannot be read again; or
            nothing has moved for `stall_seconds`.
        MillraceError
            The worker ended.
        """
        samples = self._worker.metrics()
        if samples.total(str(names.AGENT_UP)):  # else it was too busy to answer
            self.samples = samples
        if self._is_embedded and self.samples.total(names.AGENT_RESTARTS.total):
            raise BrokerError(f"the replay requires agents that do not fail; got {self._cause()}")
        progress = self._progress()
        missing = progress.missing(sent_events, sent_labels)
        self._check_moving(progress, missing)
        return progress

    def _progress(self) -> Progress:
        samples = self.samples
        received = samples.by("kind", names.RECORDS_RECEIVED.total)
        predictions = int(samples.total(names.PREDICTIONS.total))
        labels = int(received.get("label", 0))
        corrected = samples.total(names.LABELS.total, fate="corrected")
        return Progress(
            received_events=int(received.get("event", 0)),
            received_labels=labels,
            predictions=predictions,
            rejected_events=int(samples.total(names.EVENTS_REJECTED.total)),
            learned=int(samples.total(names.EXAMPLES_LEARNED.total)),
            rejected_labels=int(samples.total(names.LABELS_REJECTED.total)),
            held_labels=int(samples.total(str(names.PENDING), kind="label") + corrected),
            lessons=labels + (predictions if self._learns_without_labels else 0),
            unread=self._unread(predictions),
        )

    def _unread(self, predictions: int) -> int:
        """Return how far the agents that read predictions or examples are behind."""
        joined = int(self.samples.total(names.LABELS.total, fate="joined"))
        examples = joined + (predictions if self._learns_without_labels else 0)
        made = {"predictions": predictions, "examples": examples}
        read = self.samples.by("agent", names.AGENT_BATCH_RECORDS.sum)
        unread = 0
        for agent in self._late:
            due = sum(made[_READS[each]] for each in agent.operators)
            unread += max(due - int(read.get(agent.name, 0)), 0)
        return unread

    def _check_moving(self, progress: Progress, missing: list[str]) -> None:
        seen = (progress, *(self.samples.total(str(name)) for name in _LIVE))
        if seen != self._seen or not missing:
            self._seen, self._seen_at = seen, self._clock()
        elif self._clock() - self._seen_at > self._stall_seconds:
            raise BrokerError(
                f"the replay requires progress; got none for {self._stall_seconds:.0f} s with"
                f" {', '.join(missing)}; {self._cause()}"
            )

    def _cause(self) -> str:
        failing = self._worker.failing()
        said = "; ".join(f"agent {name}: {error}" for name, error in failing.items())
        return said or f"the worker's last words: {self._worker.last_lines()}"
