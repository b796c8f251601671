"""Whether a consumer fetches the records that the broker has.

After a broker's restart, or an assignment soon after one, librdkafka may hold a partition that it
never fetches again, without any error (confluentinc/librdkafka 5153). Its own idea of the
partition's end stays where it was, too: only the broker can tell that records wait there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import OFFSET_END, TopicPartition

from millrace.streams.interval import Interval
from millrace.streams.kafka.protocols import Consumer, Place

CHECK_SECONDS = 10.0
_TIMEOUT_SECONDS = 2.0
_STATISTICS_MS = 1_000


class FetchPosition(NamedTuple):
    """How far a partition has been fetched.

    Attributes
    ----------
    offset
        The next one to be fetched; negative where fetching has not begun.
    end
        The offset behind the last record that may be read.
    fetcher_state
        librdkafka's word for what its fetcher does.
    """

    offset: int
    end: int
    fetcher_state: str


class StallDetector:
    """Compares how far librdkafka has fetched with how far the broker's partitions go.

    Parameters
    ----------
    check_seconds
        From one check to the next.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    config
        Properties that the consumer must be made with, so that it reports how far it is.
    positions
        What the last check found, by topic and partition.
    """

    def __init__(
        self,
        check_seconds: float = CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.check_seconds = check_seconds
        self.config = {
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self._keep_statistics,
        }
        self._statistics = "{}"
        self._check = Interval(check_seconds, clock)
        self.reset([])

    def reset(self, partitions: list[TopicPartition]) -> None:
        """Forget what was found, and check these partitions from now on."""
        self._partitions = partitions
        self.positions: dict[Place, FetchPosition] = {}

    @property
    def is_check_due(self) -> bool:
        """Whether there are partitions, and the last check was some seconds ago."""
        return bool(self._partitions) and self._check.is_due

    def stalled(self, consumer: Consumer) -> dict[Place, FetchPosition]:
        """Check; return the partitions that had records at the last check and did not move since.

        The consumer must have handed out all that it has fetched: behind a long queue it fetches
        no more.

        Raises
        ------
        confluent_kafka.KafkaException
            The broker did not answer in time.
        """
        self._check.restart()
        before, self.positions = self.positions, self._ask(consumer)
        return {
            place: now
            for place, now in self.positions.items()
            if place in before and now.offset == before[place].offset
            if max(now.offset, 0) < before[place].end
        }

    def _ask(self, consumer: Consumer) -> dict[Place, FetchPosition]:
        ends = [TopicPartition(at.topic, at.partition, OFFSET_END) for at in self._partitions]
        topics = json.loads(self._statistics).get("topics", {})
        found = {}
        for at in consumer.offsets_for_times(ends, timeout=_TIMEOUT_SECONDS):
            fetcher = topics.get(at.topic, {}).get("partitions", {}).get(str(at.partition))
            if fetcher is not None and at.error is None:
                found[at.topic, at.partition] = FetchPosition(
                    fetcher["next_offset"], at.offset, fetcher["fetch_state"]
                )
        return found

    def _keep_statistics(self, statistics: str) -> None:
        self._statistics = statistics
