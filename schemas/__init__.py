"""Avro schemas: the source of truth for every record on every topic.

The `.avsc` files describe the records, `records` gives them to Python's type checker, `avro`
encodes and decodes them, `event_schema` derives what follows from a user's own schema, and
`errors` is the tree of everything that Millrace raises on purpose. This package imports neither
`models` nor `streams`.
"""

from millrace.schemas.codec.avro import AvroType, Codec, shipped
from millrace.schemas.errors import (
    BrokerError,
    DefinitionError,
    MillraceError,
    RecordError,
    SettingsError,
    SnapshotError,
)
from millrace.schemas.event_schema import EventSchema
from millrace.schemas.records import RejectReason

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
