"""Follows what workers write: one thread reads it, and hands it to the event loop in batches.

A batch is handed over when the one before has been taken, so that memory stays bounded. When the
broker is away, reading goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from threading import Event, Thread
from typing import cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from millrace.models.identity.reference import Reference
from millrace.schemas import BrokerError, MillraceError, RecordError
from millrace.schemas.records import Audit
from millrace.streams.formats import Outputs
from millrace.streams.interval import Interval
from millrace.streams.kafka.admin import partition_counts
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.reading import TopicReader, newest
from millrace.streams.serve.definition import ServedDefinition
from millrace.streams.serve.knowledge import MOST_LISTED, MOST_PREDICTIONS, Seen, record_type
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.deployed import deployment

_BEGINS = {
    "predictions": newest(MOST_PREDICTIONS),
    "outcomes": newest(MOST_PREDICTIONS),
    "alerts": newest(MOST_LISTED),
    "rejects": newest(MOST_LISTED),
    "evaluations": OFFSET_BEGINNING,  # which candidate is ahead follows from all of them
    "audit": OFFSET_BEGINNING,  # has the definitions
}
_PRODUCED = ("events", "labels", "commands")
_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 0.001  # behind half a second in which nothing came
_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 10.0  # whether the broker answers, and for partitions that were added

_log = structlog.get_logger(__name__)

Take = Callable[[Sequence[Seen], ServedDefinition | None], Awaitable[None]]
"""Takes records in the event loop, and another definition where one has come into force."""


class Follower:
    """Follows the outputs of a pipeline.

    Parameters
    ----------
    clients
        Of the broker.
    prefix
        Of the pipeline's topics.
    key
        Definitions are signed with it.
    outputs
        How records are read.
    take
        See `Take`.

    Attributes
    ----------
    counts
        The partitions of each topic on the broker, by its full name.
    problem
        Why it cannot read; empty while it can.
    """

    def __init__(
        self, clients: Clients, prefix: str, key: bytes, outputs: Outputs, take: Take
    ) -> None:
        self._clients, self._prefix, self._outputs, self._take = clients, prefix, outputs, take
        self._store = DefinitionStore(clients, prefix, key)
        self.counts: dict[str, int] = {}
        self._positions: dict[Place, int] = {}
        self._deployed = self._defined = (0, "")  # number of the command, and the definition
        self._is_started = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="following", daemon=True)
        self._refused = ""  # why the definition in force cannot be used
        self.problem = ""

    async def start(self) -> None:
        """Read what is there.

        Raises
        ------
        BrokerError
            The broker does not answer, or has no such topics.
        SnapshotError
            The definition in force is signed with another key.
        """
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        await self._started

    async def stop(self) -> None:
        """End."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception as error:
                if not self._is_started:
                    self._loop.call_soon_threadsafe(self._started.set_exception, error)
                    return
                if not isinstance(error, MillraceError):
                    _log.exception("following failed")
                self.problem = str(error)
                _log.error("cannot follow the pipeline", reason=self.problem)
                self._stopping.wait(_RETRY_SECONDS)

    def _follow(self) -> None:
        """Read until partitions were added, or this is to stop."""
        places, look = self._places(), Interval(_LOOK_SECONDS)
        with closing(TopicReader(self._clients, places)) as reader:
            self.problem = self._refused
            while not self._stopping.is_set():
                messages = reader.take(_POLL_SECONDS)
                seen = [found for each in messages if (found := self._seen(each)) is not None]
                definition = None if reader.unfinished else self._another()
                if seen or definition is not None:
                    self._hand_over(seen, definition)
                self._move(messages)
                if not reader.unfinished and not self._is_started:
                    self._is_started = True
                    self._loop.call_soon_threadsafe(self._started.set_result, None)
                if not messages:
                    self._stopping.wait(_PAUSE_SECONDS)
                if look.is_due:
                    look.restart()
                    if len(self._places()) > len(places):
                        return

    def _places(self) -> list[TopicPartition]:
        counts = self.counts = partition_counts(self._clients)
        self._clients.outage.end()
        wanted = (*_PRODUCED, *_BEGINS)
        missing = [each for each in wanted if self._prefix + each not in counts]
        if missing:
            raise BrokerError(
                f"there is no topic {self._prefix}{missing[0]} on broker {self._clients.broker!r}."
                " Start a worker of the pipeline first, and check --pipeline, which is its name"
            )
        places = [
            (self._prefix + name, partition)
            for name in _BEGINS
            for partition in range(counts[self._prefix + name])
        ]
        is_first = not self._positions
        for topic, partition in places:
            begin = _BEGINS[topic.removeprefix(self._prefix)] if is_first else OFFSET_BEGINNING
            self._positions.setdefault((topic, partition), begin)
        return [TopicPartition(*place, self._positions[place]) for place in places]

    def _move(self, messages: Sequence[Message]) -> None:
        for each in messages:
            place = each.topic() or "", each.partition() or 0
            self._positions[place] = (each.offset() or 0) + 1

    def _seen(self, message: Message) -> Seen | None:
        """Return what a record says; None for what somebody else wrote to the topic."""
        topic = (message.topic() or "").removeprefix(self._prefix)
        data = message.value() or b""
        try:
            record = self._outputs.decode(record_type(topic), data)
            found = deployment(cast(Audit, record)) if topic == "audit" else None
        except (RecordError, ValueError, KeyError):
            return None
        if found is not None:
            self._deployed = max(self._deployed, (found.number, found.definition))
        return Seen(topic, message.partition() or 0, message.offset() or 0, data, record)

    def _another(self) -> ServedDefinition | None:
        """Return the definition in force, where it is another than before.

        One that comes later and cannot be read is reported, and the one before is kept.

        Raises
        ------
        BrokerError
            None was deployed, or the topic cannot be read: it is tried again.
        SnapshotError
            The first one cannot be used.
        """
        _, reference = self._deployed
        if not reference:
            raise BrokerError(
                f"no definition of the pipeline {self._prefix[:-1]!r} is in force yet. Start a"
                " worker, or run `millrace deploy`"
            )
        if self._deployed == self._defined:
            return None
        found = None
        try:
            bundle = self._store.get(Reference.of(reference).digest)
            found, self._refused = ServedDefinition.of(bundle.description, reference), ""
        except MillraceError as error:
            if isinstance(error, BrokerError) or not self._is_started:
                raise
            self._refused = f"the definition in force cannot be used: {error}"
            _log.error("going on with the definition before", reason=str(error))
        self._defined, self.problem = self._deployed, self._refused
        return found

    def _hand_over(self, seen: Sequence[Seen], definition: ServedDefinition | None) -> None:
        async def take() -> None:
            await self._take(seen, definition)

        asyncio.run_coroutine_threadsafe(take(), self._loop).result()
