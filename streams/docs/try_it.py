"""Commands that send a pipeline its example event and label, and read what it says.

They are for a POSIX shell, with kcat, and with Millrace where kcat cannot read the format.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.produced import Produced
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topic_prefix

_ELSEWHERE = "localhost:9092"


class Step(NamedTuple):
    """What to do, and the command that does it."""

    title: str
    command: str


def steps(pipeline: Pipeline, settings: Settings, examples: Examples) -> Iterator[Step]:
    """Return how to send the event and the label of the examples, and to read a prediction."""
    prefix = topic_prefix(pipeline)
    broker = _ELSEWHERE if settings.is_embedded else settings.bootstrap
    event, label = examples.event, Produced(examples.label, None, {})
    source = examples.source
    topic = f"{prefix}events" if source is None else source.topic
    place = _place(pipeline, settings, examples)
    for title, to, record in (
        ("Produce an event", settings.topics.get(topic, topic), event),
        ("Produce its label, once it is known", f"{prefix}labels", label),
    ):
        yield Step(title, _produced(broker, to, record, place))
    yield Step("Read predictions", _read(settings, broker, f"{prefix}predictions"))


def _place(pipeline: Pipeline, settings: Settings, examples: Examples) -> list[str]:
    """Return the options that take a record to the partition of its model."""
    if any(agent.routes for agent in settings.agents_of(pipeline)):
        return []  # ingest does
    if pipeline.scope is Scope.GLOBAL:
        return ["-p", "0"]
    return ["-k", examples.key or examples.event_id]


def _produced(broker: str, topic: str, record: Produced, place: list[str]) -> str:
    options = place if record.key is None else ["-k", record.key]
    for name, text in record.headers.items():
        options = [*options, "-H", f"{name}={text}"]
    command = shlex.join(["kcat", "-P", "-b", broker, "-t", topic, *options])
    return f"{command} <<'EOF'\n{json.dumps(record.value)}\nEOF"


def _read(settings: Settings, broker: str, topic: str) -> str:
    broker = shlex.quote(broker)
    kcat = f"kcat -C -q -b {broker} -t {topic} -o beginning"
    commands = {
        "json": kcat,
        "confluent": f"{kcat} -s value=avro -r {shlex.quote(settings.schema_registry_url)}",
    }
    return commands.get(settings.outputs, f"millrace consume {topic} -b {broker} --follow")
