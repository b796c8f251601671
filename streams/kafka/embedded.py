"""The embedded broker: librdkafka's own mock cluster, real Kafka protocol over loopback TCP.

It needs nothing installed and nothing started. It keeps about 5 MB or 100,000 records per
partition and drops the oldest, forgets everything with its process, has no CreateTopics (a
topic appears, with 4 partitions, when it is first asked for) and gives transactions no
isolation. So it is for demos, replays and tests, and a producer must watch the consumers' lag.
"""

from __future__ import annotations

import logging
from types import TracebackType

from confluent_kafka import Producer

PARTITIONS = 4


class EmbeddedBroker:
    """A Kafka cluster of one node inside this process.

    Attributes
    ----------
    bootstrap
        For any Kafka client.
    address
        For Millrace's setting `broker`, in this process or another.

    Examples
    --------
    >>> with EmbeddedBroker() as broker:
    ...     broker.bootstrap.startswith("127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        quiet = logging.getLogger("librdkafka")
        self._owner: Producer | None = Producer({"test.mock.num.brokers": 1, "logger": quiet})
        brokers = self._owner.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers)
        self.address = f"embedded://{self.bootstrap}"

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of the broker and of everything in it."""
        self._owner = None
