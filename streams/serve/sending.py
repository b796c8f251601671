"""Records on their way to Kafka, each of which says when it is there.

A record that the broker has not acknowledged in time is given up: whoever sent it is told, and may
send it again. An event that was written all the same is then a duplicate, and counts once.
"""

from __future__ import annotations

import asyncio
from threading import Event, Thread
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from millrace.streams.kafka.errors import cause_of
from millrace.streams.kafka.protocols import Clients, Headers, Producer

ACKNOWLEDGED_SECONDS = 10.0
"""How long a record may take to be acknowledged."""

_POLL_SECONDS = 0.1
_PAUSE_SECONDS = 0.001
_FLUSH_SECONDS = 2.0


class RecordPlace(NamedTuple):
    """Where a record is: the topic's full name, its partition, its offset."""

    topic: str
    partition: int
    offset: int


Delivery = RecordPlace | KafkaError
"""Where a record is, or why it is not known to be there."""


class Sender:
    """Produces records from an event loop.

    Parameters
    ----------
    clients
        Of the broker.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._producer = self._made()
        self._stopping = Event()
        self._thread = Thread(target=self._poll, name="sending", daemon=True)

    def start(self) -> None:
        """Begin to take what the broker reports."""
        self._thread.start()

    def stop(self) -> None:
        """Wait a moment for what is under way, and end."""
        self._producer.flush(_FLUSH_SECONDS)
        self._stopping.set()
        self._thread.join()

    def send(
        self,
        topic: str,
        value: bytes,
        key: str | None,
        partition: int,
        headers: Headers | None = None,
    ) -> asyncio.Future[Delivery]:
        """Produce a record; the result is there once the broker has answered."""
        loop = asyncio.get_running_loop()
        delivery: asyncio.Future[Delivery] = loop.create_future()

        def settle(found: Delivery) -> None:
            if not delivery.done():
                delivery.set_result(found)

        def report(error: KafkaError | None, message: Message) -> None:  # in the other thread
            place = RecordPlace(topic, message.partition() or 0, message.offset() or 0)
            loop.call_soon_threadsafe(settle, error or place)

        try:
            self._producer.produce(
                topic, value, key, partition, on_delivery=report, headers=headers
            )
        except BufferError:  # librdkafka's queue is full
            settle(KafkaError(KafkaError._QUEUE_FULL))
        except KafkaException as error:
            settle(cause_of(error))
            if cause_of(error).fatal():
                self._producer = self._made()
        return delivery

    def _poll(self) -> None:
        while not self._stopping.is_set():
            if not self._producer.poll(_POLL_SECONDS):
                self._stopping.wait(_PAUSE_SECONDS)

    def _made(self) -> Producer:
        own = {"linger.ms": 0, "message.timeout.ms": int(ACKNOWLEDGED_SECONDS * 1000)}
        return self._clients.producer(own)
