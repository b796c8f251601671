"""How far a worker is, from its `/metrics`, and whether it makes progress."""

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
"""Gauges that change within a batch, where counters change after it: a slow model is no stall."""

_MADE = frozenset({"predictions", "examples"})
"""Topics that agents after prediction read."""


class Watched(Protocol):
    """What a watch needs of a worker; `streams.worker.subprocess.WorkerProcess` is one."""

    def metrics(self) -> Samples: ...

    def failing(self) -> dict[str, str]: ...

    def last_lines(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the worker has done so far.

    Attributes
    ----------
    received
        Events read by ingest.
    events
        Events predicted or rejected.
    rejected
        Events rejected: with each, a label inside it is lost.
    examples
        Labels read by ingest, inside events too, and events that models learn from without labels.
    labels
        Those of `examples` that were learned, rejected, replaced by a correction, or held because
        their events were rejected.
    unread
        Predictions and examples that later agents have yet to read.
    """

    received: int
    events: int
    rejected: int
    examples: int
    labels: int
    unread: int

    def missing(self, sent_events: int, sent_labels: int) -> list[str]:
        """Say what is left to do when so much has been produced; empty when all is done."""
        lost = 0 if sent_labels else self.rejected
        counts = {
            "events not read": sent_events - self.received,
            "events neither predicted nor rejected": sent_events - self.events,
            "labels neither learned nor rejected": max(self.examples, sent_labels)
            - self.labels
            - lost,
            "predictions or examples not read": self.unread,
        }
        return [f"{count} {what}" for what, count in counts.items() if count > 0]


class Watch:
    """Looks at a worker repeatedly, and raises an error when it cannot finish.

    Parameters
    ----------
    worker
        The worker.
    pipeline, settings
        What it runs, and how.
    stall_seconds
        Time without progress, while something is missing, after which it has stalled.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    samples
        The newest `/metrics`.
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
        self._later = [each for each in settings.agents_of(pipeline) if each.reads <= _MADE]
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
            An agent failed on the embedded broker, which cannot give its input again; or the
            worker has stalled.
        MillraceError
            The worker ended.
        """
        samples = self._worker.metrics()
        if samples.total(str(names.AGENT_UP)):  # else it was too busy to answer
            self.samples = samples
        if self._is_embedded and self.samples.total(names.AGENT_RESTARTS.total):
            raise BrokerError(f"an agent of the worker failed: {self._cause()}")
        progress = self._progress()
        self._check_moving(progress, progress.missing(sent_events, sent_labels))
        return progress

    def _progress(self) -> Progress:
        total = self.samples.total
        predictions = int(total(names.PREDICTIONS.total))
        rejected = int(total(names.EVENTS_REJECTED.total))
        unlabelled = predictions if self._learns_without_labels else 0
        labels = int(total(names.RECORDS_RECEIVED.total, kind="label"))
        waiting = [total(str(names.PENDING), kind=each) for each in ("label", "held_label")]
        replaced = [total(names.LABELS.total, fate=each) for each in ("corrected", "overruled")]
        held = sum(waiting + replaced)
        learned = total(names.EXAMPLES_LEARNED.total) + total(names.LABELS_REJECTED.total)
        return Progress(
            received=int(total(names.RECORDS_RECEIVED.total, kind="event")),
            events=predictions + rejected,
            rejected=rejected,
            examples=labels + unlabelled,
            labels=int(learned + held),
            unread=self._unread(predictions, unlabelled),
        )

    def _unread(self, predictions: int, unlabelled: int) -> int:
        """Return how many records the agents that read predictions or examples are behind."""
        joined = int(self.samples.total(names.LABELS.total, fate="joined"))
        made = {"predictions": predictions, "examples": joined + unlabelled}
        read = self.samples.by("agent", names.AGENT_BATCH_RECORDS.sum)
        return sum(
            max(sum(made[topic] for topic in agent.reads) - int(read.get(agent.name, 0)), 0)
            for agent in self._later
        )

    def _check_moving(self, progress: Progress, missing: list[str]) -> None:
        seen = (progress, *(self.samples.total(str(name)) for name in _LIVE))
        if seen != self._seen or not missing:
            self._seen, self._seen_at = seen, self._clock()
        elif self._clock() - self._seen_at > self._stall_seconds:
            raise BrokerError(
                f"the worker made no progress for {self._stall_seconds:.0f} s, with"
                f" {', '.join(missing)}: {self._cause()}"
            )

    def _cause(self) -> str:
        failing = self._worker.failing()
        kinds = "".join(f"agent {name}: {kind}; " for name, kind in failing.items())
        return f"{kinds}the end of its log is: {self._worker.last_lines()}"
