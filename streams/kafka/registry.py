"""The schema registry, for events in Confluent wire format."""

from __future__ import annotations

import json

from millrace.schemas import BrokerError
from millrace.schemas.codec.avro import Schema
from millrace.streams.settings import Settings
from millrace.streams.sources.decoder import WrittenSchema

_NOT_FOUND = 404


def written_schema(settings: Settings) -> WrittenSchema:
    """Return the look-up of an Avro schema by its registry id, with a cache of its own.

    A registry id always means the same schema, so looking it up keeps an operator a pure function
    of the log. Without a registry, no id is known. A registry that does not answer stops the agent
    (`BrokerError`): the record is not lost.
    """
    if not settings.schema_registry_url:
        return lambda _: None
    # Its import takes 0.4 s, which only users of a registry wait for.
    from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415

    client = SchemaRegistryClient({"url": settings.schema_registry_url})
    known: dict[int, Schema | None] = {}

    def look_up(schema_id: int) -> Schema | None:
        if schema_id not in known:
            try:
                found = client.get_schema(schema_id)
            except Exception as error:  # the transport's type of error depends on the release
                if getattr(error, "http_status_code", None) != _NOT_FOUND:
                    raise _unanswered(settings, error) from error
                known[schema_id] = None
            else:
                is_avro = found.schema_type == "AVRO"
                known[schema_id] = json.loads(found.schema_str or "null") if is_avro else None
        return known[schema_id]

    return look_up


def _unanswered(settings: Settings, error: Exception) -> BrokerError:
    return BrokerError(
        f"schema registry {settings.schema_registry_url!r} does not answer: {error}. Check that it"
        " is up, and the setting schema_registry_url"
    )
