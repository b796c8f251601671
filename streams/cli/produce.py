"""`millrace produce`: events or labels, one JSON object per line, onto their topic."""

from __future__ import annotations

import json
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import MillraceError, RecordError, SettingsError, shipped
from millrace.streams.cli.options import (
    broker_options,
    pipeline_option,
    require_broker,
    the_pipeline,
)
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.operators.routing import input_partition, routing_key
from millrace.streams.settings import Settings, read_settings
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
@broker_options
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--labels", is_flag=True, help="The lines are labels, not events.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "avro"]),
    default="json",
    help="On the topic: as it comes, or in Avro single-object encoding. [default: json]",
)
def produce(file: IO[bytes], labels: bool, form: str, **given: Any) -> None:
    """Send events or labels, one JSON object per line.

    FILE is a path, or - for standard input. A label is an object with `event_id`, `label` and, if
    you like, `label_time_ms` and `key`. A line that is no JSON object is named on standard error,
    the others go out, and the exit code is 2. What is wrong with an object, the pipeline says
    in its topic `rejects`.
    """
    settings = read_settings(**given)
    require_broker(settings, "produce")
    pipeline = the_pipeline(settings, "produce")
    sender = Sender(pipeline, settings, labels=labels, as_avro=form == "avro")
    with _bar() as bar:
        task = bar.add_task(sender.topic, total=None, sent=0)
        for number, line in enumerate(file, 1):
            sender.send(number, line)
            if number % _STRIDE == 0:
                bar.update(task, sent=sender.sent)
        sender.finish()
        bar.update(task, sent=sender.sent)
    what = "labels" if labels else "events"
    click.echo(f"{sender.sent:,} {what} sent to {sender.topic}", err=True)
    if sender.bad_lines:
        raise MillraceError(
            f"every line requires a JSON object; got {sender.bad_lines:,} that do not fit,"
            " named above"
        )


class Sender:
    """Sends lines to a pipeline's topic, to the partition where their model lives.

    Parameters
    ----------
    pipeline, settings
        Whose topic, on which broker.
    labels
        Whether the lines are labels.
    as_avro
        Whether they go out as Avro.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """

    def __init__(
        self, pipeline: Pipeline, settings: Settings, *, labels: bool, as_avro: bool
    ) -> None:
        self.topic = topic_prefix(pipeline) + ("labels" if labels else "events")
        self.sent = 0
        self.bad_lines = 0
        self._pipeline = pipeline
        self._labels = labels
        self._as_avro = as_avro
        clients = KafkaClients(settings)
        self._partitions = count_partitions(clients, self.topic)
        self._producer = CheckedProducer(clients)

    def send(self, number: int, line: bytes) -> None:
        """Send one line; one that cannot be is named on standard error and counted."""
        if not line.strip():
            return
        try:
            document = json.loads(line)
            if not isinstance(document, dict):
                raise SettingsError(f"requires a JSON object; got {type(document).__name__}")
            value = self._avro(document) if self._as_avro else line.strip()
        except (ValueError, TypeError, OverflowError, RecursionError, MillraceError) as error:
            self.bad_lines += 1
            click.echo(f"line {number}: {' '.join(str(error).split())}", err=True)
            return
        self._produce(value, document)

    def finish(self) -> None:
        """Wait until the broker has everything.

        Raises
        ------
        BrokerError
            It has not taken every record.
        """
        self._producer.flush(_FLUSH_SECONDS)

    def _avro(self, document: dict[str, Any]) -> bytes:
        if self._labels:
            optional = {"label_time_ms": None, "key": None}
            return shipped("label").encode({**optional, **document})
        schema = self._pipeline.event_schema
        try:
            return schema.accepted.encode(schema.from_json(document))
        except RecordError as error:
            raise SettingsError(error.detail) from error

    def _produce(self, value: bytes, document: dict[str, Any]) -> None:
        pipeline = self._pipeline
        id_field, key_field = pipeline.event_id, pipeline.key
        if self._labels:
            id_field, key_field = "event_id", "key"
        event_id = str(document.get(id_field, ""))
        key = None if key_field is None else document.get(key_field)
        routed_by = routing_key(pipeline, event_id, None if key is None else str(key))
        partition = input_partition(pipeline, routed_by, self._partitions)
        self._producer.produce(self.topic, value, routed_by, -1 if partition is None else partition)
        self.sent += 1
        self._producer.poll()


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[sent]:,}"))
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
