"""The schema registry, for records in Confluent wire format.

An id always means the same schema, so looking it up keeps an operator a pure function of the log.
Only an id that the registry does not have depends on the moment: it is asked for again, so that a
producer which is a second ahead of the registry loses no record. A registry that does not answer
is no fault of the record: a `RegistryError` makes the engine begin again from the last commit.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from millrace.schemas import RecordError, RejectReason, SettingsError
from millrace.streams.environment import REGISTRY_URL
from millrace.streams.formats import Outputs, OutputSchemas
from millrace.streams.kafka.registry_client import NotFoundError, RegistryClient
from millrace.streams.settings import Settings
from millrace.streams.sources.confluent import (
    RegisteredSchema,
    Remembered,
    WrittenSchema,
    no_registry,
)

ASK_AGAIN_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Pauses before an id is asked for again that the registry does not have yet."""

_FIRST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 1.0, 60.0
_MAX_MISSING = 1_000
_MAX_WAITS, _WAITS_SECONDS = 3, 10.0  # ids in so many seconds that are waited for in vain
_MAX_ID = 2**31 - 1


def written_schema(settings: Settings) -> WrittenSchema:
    """Return the look-up of a schema by its registry id, with a memory of its own."""
    if not settings.schema_registry_url:
        return no_registry
    return SchemaLookup(RegistryClient(settings.registry))


def written_outputs(settings: Settings, ids: Mapping[str, int]) -> Outputs:
    """Return how a worker writes and reads outputs, whose schemas have these ids."""
    return Outputs(settings.outputs, OutputSchemas(ids, written_schema(settings)))


def read_outputs(settings: Settings) -> Outputs:
    """Return how outputs are read by who publishes none.

    Where a record needs the registry, and none is set, that is a `SettingsError`.
    """
    written = written_schema(settings) if settings.schema_registry_url else _required_registry
    return Outputs(settings.outputs, OutputSchemas(written=written))


def _required_registry(_schema_id: int) -> RegisteredSchema:
    raise SettingsError(
        "schema_registry_url must be set where outputs are in Confluent's wire format; got none."
        f" Set {REGISTRY_URL}"
    )


class Registry(Protocol):
    """What a look-up asks."""

    def registered(self, schema_id: int) -> RegisteredSchema: ...


class Missing(NamedTuple):
    """An id that the registry did not have, and when it is asked for again."""

    ask_at: float
    backoff_seconds: float


class SchemaLookup:
    """Looks schemas up, remembers those that exist, and asks again for those that do not.

    Parameters
    ----------
    registry
        Is asked.
    clock
        Seconds, monotonic.
    sleep
        Waits for so many seconds.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._sleep = sleep
        self._known: Remembered[RegisteredSchema] = Remembered()
        self._missing: OrderedDict[int, Missing] = OrderedDict()
        self._waits: deque[float] = deque(maxlen=_MAX_WAITS)

    def __call__(self, schema_id: int) -> RegisteredSchema:
        """Return the schema with an id.

        Raises
        ------
        RecordError
            The registry does not have it. It is asked for again after a while, for another record.
        RegistryError
            The registry does not answer, or refuses the worker.
        """
        found = self._known.get(schema_id)
        if found is None:
            found = self._ask(schema_id)
            self._known.put(schema_id, found, found.size_bytes)
        return found

    def _ask(self, schema_id: int) -> RegisteredSchema:
        missing = self._missing.get(schema_id)
        if schema_id > _MAX_ID or (missing and self._clock() < missing.ask_at):
            raise _unknown(schema_id)
        for pause in (0.0, *self._pauses(missing)):
            if pause:
                self._sleep(pause)
            try:
                found = self._registry.registered(schema_id)
            except NotFoundError:
                continue
            self._missing.pop(schema_id, None)
            return found
        self._miss(schema_id, missing)
        raise _unknown(schema_id)

    def _pauses(self, missing: Missing | None) -> tuple[float, ...]:
        """Return how long to wait for an id: not twice, and not for many ids in a row."""
        now = self._clock()
        waits = sum(1 for each in self._waits if now - each < _WAITS_SECONDS)
        return () if missing or waits >= _MAX_WAITS else ASK_AGAIN_SECONDS

    def _miss(self, schema_id: int, missing: Missing | None) -> None:
        now = self._clock()
        if missing is None:
            self._waits.append(now)
        backoff = missing.backoff_seconds * 2 if missing else _FIRST_BACKOFF_SECONDS
        backoff = min(backoff, _MAX_BACKOFF_SECONDS)
        self._missing[schema_id] = Missing(now + backoff, backoff)
        self._missing.move_to_end(schema_id)
        if len(self._missing) > _MAX_MISSING:
            self._missing.popitem(last=False)


def _unknown(schema_id: int) -> RecordError:
    return RecordError(
        RejectReason.UNKNOWN_SCHEMA,
        f"the schema registry has no schema with the id {schema_id}. Register a schema before"
        f" records are written with it, and check {REGISTRY_URL}; a record that"
        " begins with a zero byte is taken for Confluent's wire format",
    )
