"""Whether a consumer fetches what there is.

librdkafka may come out of a broker's restart, or of an assignment soon after it, with a partition
that it never fetches again, while it says nothing (confluentinc/librdkafka 5153). Its idea of the
partition's end stands still with it: only the broker can tell that records wait there.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from millrace.streams.runtime.batching import Interval

LOOK_SECONDS = 10.0
_TIMEOUT_SECONDS = 2.0
_STATISTICS_MS = 1_000

Where = tuple[str, int]  # a topic and a partition


class Fetched(NamedTuple):
    """How far a partition is fetched, and how far it goes.

    Attributes
    ----------
    position
        The offset that is fetched next; negative where fetching has not begun.
    end
        The offset behind the last record that may be read.
    state
        Of librdkafka's fetcher, in its own word.
    """

    position: int
    end: int
    state: str


class Fetching:
    """Compares what librdkafka says of its fetching with the broker's word, look after look.

    Parameters
    ----------
    look_seconds
        From one look to the next.

    Attributes
    ----------
    config
        What the consumer needs in its configuration, to say how far it is.
    last
        What the last look found: of a topic, as the broker has it, and a partition.
    """

    def __init__(self, look_seconds: float = LOOK_SECONDS) -> None:
        self.config = {
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self._keep_statistics,
        }
        self._statistics = "{}"
        self._look_due = Interval(look_seconds)
        self.begin([])

    def begin(self, partitions: list[TopicPartition]) -> None:
        """Start anew, with these partitions."""
        self._partitions = partitions
        self.last: dict[Where, Fetched] = {}

    @property
    def is_look_due(self) -> bool:
        """Whether there are partitions, and the last look was some seconds ago."""
        return bool(self._partitions) and self._look_due.is_due

    def look(self, consumer: Consumer) -> dict[Where, Fetched]:
        """Return the partitions that had records at the last look, and have not moved since.

        To be called where the consumer has handed out all that it had fetched: behind a long queue
        it fetches no more.

        Raises
        ------
        confluent_kafka.KafkaException
            The broker did not answer in time.
        """
        self._look_due.restart()
        before, self.last = self.last, self._ask(consumer)
        return {
            where: now
            for where, now in self.last.items()
            if where in before and now.position == before[where].position
            if max(now.position, 0) < before[where].end
        }

    def _ask(self, consumer: Consumer) -> dict[Where, Fetched]:
        ends = [TopicPartition(at.topic, at.partition, OFFSET_END) for at in self._partitions]
        topics = json.loads(self._statistics).get("topics", {})
        found = {}
        for at in consumer.offsets_for_times(ends, timeout=_TIMEOUT_SECONDS):
            said = topics.get(at.topic, {}).get("partitions", {}).get(str(at.partition))
            if said is not None and at.error is None:
                fetched = Fetched(said["next_offset"], at.offset, said["fetch_state"])
                found[at.topic, at.partition] = fetched
        return found

    def _keep_statistics(self, statistics: str) -> None:
        self._statistics = statistics
