"""The user's own event schema, and the types that follow from it.

A pipeline's events are Avro records of the user's making. From that one schema come the types
that `ingest` accepts (as written, and with the label made optional, so that it may come later)
and the type of the records in `clean`, which carry the event without its label.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened

import fastavro
from fastavro.validation import ValidationError

from millrace.schemas.codec.avro import (
    AvroType,
    Codec,
    Schema,
    record_fields,
    without_logical_types,
)
from millrace.schemas.errors import DefinitionError, RecordError
from millrace.schemas.files import current, earlier, shipped
from millrace.schemas.records import Fields, RejectReason

_UNITS_PER_MS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}
_OUT_OF_RANGE = (OverflowError, struct.error)
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "enum"})


class EventSchema:
    """A pipeline's event schema.

    Parameters
    ----------
    source
        The Avro schema: a path to an `.avsc` file, or the parsed JSON.
    label
        Name of the field that holds the label, if events carry one.

    Raises
    ------
    DefinitionError
        The file cannot be read, or is not an Avro record schema.
    """

    def __init__(self, source: Path | str | Schema, label: str | None = None) -> None:
        schema = source if isinstance(source, dict) else _load(Path(source))
        self.as_written: AvroType[Fields] = _as_type(schema)
        if self.as_written.name == "Label":
            raise DefinitionError(
                "the schema's name must not be 'Label', the name of Millrace's own label records;"
                f" got {schema['name']!r}. Rename the record"
            )
        self.label = label
        self._fields = {str(each["name"]): each for each in self.as_written.fields}

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every field, in the schema's order."""
        return tuple(self._fields)

    def types_of(self, field: str) -> tuple[str, ...]:
        """Return the names of the Avro types that `field` may have, null included."""
        return tuple(_type_name(each) for each in _branches(self._fields[field]))

    def symbols_of(self, field: str) -> tuple[str, ...]:
        """Return the symbols of an enum field; empty for any other."""
        enums = [each for each in _branches(self._fields[field]) if isinstance(each, dict)]
        return tuple(symbol for each in enums for symbol in each.get("symbols", ()))

    def is_primitive(self, field: str) -> bool:
        """Whether a model can see `field` as it is: a number, a boolean or text."""
        return _PRIMITIVES.issuperset(self.types_of(field))

    def units_per_ms(self, field: str) -> int:
        """Return how many of the units of a time field make a millisecond."""
        times = [each for each in _branches(self._fields[field]) if isinstance(each, dict)]
        logical = [str(each.get("logicalType")).removeprefix("local-") for each in times]
        return next((_UNITS_PER_MS[each] for each in logical if each in _UNITS_PER_MS), 1)

    @cached_property
    def floating_fields(self) -> tuple[str, ...]:
        """Fields that could hold NaN or infinity."""
        return tuple(f for f in self._fields if {"float", "double"} & {*self.types_of(f)})

    @cached_property
    def accepted(self) -> AvroType[Fields]:
        """The schema with raw timestamps and an optional label: what JSON is checked against."""
        fields = [
            _optional(field) if name == self.label else field
            for name, field in self._fields.items()
        ]
        return AvroType(without_logical_types(self.as_written.schema | {"fields": fields}))

    @cached_property
    def codec(self) -> Codec:
        """Decode what a user may produce to `events` in single-object encoding.

        A fingerprint does not cover logical types, so what is written with them is read, too.
        """
        raw: AvroType[Fields] = AvroType(without_logical_types(self.as_written.schema))
        return Codec([raw, self.accepted, shipped("label")])

    @cached_property
    def clean_codec(self) -> Codec:
        """Encode and decode the records of `clean`."""
        event: AvroType[Fields] = AvroType(
            self._in_envelope(current("event")),
            earlier=[self._in_envelope(each) for each in earlier("event")],
        )
        return Codec([event, shipped("label")])

    def check(self) -> None:
        """Refuse a schema that its records could not pass through the topics with.

        Raises
        ------
        DefinitionError
            Naming what is wrong.
        """
        try:
            self.accepted, self.codec, self.clean_codec  # noqa: B018 - made when first asked for
        except Exception as error:  # what fastavro finds only now
            raise DefinitionError(
                "schema must not contain itself, nor types with the names of Millrace's own"
                f" (millrace.Event, events.{self.as_written.name}Fields); got {error}."
                " Rename the type"
            ) from error

    def _in_envelope(self, envelope: Schema) -> Schema:
        """Return the schema of `Event` with the user's fields, all but the label."""
        own = without_logical_types(self.as_written.schema)
        fields = [each for each in record_fields(own) if each["name"] != self.label]
        name = f"{self.as_written.name}Fields"
        record = {"namespace": "events", **own, "name": name, "fields": fields}
        return envelope | {
            "fields": [
                each | {"type": record} if each["name"] == "fields" else each
                for each in record_fields(envelope)
            ]
        }

    def from_json(self, document: Mapping[str, object]) -> Fields:
        """Check a JSON object against the schema and return the record it stands for.

        Going through Avro's binary form makes the result the same, to the bit, as that of a
        producer who wrote Avro. Names that the schema does not have are ignored.

        Raises
        ------
        RecordError
            A field is missing or of another type.
        """
        schema = self.accepted.schema
        record = {name: self._value(name, document) for name in self._fields}
        try:
            fastavro.validate(record, schema, raise_errors=True)
            return self.accepted.decode(self.accepted.encode(record))
        except ValidationError as error:
            reason = RejectReason.ILL_TYPED_FIELD
            if _field(error, schema) == self.label:
                reason = RejectReason.UNKNOWN_LABEL_TYPE
            raise RecordError(reason, _sentence(error, schema)) from error
        except (*_OUT_OF_RANGE, TypeError, ValueError, RecursionError) as error:
            where = next((f"field {n!r}" for n, v in record.items() if not _fits(v)), "the event")
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"{where} does not fit its type: {error}"
            ) from error

    def _value(self, name: str, document: Mapping[str, object]) -> object:
        if name in document:
            return document[name]
        if name == self.label:
            return None
        if "default" not in self._fields[name]:
            raise RecordError(
                RejectReason.MISSING_FIELD,
                f"the event lacks the field {name!r}; its fields are {[*document]}",
            )
        default = self._fields[name]["default"]
        if isinstance(default, str) and "bytes" in self.types_of(name):
            return default.encode("latin-1")
        return default


