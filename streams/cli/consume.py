"""`millrace consume`: a topic as JSON, one object per line, for people and for `jq`."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import click
from confluent_kafka import Message

from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import Codec, RecordError, shipped
from millrace.streams.cli.options import broker_options, pipeline_option, require_broker
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.reading import follow as follow_topic
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.settings import Settings, read_settings

_SHIPPED = (
    *("alert", "example", "feature_vector", "label", "model_snapshot", "prediction"),
    "reject",
)
_EXAMPLES = """\b
Examples:
  millrace consume loans.predictions -b localhost:9092 --max 10
  millrace consume loans.alerts -b localhost:9092 --follow | jq .source
  millrace consume loans.events -b localhost:9092 --pipeline pipeline.py"""


@click.command(epilog=_EXAMPLES)
@click.argument("topic")
@broker_options
@pipeline_option
@click.option(
    "--from-beginning/--from-end",
    default=True,
    help="Where to begin. [default: from the beginning]",
)
@click.option("--max", "limit", type=click.IntRange(min=1), help="Records to print at the most.")
@click.option("--follow", "-f", is_flag=True, help="Go on at the end of the topic.")
def consume(
    topic: str, from_beginning: bool, limit: int | None, follow: bool, **given: Any
) -> None:
    """Print a topic, one JSON object per line.

    TOPIC is the full name, `loans.predictions`. Prints what is there and stops. Avro is decoded,
    JSON goes through as it is, and bytes of any other kind become an object with the field
    `base64`. Events, and what is in `clean`, need their --pipeline to be decoded. Records of
    transactions that were not committed do not show.
    """
    settings = read_settings(**given)
    require_broker(settings, "consume")
    decoder = Decoder(settings.pipeline)
    records = _records(settings, topic, from_beginning=from_beginning, follow=follow)
    for number, record in enumerate(records, 1):
        click.echo(decoder.line(record.value()))
        if number == limit:
            break


class Decoder:
    """Turns the bytes of any of Millrace's topics into JSON.

    Parameters
    ----------
    spec
        The pipeline whose own types are to be known, too; empty for none.

    Examples
    --------
    >>> Decoder("").line(b'{"a": 1}'), Decoder("").line(b"?")
    ('{"a": 1}', '{"base64": "Pw=="}')
    """

    def __init__(self, spec: str) -> None:
        self._codecs = [Codec(map(shipped, _SHIPPED))]
        if spec:
            schema = load_pipeline(spec).event_schema
            self._codecs += [schema.clean_codec, schema.codec]

    def line(self, value: bytes | None) -> str:
        """Return a record's value as one line of JSON."""
        return json.dumps(_finite(self._decode(value)), default=_text, ensure_ascii=False)

    def _decode(self, value: bytes | None) -> Any:
        for codec in self._codecs if value else ():
            try:
                return codec.decode(value or b"")[1]
            except RecordError:
                continue
        try:
            document = json.loads(value or b"")
        except ValueError:
            document = None
        return document if isinstance(document, dict) else {"base64": value}


def _records(
    settings: Settings, topic: str, *, from_beginning: bool, follow: bool
) -> Iterator[Message]:
    """Read every partition of a topic, to its end or forever."""
    clients = KafkaClients(settings)
    partitions = range(count_partitions(clients, topic))
    if follow:
        return follow_topic(clients, topic, partitions, from_beginning=from_beginning)
    nothing = dict.fromkeys(partitions, 0)
    return read_to_end(clients, topic, partitions, None if from_beginning else nothing)


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
