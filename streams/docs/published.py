"""The Avro schemas of all records that Millrace reads and writes, as files.

The files are those of the folder `schemas/`: today's, and under `versions/` those that earlier
releases wrote. Records of a user's own are added for a pipeline: its events (`events/`), and
`event.avsc`, which is what is in `clean`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import Schema
from millrace.schemas.files import schema_files
from millrace.streams.topology.topics import TOPICS, topic_prefix

_OF_PIPELINES = "event.avsc"  # without a pipeline it is not complete


class SchemaFile(NamedTuple):
    """A schema of today.

    Attributes
    ----------
    file
        Its name.
    record
        Name of the record.
    version
        How many versions there have been.
    topics
        Where such records are; in full for a pipeline.
    doc
        What it is, for people.
    """

    file: str
    record: str
    version: int
    topics: tuple[str, ...]
    doc: str


def schema_texts(pipeline: Pipeline | None) -> dict[str, str]:
    """Return the content of each file, by its name."""
    texts = {name: text for name, text in schema_files().items() if name != _OF_PIPELINES}
    if pipeline is None:
        return texts
    schema = pipeline.event_schema
    own = {_own_file(pipeline): schema.as_written.schema, _OF_PIPELINES: schema.clean.schema}
    return {**{name: _text(each) for name, each in own.items()}, **texts}


def schema_list(pipeline: Pipeline | None) -> list[SchemaFile]:
    """Return the schemas of today, in the order in which records go through the topics."""
    prefix = "" if pipeline is None else topic_prefix(pipeline)
    texts = schema_texts(pipeline)
    listed = [_described(name, texts, prefix) for name in texts if "/" not in name]
    order = [each for topic in TOPICS.values() for each in topic.types]
    listed.sort(key=lambda each: order.index(each.record))
    return [*([] if pipeline is None else [_own(pipeline)]), *listed]


def _described(file: str, texts: Mapping[str, str], prefix: str) -> SchemaFile:
    schema = json.loads(texts[file])
    record = schema["name"]
    earlier = f"versions/{file.removesuffix('avsc')}"
    topics = [prefix + name for name, each in TOPICS.items() if record in each.types]
    version = 1 + sum(name.startswith(earlier) for name in texts)
    return SchemaFile(file, record, version, tuple(topics), schema["doc"])


def _own(pipeline: Pipeline) -> SchemaFile:
    schema = pipeline.event_schema
    version = 1 + len(schema.earlier)
    topics = (f"{topic_prefix(pipeline)}events",)
    doc = str(schema.as_written.schema.get("doc", "An event, in the schema of the pipeline."))
    return SchemaFile(_own_file(pipeline), schema.as_written.name, version, topics, doc)


def _own_file(pipeline: Pipeline) -> str:
    return f"events/{pipeline.event_schema.as_written.name}.avsc"


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
