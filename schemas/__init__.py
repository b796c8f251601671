"""Avro schemas: the source of truth for every record on every topic.

The `.avsc` files describe the records, and `versions/` those of earlier releases. `records` gives
them to Python's type checker, `codec` encodes and decodes them, `event_schema` derives what
follows from a user's own schema, and `errors` is the tree of everything that Millrace raises on
purpose. This package imports neither `models` nor `streams`.

Exported is what those two work with: a user's schema (`EventSchema`), Millrace's own (`shipped`),
what encodes and decodes them (`Codec`, `AvroType`), whether one schema can follow another
(`schema_problems`), why a record was rejected and what became of a
label (`RejectReason`, `Fate`), and the errors. The shapes of records are imported from `records`,
where they are read as a list.
"""

from millrace.schemas.codec.avro import AvroType, Codec, Schema
from millrace.schemas.compatibility import schema_problems
from millrace.schemas.errors import (
    ArchiveError,
    BrokerError,
    CommandError,
    DefinitionError,
    ExpiredError,
    LostError,
    MillraceError,
    PartitionsError,
    RecordError,
    RegistryError,
    SettingsError,
    SnapshotError,
    TopicError,
)
from millrace.schemas.event_schema import EventSchema
from millrace.schemas.files import shipped
from millrace.schemas.records import Fate, RejectReason

__all__ = [
    "ArchiveError",
    "AvroType",
    "BrokerError",
    "Codec",
    "CommandError",
    "DefinitionError",
    "EventSchema",
    "ExpiredError",
    "Fate",
    "LostError",
    "MillraceError",
    "PartitionsError",
    "RecordError",
    "RegistryError",
    "RejectReason",
    "Schema",
    "SettingsError",
    "SnapshotError",
    "TopicError",
    "schema_problems",
    "shipped",
]
