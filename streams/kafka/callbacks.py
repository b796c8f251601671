"""What a consumer calls when partitions come and go, made safe for confluent-kafka."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from confluent_kafka import KafkaException, TopicPartition

from millrace.streams.kafka.protocols import Consumer, RebalanceCallback

Rebalanced: TypeAlias = Callable[[list[TopicPartition]], None]


class Callbacks:
    """Makes callbacks that raise nothing: what one of them raises is raised after the poll.

    confluent-kafka turns a KafkaException of a callback into a bare KafkaError, which is no
    exception: no `except` catches it, and it ends the thread without a message.
    """

    def __init__(self) -> None:
        self._raised: BaseException | None = None

    def guarded(self, rebalanced: Rebalanced) -> RebalanceCallback:
        """Return a callback that calls `rebalanced`, unless another one has raised before."""

        def call(_: Consumer, partitions: list[TopicPartition]) -> None:
            if self._raised is not None:
                return
            try:
                rebalanced(partitions)
            except BaseException as error:  # all of it is raised again by raise_pending
                self._raised = error

        return call

    def unassigning(self, gone: Rebalanced) -> RebalanceCallback:
        """Return a callback that calls `gone`, and then unassigns the partitions itself.

        confluent-kafka would otherwise do that after the callback. It asks for the protocol of
        the group first, a question that librdkafka may leave unanswered while the consumer is
        being closed (confluentinc/librdkafka#4041). It waits for the answer with the
        interpreter's lock held, so the whole process would hang.
        """
        guarded = self.guarded(gone)

        def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            guarded(consumer, partitions)
            with suppress(KafkaException):
                consumer.unassign()

        return call

    def raise_pending(self) -> None:
        """Raise what a callback has raised since the last call."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
