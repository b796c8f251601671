"""The schemas of outputs in the schema registry, where their format needs one.

That of a topic is registered under `<full topic>-value`, as Confluent's clients do it
(TopicNameStrategy). All are checked before one is registered, and all are registered before
anything is written. What is there already is only looked up, which needs no right to write.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import structlog

from millrace.schemas import RegistryError
from millrace.streams.formats import FORMATS
from millrace.streams.kafka.registry_client import RefusedError, RegistryClient
from millrace.streams.settings import Settings
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import OUTPUTS, TOPICS

_log = structlog.get_logger(__name__)


class OutputSchema(NamedTuple):
    """A schema that the registry is to have.

    Attributes
    ----------
    type
        Name of the Avro type.
    subject
        Where it is registered.
    text
        The schema.
    """

    type: str
    subject: str
    text: str


def output_schemas(prefix: str) -> list[OutputSchema]:
    """Return the schemas of the outputs of a pipeline, whose topics have this prefix."""
    types = [(topic, name) for topic in sorted(OUTPUTS) for name in TOPICS[topic].types]
    return [
        OutputSchema(name, f"{prefix}{topic}-value", json.dumps(SHIPPED[name].schema))
        for topic, name in types
    ]


def registered_outputs(settings: Settings, prefix: str) -> dict[str, int]:
    """Return Avro type to id, once the registry has the schemas of all outputs.

    Nothing is asked, and the result is empty, where the format that is set needs no registry.

    Raises
    ------
    RegistryError
        The registry does not answer, or does not take one of them.
    """
    if not FORMATS[settings.outputs].needs_registry:
        return {}
    client = RegistryClient(settings.registry)
    wanted = output_schemas(prefix)
    found = {each.type: client.find(each.subject, each.text) for each in wanted}
    missing = [each for each in wanted if found[each.type] is None]
    for each in missing:
        if reason := client.misfit(each.subject, each.text):
            raise _refused(each, reason)
    ids = {name: schema_id for name, schema_id in found.items() if schema_id is not None}
    return ids | {each.type: _register(client, each) for each in missing}


def _register(client: RegistryClient, schema: OutputSchema) -> int:
    try:
        schema_id = client.register(schema.subject, schema.text)
    except RefusedError as error:
        raise _refused(schema, str(error)) from None
    _log.info("registered a schema", subject=schema.subject, id=schema_id)
    return schema_id


def _refused(schema: OutputSchema, reason: str) -> RegistryError:
    return RegistryError(
        f"the schema registry refuses the schema of {schema.type} for subject {schema.subject!r}:"
        f" {reason}. Nothing was written. Remove what others have registered there, set the"
        " compatibility of the subject to NONE, or choose another pipeline_name"
    )
