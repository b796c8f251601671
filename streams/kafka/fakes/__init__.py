"""Kafka without Kafka, for tests: clients that work on a broker in memory.

The broker keeps logs, transactions and consumer groups as Kafka does where it matters for a
guarantee: a transaction's marker takes up an offset, `read_committed` stops at an open
transaction, a producer that begins under a transactional id fences and aborts the one before, and
a member that was evicted from its group cannot commit.

The clients do what librdkafka does, but at once: a record is on the broker when `produce` returns,
a rebalance happens within `poll`, and a poll without records returns immediately. There are no
threads and no waiting. What can go wrong is ordered from the broker (`FakeBroker.before`,
`fail_next`) or from a consumer (`evict`, `rebalance`, `report`, `stalled`).

Examples
--------
>>> broker = FakeBroker({"events": 1})
>>> producer = FakeClients(broker).producer({"transactional.id": "a"})
>>> producer.init_transactions(1.0)
>>> producer.begin_transaction()
>>> producer.produce("events", b"first", None, 0)
>>> broker.values("events")
[]
>>> producer.commit_transaction(1.0)
>>> broker.values("events"), broker.topics["events"][0].end
([b'first'], 2)
"""

from __future__ import annotations

from millrace.streams.kafka.fakes.admin import FakeAdmin
from millrace.streams.kafka.fakes.broker import FakeBroker
from millrace.streams.kafka.fakes.consumer import FakeConsumer
from millrace.streams.kafka.fakes.producer import FakeProducer
from millrace.streams.kafka.outage import Outage
from millrace.streams.kafka.protocols import Config

__all__ = ["FakeAdmin", "FakeBroker", "FakeClients", "FakeConsumer", "FakeProducer"]


_STRICT = {"auto.offset.reset": "error"}


class FakeClients:
    """Makes fake clients of one broker: what one worker has.

    Attributes
    ----------
    consumers, producers
        Those that were made, the newest last.
    """

    broker = "fake"
    is_embedded = False
    beside: dict[str, bytes] | None = None

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.properties: dict[str, str] = {}
        self.outage = Outage()
        self.last_failure = self.last_refused_topic = ""
        self.consumers: list[FakeConsumer] = []
        self.producers: list[FakeProducer] = []

    def consumer(self, group: str, config: Config) -> FakeConsumer:
        self.consumers.append(FakeConsumer(self._broker, group, {**_STRICT, **config}))
        return self.consumers[-1]

    def reader(self, topic: str) -> FakeConsumer:  # noqa: ARG002 - a fake has no rights to check
        config = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
        return self.consumer("", config)

    def producer(self, config: Config) -> FakeProducer:
        self.producers.append(FakeProducer(self._broker, config))
        return self.producers[-1]

    def admin(self) -> FakeAdmin:
        return FakeAdmin(self._broker)
