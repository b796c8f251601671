"""A consumer of a fake broker."""

# ruff: noqa: ARG002  # timeouts mean nothing where everything is done at once

from __future__ import annotations

import json
from itertools import count
from typing import Literal

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    KafkaError,
    Message,
    TopicPartition,
)

from millrace.streams.kafka.fakes.admin import FakeAdmin, FakeMetadata
from millrace.streams.kafka.fakes.broker import FakeBroker, Log, Membership, fail
from millrace.streams.kafka.protocols import Config, Place, RebalanceCallback

_members = count()
_TAIL = -2000  # RD_KAFKA_OFFSET_TAIL(n) is this less n


class FakeConsumer:
    """Reads what is committed, and takes part in its group.

    Attributes
    ----------
    group
        Name of its group; empty for none.
    member
        A number of its own.
    stalled
        Partitions that it does not fetch, as librdkafka sometimes does.
    paused
        Partitions of which it is asked to read no more for now.
    is_closed
        Whether it was closed.
    """

    def __init__(self, broker: FakeBroker, group: str, config: Config) -> None:
        self.group = group
        self._broker = broker
        self._config = config
        self._group = broker.groups[group]
        self.member = next(_members)
        self.stalled: set[Place] = set()
        self.paused: set[Place] = set()
        self.is_closed = False
        self._topics: list[str] = []
        self._owned: list[TopicPartition] = []
        self._generation = -1
        self._is_lost = False
        self._errors: list[KafkaError] = []
        self._positions: dict[Place, int] = {}
        self._ended: set[Place] = set()

    def subscribe(
        self,
        topics: list[str],
        /,
        *,
        on_assign: RebalanceCallback,
        on_revoke: RebalanceCallback,
        on_lost: RebalanceCallback,
    ) -> None:
        self._topics = topics
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost
        self._group.join(self.member)

    def assign(self, partitions: list[TopicPartition], /) -> None:
        self._ended.clear()
        self._positions = {
            (each.topic, each.partition): self._resolved(each) for each in partitions
        }

    def unassign(self) -> None:
        self._positions.clear()

    def pause(self, partitions: list[TopicPartition], /) -> None:
        self.paused |= {(each.topic, each.partition) for each in partitions}

    def resume(self, partitions: list[TopicPartition], /) -> None:
        self.paused -= {(each.topic, each.partition) for each in partitions}

    def poll(self, _timeout: float, /) -> Message | None:
        return next(iter(self._take("poll", 1)), None)

    def consume(self, num_messages: int, /, timeout: float) -> list[Message]:
        return self._take("consume", num_messages)

    def committed(
        self, partitions: list[TopicPartition], /, timeout: float
    ) -> list[TopicPartition]:
        self._broker.meet_fault("committed")
        if self._broker.has_unstable_offsets(self.group):
            fail(KafkaError._TIMED_OUT)
        return [self._committed((at.topic, at.partition)) for at in partitions]

    def commit(
        self, *, offsets: list[TopicPartition], asynchronous: Literal[False]
    ) -> list[TopicPartition]:
        self._broker.meet_fault("commit")
        self._broker.check_member(self.consumer_group_metadata())
        for at in offsets:
            self._group.commit(at)
        return offsets

    def get_watermark_offsets(
        self, partition: TopicPartition, /, timeout: float = 0.0, cached: bool = False
    ) -> tuple[int, int]:
        log = self._log((partition.topic, partition.partition))
        if cached:  # of what was fetched, with open transactions
            return log.start, log.end
        self._broker.meet_fault("get_watermark_offsets")
        return log.start, log.last_stable

    def offsets_for_times(
        self, partitions: list[TopicPartition], /, timeout: float
    ) -> list[TopicPartition]:
        self._broker.meet_fault("offsets_for_times")
        return [TopicPartition(at.topic, at.partition, self._offset_at(at)) for at in partitions]

    def list_topics(self, topic: str, /, timeout: float) -> FakeMetadata:
        return FakeAdmin(self._broker).list_topics(topic)

    def consumer_group_metadata(self) -> Membership:
        return Membership(self.group, self.member, self._generation)

    def close(self) -> None:
        self._broker.meet_fault("close")
        if self._topics and not self.is_closed:
            self._give_up(self._on_lost if self._is_lost else self._on_revoke)
            self._group.leave(self.member)
        self.is_closed = True

    def evict(self) -> None:
        """Let the group drop this member, as it does one that has not polled for too long."""
        self._group.leave(self.member)
        self._is_lost = True

    def rebalance(self) -> None:
        """Let the group share its partitions out again."""
        self._group.is_rebalancing = True

    def assign_again(self) -> None:
        """Tell the consumer once more what it has been assigned."""
        self._on_assign(self, self._owned)

    def report(self, error: KafkaError) -> None:
        """Hand out an error instead of the next record."""
        self._errors.append(error)

    def _take(self, operation: str, most: int) -> list[Message]:
        if self.is_closed:
            raise RuntimeError("Consumer closed")
        self._broker.meet_fault(operation)
        if self._topics:
            self._follow_group()
        self._report_statistics()
        found: list[Message] = []
        while len(found) < most and (message := self._next()) is not None:
            found.append(message)
        return found

    def _follow_group(self) -> None:
        group = self._group
        if self._is_lost:
            self._is_lost = False
            self._give_up(self._on_lost)
            group.join(self.member)
        if group.is_rebalancing:
            self._give_up(self._on_revoke)
            group.rejoin(self.member)
        if not group.is_rebalancing and self._generation != group.generation:
            self._generation = group.generation
            self._owned = [
                TopicPartition(topic, partition)
                for topic in self._topics
                for partition in group.share(self.member, len(self._broker.topics[topic]))
            ]
            self._on_assign(self, self._owned)

    def _give_up(self, callback: RebalanceCallback) -> None:
        if self._owned:
            callback(self, self._owned)
            self._owned = []

    def _next(self) -> Message | None:
        if self._errors:
            return Message(error=self._errors.pop(0))
        for place in [each for each in self._positions if each not in self.stalled | self.paused]:
            message = self._next_of(place)
            if message is not None:
                return message
        return None

    def _committed(self, place: Place) -> TopicPartition:
        offset = self._group.offsets.get(place, OFFSET_INVALID)
        return TopicPartition(*place, offset, self._group.metadata.get(place, ""))

    def _next_of(self, place: Place) -> Message | None:
        if place[0] not in self._broker.topics:  # deleted: librdkafka says nothing
            return None
        log = self._log(place)
        if not log.start <= self._positions[place] <= log.end:
            if self._config.get("auto.offset.reset") == "error":
                return _event(place, KafkaError._AUTO_OFFSET_RESET, self._positions.pop(place))
            self._positions[place] = log.start
        self._positions[place], message = log.committed(self._positions[place])
        if message is not None:
            self._ended.discard(place)
        elif place not in self._ended and self._config.get("enable.partition.eof"):
            self._ended.add(place)
            return _event(place, KafkaError._PARTITION_EOF, self._positions[place])
        return message

    def _resolved(self, at: TopicPartition) -> int:
        log = self._log((at.topic, at.partition))
        if at.offset == OFFSET_BEGINNING:
            return log.start
        if at.offset == OFFSET_END:
            return log.last_stable
        return max(log.end - (_TAIL - at.offset), log.start) if at.offset <= _TAIL else at.offset

    def _offset_at(self, at: TopicPartition) -> int:
        """Return the end, or the first offset of a time or later; -1 where there is none."""
        log = self._log((at.topic, at.partition))
        if at.offset < 0:
            return log.last_stable
        behind, message = log.committed(log.start)
        while message is not None and message.timestamp()[1] < at.offset:
            behind, message = log.committed(behind)
        return -1 if message is None else behind - 1

    def _log(self, place: Place) -> Log:
        topic, partition = place
        if topic not in self._broker.topics:
            fail(KafkaError._UNKNOWN_TOPIC)
        return self._broker.topics[topic][partition]

    def _report_statistics(self) -> None:
        """Say how far each partition is fetched, as librdkafka's statistics do."""
        topics: dict[str, dict[str, dict[str, object]]] = {}
        for (topic, partition), position in self._positions.items():
            state = "stalled" if (topic, partition) in self.stalled else "active"
            partitions = topics.setdefault(topic, {"partitions": {}})["partitions"]
            partitions[str(partition)] = {"next_offset": position, "fetch_state": state}
        callback = self._config.get("stats_cb")
        if callable(callback):
            callback(json.dumps({"topics": topics}))


def _event(place: Place, code: int, offset: int) -> Message:
    topic, partition = place
    return Message(topic=topic, partition=partition, offset=offset, error=KafkaError(code))
