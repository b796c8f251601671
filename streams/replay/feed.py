"""Produces a replay's records, no faster than the worker processes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.protocols import Clients
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.watch import Progress
from millrace.streams.replay.window import Window, size_bytes

LOOK_SECONDS = 0.05
"""Time between two looks at the worker: each look takes milliseconds of its time."""

_LINGER_MS = 20  # fewer, larger requests: the broker is on the same machine as the worker


class Looks(Protocol):
    """What a feed needs of `streams.replay.watch.Watch`."""

    def look(self, sent_events: int, sent_labels: int) -> Progress: ...


class Feed:
    """Sends records and waits until the worker has processed the last of them.

    Parameters
    ----------
    clients
        Of the broker.
    topic
        The pipeline's `events`, with its prefix.
    window
        How much may be in flight.
    watch
        Says how far the worker is.
    rate
        Records per second at most; None for as fast as the worker processes them.
    on_progress
        Called with the number of events that are done.
    clock, sleep
        Seconds, monotonic.

    Attributes
    ----------
    events, labels
        Records sent.
    seconds
        From the first record sent to the last one done.
    """

    def __init__(
        self,
        clients: Clients,
        topic: str,
        window: Window,
        watch: Looks,
        *,
        rate: float | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.events = self.labels = 0
        self.seconds = 0.0
        self._producer = CheckedProducer(clients, {"linger.ms": _LINGER_MS})
        self._topic = topic
        self._window = window
        self._watch = watch
        self._rate = rate
        self._on_progress = on_progress
        self._clock = clock
        self._sleep = sleep
        self._looked_at = 0.0

    def run(self, records: Iterable[Outgoing]) -> None:
        """Send every record, in order, and wait until all are predicted, learned or rejected.

        Raises
        ------
        BrokerError
            A record was not delivered, or the worker makes no progress.
        MillraceError
            The worker ended.
        """
        started = self._looked_at = self._clock()
        for number, record in enumerate(records):
            due = started + number / self._rate if self._rate else started
            while self._window.is_full or self._clock() < due:
                self._wait(due)
            self._send(record)
        while self._look().missing(self.events, self.labels):
            self._sleep(LOOK_SECONDS)
        self.seconds = self._clock() - started

    def _send(self, record: Outgoing) -> None:
        self._producer.produce(self._topic, record.value, record.key, record.partition)
        self._window.add(size_bytes(record))
        self.labels += record.is_label
        self.events += not record.is_label
        self._look_if_due()

    def _wait(self, due: float) -> None:
        """Wait until the next record is due, or the worker may have made room for it."""
        seconds = due - self._clock()
        self._sleep(min(seconds, LOOK_SECONDS) if seconds > 0 else LOOK_SECONDS)
        self._look_if_due()

    def _look_if_due(self) -> None:
        if self._clock() - self._looked_at >= LOOK_SECONDS:
            self._look()

    def _look(self) -> Progress:
        self._producer.poll()
        progress = self._watch.look(self.events, self.labels)
        arrived = progress.events + (progress.labels if self.labels else 0)
        self._window.advance(arrived - progress.unread)
        self._on_progress(progress.events)
        self._looked_at = self._clock()
        return progress
