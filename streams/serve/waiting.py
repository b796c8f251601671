"""Who waits for the prediction of an event.

All of it happens in the event loop. A prediction is found by the id of its event, a reject by the
place of its record, or by the id where an agent behind `ingest` has rejected it.

A prediction counts more than a reject: the two are on topics of their own, so that the reject of a
duplicate may be read before the prediction that it is a duplicate of.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import KafkaError

from millrace.schemas import RejectReason
from millrace.schemas.records import Prediction
from millrace.streams.serve.sending import RecordPlace

GRACE_SECONDS = 0.25
"""How long a prediction may be read later than a reject of the same event."""

DUPLICATE_GRACE_SECONDS = 2.0
"""How long one may be read later than the reject of a duplicate: another record led to it."""

_MOST_UNDER_WAY = 100_000


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
    is_again
        Whether the event was taken before already, and has no prediction yet.
    """

    def __init__(self) -> None:
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.place: RecordPlace | None = None
        self.waiting = 0
        self.is_sent = self.is_again = False

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
        if wait is None:
            return
        seconds = GRACE_SECONDS
        if why.reason == RejectReason.DUPLICATE_EVENT:
            if wait.is_again:
                return  # what it is a duplicate of has a verdict yet to come
            seconds = DUPLICATE_GRACE_SECONDS
        asyncio.get_running_loop().call_later(seconds, wait.end, why)

    def stop(self) -> None:
        """End all waits: this process stops."""
        for wait in self._by_id.values():
            wait.end(Stopped())


class UnderWay:
    """The events that are on Kafka and that nothing has come of yet: the newest, if many.

    An event that is sent again meanwhile is rejected as a duplicate, before the first one has its
    prediction.
    """

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, RecordPlace] = OrderedDict()
        self._by_place: dict[RecordPlace, str] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, event_id: str, place: RecordPlace) -> bool:
        """Take an event; return whether another one with the id is under way."""
        if event_id in self._by_id:
            return True
        self._by_id[event_id] = place
        self._by_place[place] = event_id
        if len(self._by_id) > _MOST_UNDER_WAY:
            self.end(next(iter(self._by_id)))
        return False

    def end(self, event_id: str) -> None:
        """Note that an event has its prediction, or will have none."""
        place = self._by_id.pop(event_id, None)
        if place is not None:
            del self._by_place[place]

    def end_at(self, place: RecordPlace) -> None:
        """Note that the event at a place will have no prediction."""
        if place in self._by_place:
            self.end(self._by_place[place])
