"""`millrace produce`: events or labels, one JSON object per line, to their topic."""

from __future__ import annotations

import json
from typing import IO

import click
from rich.progress import TextColumn

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import in_fields
from millrace.schemas import MillraceError, RecordError, shipped
from millrace.schemas.records import Fields
from millrace.streams.cli.console import progress_bar
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.escaping import printable
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.routing import input_partition, routing_key
from millrace.streams.settings import Settings
from millrace.streams.sources.confluent import no_registry
from millrace.streams.sources.decoder import InputDecoder
from millrace.streams.topology.topics import topic_prefix

_FLUSH_SECONDS = 60.0
_STRIDE = 1_000
_EXAMPLES = """\b
Examples:
  millrace produce -p pipeline.py -b localhost:9092 events.jsonl
  tail -f events.jsonl | millrace produce -p pipeline.py -b localhost:9092
  echo '{"event_id": "17", "label": true}' | millrace produce -p pipeline.py -b ... --labels"""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@running_broker
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--labels", is_flag=True, help="The lines are labels, not events.")
@click.option(
    "--format",
    "target",
    type=click.Choice(["json", "avro"]),
    default="json",
    help="Write each line as it is, or check it and write it as Avro. [default: json]",
)
@pass_settings
def produce(settings: Settings, file: IO[bytes], labels: bool, target: str) -> None:
    """Send events or labels, one JSON object per line.

    FILE is a path, or - for standard input. A label is an object with `event_id`, `label` and,
    optionally, `label_time_ms` and `key`.

    A line that is not a JSON object is reported on standard error and skipped, and the exit code
    is 2. The pipeline writes other objects that it cannot use to its topic `rejects`, with the
    reason.
    """
    require_broker(settings)
    pipeline = settings.load_pipeline()
    sender = Sender(
        KafkaClients(settings), pipeline, settings, labels=labels, as_avro=target == "avro"
    )
    with progress_bar(TextColumn("{task.fields[sent]:,}")) as bar:
        task = bar.add_task(sender.topic, total=None, sent=0)
        for number, line in enumerate(file, 1):
            sender.send(number, line)
            if number % _STRIDE == 0:
                bar.update(task, sent=sender.sent)
        sender.finish()
        bar.update(task, sent=sender.sent)
    what = "labels" if labels else "events"
    click.echo(f"{sender.sent:,} {what} sent to {sender.topic}", err=True)
    if sender.skipped:
        raise MillraceError(f"{sender.skipped:,} lines were skipped: see above")


class Sender:
    """Sends lines to a pipeline's topic, each to the partition where its model is.

    Parameters
    ----------
    clients
        Of the broker.
    pipeline, settings
        Whose topic.
    labels
        Whether the lines are labels.
    as_avro
        Whether they are written as Avro.

    Attributes
    ----------
    topic
        Where they go.
    sent, skipped
        Number of lines that were sent, and of those that were reported.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """

    def __init__(
        self,
        clients: Clients,
        pipeline: Pipeline,
        settings: Settings,
        *,
        labels: bool,
        as_avro: bool,
    ) -> None:
        self._name = "labels" if labels else "events"
        self.topic = topic_prefix(pipeline) + self._name
        self.sent = self.skipped = 0
        self._pipeline = pipeline
        self._event_id = "event_id" if labels else pipeline.event_id
        self._key = "key" if labels else pipeline.key
        self._encode = shipped("label").encode if labels else pipeline.event_schema.accepted.encode
        self._decoder = InputDecoder(pipeline, no_registry, settings.max_event_bytes)
        self._as_avro = as_avro
        self._partitions = count_partitions(clients, self.topic)
        self._producer = CheckedProducer(clients)

    def send(self, number: int, line: bytes) -> None:
        """Send a line, or report on standard error why it cannot be sent."""
        line = line.strip()
        if not line:
            return
        try:
            document = _parse(line)
            value = self._avro(line) if self._as_avro else line
        except RecordError as error:
            self._skip(number, error.detail)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            self._skip(number, str(error))
        else:
            self._produce(value, document)

    def finish(self) -> None:
        """Wait until the broker has every record.

        Raises
        ------
        BrokerError
            A record was not delivered.
        """
        self._producer.flush(_FLUSH_SECONDS)

    def _avro(self, line: bytes) -> bytes:
        """Return a line as Avro, decoded by the rules of ingest."""
        return self._encode(self._decoder.decode(self._name, line).fields)

    def _skip(self, number: int, reason: str) -> None:
        self.skipped += 1
        click.echo(printable(f"line {number}: {' '.join(reason.split())}"), err=True)

    def _produce(self, value: bytes, document: Fields) -> None:
        event_id = in_fields(self._event_id, document) or ""
        routed_by = routing_key(self._pipeline, event_id, in_fields(self._key, document))
        partition = input_partition(self._pipeline, routed_by, self._partitions)
        self._producer.produce(self.topic, value, routed_by, -1 if partition is None else partition)
        self._producer.poll()
        self.sent += 1


def _parse(line: bytes) -> Fields:
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError(f"must be a JSON object; got {type(document).__name__}")  # noqa: TRY004
    return document
