"""The schema registry, for events in Confluent wire format."""

from __future__ import annotations

import json
from collections.abc import Callable

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from millrace.schemas import BrokerError
from millrace.schemas.codec.avro import Schema
from millrace.streams.settings import Settings

_NOT_FOUND = 404


def written_schema(settings: Settings) -> Callable[[int], Schema | None]:
    """Return the look-up of a schema by its registry id, with a cache of its own.

    An id never changes its meaning, so looking it up keeps an operator a pure function of the
    log. A registry that does not answer stops the agent (`BrokerError`): the record is not lost.
    """
    if not settings.schema_registry_url:
        return lambda _: None
    client = SchemaRegistryClient({"url": settings.schema_registry_url})
    known: dict[int, Schema | None] = {}

    def look_up(schema_id: int) -> Schema | None:
        if schema_id not in known:
            try:
                known[schema_id] = json.loads(client.get_schema(schema_id).schema_str or "null")
            except SchemaRegistryError as error:
                if error.http_status_code != _NOT_FOUND:
                    raise _unreachable(settings, error) from error
                known[schema_id] = None
            except OSError as error:
                raise _unreachable(settings, error) from error
        return known[schema_id]

    return look_up


def _unreachable(settings: Settings, error: Exception) -> BrokerError:
    return BrokerError(
        f"schema registry {settings.schema_registry_url!r} does not answer: {error}. Check the"
        " setting schema_registry_url"
    )
