"""Somebody else's Kafka clients: confluent-kafka, fastavro and the published schemas alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

from millrace import schemas

VISIBLE_SECONDS = 90.0
"""How long what a killed worker left open may hide what came after it."""

_SCHEMAS = Path(schemas.__file__).parent
_PUBLISHED = {
    name: load_schema(str(_SCHEMAS / f"{name}.avsc"))
    for name in (
        *("prediction", "example", "reject", "alert", "model_snapshot", "label", "outcome"),
        *("command", "audit", "accepted_command"),
    )
}


class Sent(NamedTuple):
    """Where a record has gone."""

    partition: int
    offset: int
    timestamp_ms: int


def header_of(schema: Any) -> bytes:
    """Return what a record in Avro's single-object encoding begins with."""
    digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return b"\xc3\x01" + bytes.fromhex(digest)


def avro(schema: Any, record: Mapping[str, Any]) -> bytes:
    """Return a record in single-object encoding."""
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, record)
    return header_of(schema) + body.getvalue()


def as_json(record: Mapping[str, Any]) -> bytes:
    """Return a record as a script would write it: what is null is left out."""
    known = {name: value for name, value in record.items() if value is not None}
    return json.dumps(known).encode()


def avro_label(event_id: str, label: Any, **more: Any) -> bytes:
    """Return a label in single-object encoding."""
    record = {"event_id": event_id, "label": label, "label_time_ms": None, "key": None}
    return avro(_PUBLISHED["label"], record | more)


def avro_command(command: str, **more: Any) -> bytes:
    """Return a command in single-object encoding."""
    record = {"id": None, "command": command, "arguments": {}, "who": "", "why": ""}
    return avro(_PUBLISHED["command"], record | {"time_ms": None} | more)


def avro_audit(record: Mapping[str, Any]) -> bytes:
    """Return an audit record in single-object encoding."""
    return avro(_PUBLISHED["audit"], record)


def decode(value: bytes) -> dict[str, Any]:
    """Return the record of a published type that is in single-object encoding."""
    schema = next(each for each in _PUBLISHED.values() if value.startswith(header_of(each)))
    record: dict[str, Any] = fastavro.schemaless_reader(BytesIO(value[10:]), schema, None)
    return record


class Topics:
    """The topics of one pipeline, as a client of the broker sees them.

    Parameters
    ----------
    bootstrap
        Of the broker.
    pipeline
        Name of the pipeline.
    """

    def __init__(self, bootstrap: str, pipeline: str) -> None:
        self._bootstrap = bootstrap
        self._pipeline = pipeline
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})

    def produce(self, topic: str, records: Iterable[Mapping[str, Any]]) -> list[Sent]:
        """Produce records, given as the arguments of `Producer.produce`, and say where they are."""
        delivered: dict[int, Sent] = {}
        count = 0
        for count, record in enumerate(records, 1):
            self._producer.produce(
                f"{self._pipeline}.{topic}",
                on_delivery=partial(_note, delivered, count),
                **record,
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0
        assert len(delivered) == count
        return [delivered[number] for number in sorted(delivered)]

    def messages(self, topic: str, at_least: int = 0) -> list[Message]:
        """Return every committed record up to the present end of a topic, by partition.

        Waits until there are as many as are asked for, and until no open transaction hides any.
        """
        name = f"{self._pipeline}.{topic}"
        consumer = self._consumer("read_committed")
        read: list[Message] = []
        try:
            ends = self._ends(name)
            consumer.list_topics(name, timeout=10)  # else librdkafka takes 0.5 s to find it
            consumer.assign([TopicPartition(name, each, OFFSET_BEGINNING) for each in ends])
            at = dict.fromkeys(ends, 0)
            deadline = time.monotonic() + VISIBLE_SECONDS
            while len(read) < at_least or any(at[each] < ends[each] for each in ends):
                assert time.monotonic() < deadline, f"{name}: read {len(read)}, at {at} of {ends}"
                message = consumer.poll(0.2)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    read.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    at[message.partition()] = message.offset()
        finally:
            consumer.close()
        return sorted(read, key=lambda message: (message.partition(), message.offset()))

    def records(self, topic: str, at_least: int = 0) -> list[dict[str, Any]]:
        """Return what `messages` does, decoded; without what is removed by key, and commands."""
        values = [message.value() or b"" for message in self.messages(topic, at_least)]
        accepted = header_of(_PUBLISHED["accepted_command"])
        return [decode(each) for each in values if each and not each.startswith(accepted)]

    def json(self, topic: str, at_least: int = 0) -> list[dict[str, Any]]:
        """Return what `messages` does, read as JSON."""
        return [json.loads(message.value()) for message in self.messages(topic, at_least)]

    def committed(self, agent: str, topic: str) -> dict[int, int]:
        """Return the offsets that an agent's consumer group has committed."""
        name = f"{self._pipeline}.{topic}"
        partitions = [TopicPartition(name, each) for each in self._ends(name)]
        consumer = self._consumer("read_committed", f"{self._pipeline}.{agent}")
        try:
            found = consumer.committed(partitions, timeout=10)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def _ends(self, name: str) -> dict[int, int]:
        consumer = self._consumer("read_uncommitted")
        try:
            partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
            return {
                each: consumer.get_watermark_offsets(TopicPartition(name, each), timeout=10)[1]
                for each in partitions
            }
        finally:
            consumer.close()

    def _consumer(self, isolation: str, group: str = "somebody-else") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": group,
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )


def _note(delivered: dict[int, Sent], number: int, error: KafkaError | None, sent: Message) -> None:
    if error is None:  # else it is missing from what was delivered
        delivered[number] = Sent(sent.partition(), sent.offset(), sent.timestamp()[1])
