"""What a consumer calls when partitions come and go, made safe for confluent-kafka."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

Rebalanced = Callable[[list[TopicPartition]], None]
Callback = Callable[[Consumer, list[TopicPartition]], None]


class Callbacks:
    """Makes callbacks that raise nothing: what one of them raised is raised after the poll.

    confluent-kafka lets a KafkaException of a callback out as a bare KafkaError, which is no
    exception: no `except` stops it, and it would end the thread in silence.
    """

    def __init__(self) -> None:
        self._raised: BaseException | None = None

    def guarded(self, rebalanced: Rebalanced) -> Callback:
        """Return the callback that does what `rebalanced` does, unless another one has raised."""

        def call(_: Consumer, partitions: list[TopicPartition]) -> None:
            if self._raised is not None:
                return
            try:
                rebalanced(partitions)
            except BaseException as error:  # all of it is raised again, one level up
                self._raised = error

        return call

    def giving_up(self, gone: Rebalanced) -> Callback:
        """Return the callback that gives partitions up, as confluent-kafka else does behind it.

        To do so it asks for the protocol of the group first, a question that librdkafka may leave
        unanswered while the consumer is being closed (confluentinc/librdkafka#4041). It waits for
        the answer with the interpreter's lock held: the whole process would stand still.
        """
        guarded = self.guarded(gone)

        def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            guarded(consumer, partitions)
            with suppress(KafkaException):
                consumer.unassign()

        return call

    def raise_what_they_did(self) -> None:
        """Raise what a callback raised since the last call."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
