"""Who waits for the prediction of an event.

All of it happens in the event loop. A prediction is found by the id of its event, a reject by the
place of its record, or by the id where an agent behind `ingest` has rejected it.

A prediction counts more than a reject: the two are on topics of their own, so that the reject of a
duplicate may be read before the prediction that it is a duplicate of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import KafkaError

from millrace.schemas.records import Prediction
from millrace.streams.serve.sending import RecordPlace

GRACE_SECONDS = 0.25
"""How long a prediction may be read later than a reject of the same event."""


class Rejected(NamedTuple):
    """Why a record was rejected."""

    reason: str
    detail: str


class Stopped:
    """The process stops."""


Verdict = Prediction | Rejected | KafkaError | Stopped
"""What has come of an event; a `KafkaError` where it may not have been written."""


class Wait:
    """The wait for one event, of all who have sent it meanwhile.

    Attributes
    ----------
    verdict
        What they wait for.
    place
        Where the event is; None while that is not known.
    waiting
        How many wait.
    is_sent
        Whether one of them has sent the event.
    """

    def __init__(self) -> None:
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.place: RecordPlace | None = None
        self.waiting = 0
        self.is_sent = False

    def end(self, verdict: Verdict) -> None:
        """Say what has come of the event; what was said first counts."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)


class Waits:
    """All waits, by the ids of their events."""

    def __init__(self) -> None:
        self._by_id: dict[str, Wait] = {}
        self._by_place: dict[RecordPlace, Wait] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @contextmanager
    def of(self, event_id: str) -> Iterator[Wait]:
        """Give the wait for an event, which the first to wait begins."""
        wait = self._by_id.get(event_id)
        if wait is None:
            wait = self._by_id[event_id] = Wait()
        wait.waiting += 1
        try:
            yield wait
        finally:
            wait.waiting -= 1
            if not wait.waiting:
                del self._by_id[event_id]
                if wait.place is not None:
                    self._by_place.pop(wait.place, None)
                wait.verdict.cancel()

    def placed(self, wait: Wait, place: RecordPlace) -> None:
        """Note where an event is."""
        if wait.waiting:
            wait.place = place
            self._by_place[place] = wait

    def predicted(self, prediction: Prediction) -> None:
        """Take a prediction."""
        wait = self._by_id.get(prediction["event_id"])
        if wait is not None:
            wait.end(prediction)

    def rejected(self, place: RecordPlace, event_id: str | None, why: Rejected) -> None:
        """Take a reject of the record at a place, and of the event with an id if that is known."""
        wait = self._by_place.get(place) or self._by_id.get(event_id or "")
        if wait is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(GRACE_SECONDS, wait.end, why)

    def stop(self) -> None:
        """End all waits: this process stops."""
        for wait in self._by_id.values():
            wait.end(Stopped())
