"""What anybody may read while it is written: the topics `alerts` and `predictions`."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from millrace.schemas import BrokerError, Codec, shipped
from millrace.streams.demo.state import DemoState
from millrace.streams.kafka.clients import plain_reader
from millrace.streams.kafka.embedded import PARTITIONS
from millrace.streams.settings import Settings

_AT_A_TIME = 1_000
_TO_DECODE = 8
"""Of the predictions read at a time: nobody sees the others, and decoding costs."""


class Tail:
    """Reads both topics from their beginning, as a plain consumer in no group.

    Parameters
    ----------
    settings
        Where the broker is.
    prefix
        Of the topics' names.
    """

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._codec = Codec([shipped("alert"), shipped("prediction")])
        self._alerts = f"{prefix}alerts"
        self._consumer = plain_reader(settings)
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (self._alerts, f"{prefix}predictions")
                for partition in range(PARTITIONS)
            ]
        )

    def read_into(self, state: DemoState) -> None:
        """Hand over what has come, without waiting for more.

        Raises
        ------
        BrokerError
            A topic cannot be read.
        """
        predictions = []
        for message in self._consumer.consume(_AT_A_TIME, timeout=0):
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise BrokerError(
                    f"topic {message.topic()} requires to be read; got {error.str()!r}"
                )
            value = message.value()
            if error is not None or value is None:
                continue
            if message.topic() == self._alerts:
                state.add_alert(self._codec.decode(value)[1])
            else:
                predictions.append(value)
        state.predictions_read += len(predictions)
        for value in predictions[-_TO_DECODE:]:
            state.add_prediction(self._codec.decode(value)[1])

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()
