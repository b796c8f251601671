"""`millrace consume`: a topic as JSON, one object per line, to read or to pass to `jq`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import click
from confluent_kafka import Message

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, RecordError
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.escaping import printable_json
from millrace.streams.formats import Outputs
from millrace.streams.formats.json import to_json
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import follow as follow_topic
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.kafka.registry import read_outputs
from millrace.streams.settings import Settings
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import TOPICS

_EXAMPLES = """\b
Examples:
  millrace consume loans.predictions -b localhost:9092 --max 10
  millrace consume loans.alerts -b localhost:9092 --follow | jq .source
  millrace consume loans.events -b localhost:9092 --pipeline pipeline.py"""


@click.command(epilog=_EXAMPLES)
@click.argument("topic")
@running_broker
@pipeline_option
@click.option(
    "--from-beginning/--from-end",
    default=True,
    help="Where to begin. [default: from the beginning]",
)
@click.option(
    "--max", "limit", type=click.IntRange(min=1), metavar="N", help="Print at most N records."
)
@click.option("--follow", "-f", is_flag=True, help="Wait for new records at the end of the topic.")
@pass_settings
def consume(
    settings: Settings, topic: str, from_beginning: bool, limit: int | None, follow: bool
) -> None:
    """Print a topic, one JSON object per line.

    TOPIC is the full name, for example loans.predictions. Without --follow, prints what is there
    and stops. Records of transactions that are not committed are skipped.

    Numbers that JSON does not have (NaN, infinity) are null, and bytes are base64. To decode
    `events` and `clean`, add their --pipeline. A record that cannot be decoded becomes an object
    with the field `base64`. Control characters, and those that turn the direction of a text, are
    written as JSON escapes them.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline() if settings.pipeline else None
    decoder = Decoder(topic, pipeline, read_outputs(settings))
    clients = KafkaClients(settings)
    for number, record in enumerate(_records(clients, topic, from_beginning, follow), 1):
        click.echo(decoder.line(record.value()))
        if number == limit:
            break


class Decoder:
    """Turns the records of a topic into JSON.

    Parameters
    ----------
    topic
        Its full name.
    pipeline
        Whose events to decode, too.
    outputs
        How outputs are read.

    Examples
    --------
    >>> decoder = Decoder("loans.predictions", None)
    >>> decoder.line(b'{"a": NaN}'), decoder.line(b"?")
    ('{"a": null}', '{"base64": "Pw=="}')
    """

    def __init__(
        self, topic: str, pipeline: Pipeline | None, outputs: Outputs | None = None
    ) -> None:
        known = TOPICS.get(topic.rpartition(".")[2])
        types = [each for name, each in SHIPPED.items() if known is None or name in known.types]
        outputs = outputs or Outputs()
        self._ways: list[Callable[[bytes], object]] = [
            *(partial(outputs.decode, avro) for avro in types),
            _json,
        ]
        if pipeline is not None:
            schema = pipeline.event_schema
            self._ways.append(lambda data: schema.codec.decode(data)[1])
            self._ways.append(lambda data: schema.clean_codec.decode(data)[1])

    def line(self, value: bytes | None) -> str:
        """Return a record's value as one line of JSON."""
        try:
            record = self._decode(value or b"")
            text = to_json({"base64": value} if record is None else record)
        except BrokerError:
            raise
        except Exception:  # whatever is wrong with one record, the others are shown
            text = to_json({"base64": value})
        return printable_json(text)

    def _decode(self, data: bytes) -> dict[str, object] | None:
        for decode in self._ways:
            with suppress(RecordError, ValueError, RecursionError):
                record = decode(data)
                if isinstance(record, dict):
                    return record
        return None


def _json(data: bytes) -> object:
    return json.loads(data) if data.startswith(b"{") else None


def _records(clients: Clients, topic: str, from_beginning: bool, follow: bool) -> Iterator[Message]:
    """Read every partition of a topic, to its end or forever."""
    partitions = range(count_partitions(clients, topic))
    if follow:
        return follow_topic(clients, topic, partitions, from_beginning=from_beginning)
    nothing = dict.fromkeys(partitions, 0)
    return read_to_end(clients, topic, partitions, None if from_beginning else nothing)
