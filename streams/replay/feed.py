"""Produces a replay's records no faster than the worker lets go of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.replay.encoding import Outgoing
from millrace.streams.replay.watch import Progress
from millrace.streams.replay.window import Window, size_bytes
from millrace.streams.settings import Settings

_LONGEST_PAUSE_SECONDS = 0.5
_SHORTEST_PAUSE_SECONDS = 0.02
_LINGER_MS = 20  # fewer, larger requests: the broker is on the same machine as the worker
_STRIDE = 64
"""Records between two looks at the clock."""


class Looks(Protocol):
    """What is asked of `streams.replay.watch.Watch`."""

    def look(self, sent_events: int, sent_labels: int) -> Progress: ...


class Feed:
    """Sends records and waits until the last of them is done.

    Parameters
    ----------
    settings
        Where the broker is.
    topic
        The pipeline's `events`, with its prefix.
    window
        How much may be on its way.
    watch
        Knows how far the worker is.
    rate
        Records per second at the most; None for as fast as the worker takes them.
    on_progress
        Told how many events are done.

    Attributes
    ----------
    events, labels
        Records sent.
    seconds
        From the first record sent to the last one done.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        window: Window,
        watch: Looks,
        *,
        rate: float | None = None,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._producer = CheckedProducer(KafkaClients(settings), {"linger.ms": _LINGER_MS})
        self._topic = topic
        self._window = window
        self._watch = watch
        self._rate = rate
        self._on_progress = on_progress
        self._started = self._looked_at = 0.0
        self._pause_seconds = _SHORTEST_PAUSE_SECONDS
        self.events = 0
        self.labels = 0
        self.seconds = 0.0

    def run(self, records: Iterable[Outgoing]) -> None:
        """Send every record, in order, and wait until all are predicted, learned or rejected.

        Raises
        ------
        BrokerError
            A record was not taken, or the worker does not get any further.
        MillraceError
            The worker ended.
        """
        self._started = started = time.perf_counter()
        for number, record in enumerate(records):
            if self._rate is not None:
                self._wait_until(started + number / self._rate)
            elif (
                number % _STRIDE == 0
                and time.perf_counter() - self._looked_at > _LONGEST_PAUSE_SECONDS
            ):
                self._look()
            while self._window.is_full:
                self._wait()
            self._send(record)
        while self._look().missing(self.events, self.labels):
            time.sleep(self._pause_seconds)
        self.seconds = time.perf_counter() - started

    def _send(self, record: Outgoing) -> None:
        self._producer.produce(self._topic, record.value, record.key, record.partition)
        self._window.add(size_bytes(record))
        self.labels += record.is_label
        self.events += not record.is_label

    def _look(self) -> Progress:
        self._producer.poll()
        progress = self._watch.look(self.events, self.labels)
        arrived = progress.events + (progress.labels if self.labels else 0)
        self._window.advance(arrived - progress.unread)
        self._on_progress(progress.events)
        self._looked_at = now = time.perf_counter()
        if self._window.passed:
            # Until half of what is on its way should be done: each look costs the worker time.
            record_seconds = (now - self._started) / self._window.passed
            half_seconds = self._window.on_their_way * record_seconds / 2
            self._pause_seconds = min(
                max(half_seconds, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS
            )
        return progress

    def _wait(self) -> None:
        time.sleep(self._pause_seconds)
        self._look()

    def _wait_until(self, due: float) -> None:
        while (left := due - time.perf_counter()) > 0:
            if time.perf_counter() - self._looked_at > _LONGEST_PAUSE_SECONDS:
                self._look()
            time.sleep(min(left, _LONGEST_PAUSE_SECONDS))
