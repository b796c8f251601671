"""Avro schemas: the source of truth for every record on every topic.

The `.avsc` files describe the records, `records` gives them to Python's type checker, `avro`
encodes and decodes them, `event_schema` derives what follows from a user's own schema, and
`errors` is the tree of everything that Millrace raises on purpose. This package imports neither
`models` nor `streams`.
"""

from schemas.avro import AvroType, Codec, shipped
from schemas.errors import (
    BrokerError,
    DefinitionError,
    MillraceError,
    RecordError,
    SettingsError,
    SnapshotError,
)
from schemas.event_schema import EventSchema
from schemas.records import RejectReason

__all__ = [
    "AvroType",
    "BrokerError",
    "Codec",
    "DefinitionError",
    "EventSchema",
    "MillraceError",
    "RecordError",
    "RejectReason",
    "SettingsError",
    "SnapshotError",
    "shipped",
]