def _load(path: Path) -> Schema:
    try:
        loaded: Schema = json.loads(path.read_text())
    except OSError as error:
        raise DefinitionError(
            f"schema must be a readable file; got {str(path)[:300]!r}: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"schema must be JSON; got {str(path)!r}: {error}") from error
    return loaded


def _as_type(schema: Schema) -> AvroType[Fields]:
    try:
        json.dumps(schema)  # what contains itself would crash fastavro
        return AvroType(schema)
    except (TypeError, ValueError, RecursionError, SyntaxError) as error:
        raise DefinitionError(
            f"schema must be Avro as JSON has it; got {shortened(schema)}: {error}"
        ) from error


def _branches(field: Schema) -> list[object]:
    """Return the types that a field may have: those of its union, or its own."""
    declared = field["type"]
    return declared if isinstance(declared, list) else [declared]


def _optional(field: Schema) -> Schema:
    others = [each for each in _branches(field) if each != "null"]
    return field | {"type": ["null", *others], "default": None}


def _type_name(declared: object) -> str:
    return str(declared["type"] if isinstance(declared, dict) else declared)


def _field(error: ValidationError, schema: Schema) -> str:
    field = str(error.errors[0].field)
    for prefix in (schema.get("namespace"), schema["name"]):
        field = field.removeprefix(f"{prefix}.")
    return field


def _sentence(error: ValidationError, schema: Schema) -> str:
    first, field = error.errors[0], _field(error, schema)
    types = dict.fromkeys(_type_name(each.schema) for each in error.errors)
    got = shortened(first.datum)  # str() fails for a value that is nested too deep
    return f"field {field!r} must be {' or '.join(types)}; got {got}"


def _fits(value: object) -> bool:
    """Whether a number fits into a double, and text into UTF-8."""
    try:
        math.isfinite(value) if isinstance(value, int) else str(value).encode()
    except (OverflowError, UnicodeEncodeError, RecursionError):
        return False
    return True
