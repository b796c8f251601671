"""The user's own event schema, and the types that follow from it.

A pipeline's events are Avro records of the user's making. From that one schema come the layouts
that `ingest` accepts (as written, and with the label made optional, so that it may come later)
and the type of the records in `clean`, which carry the event without its label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import fastavro
from fastavro.validation import ValidationError

from millrace.schemas.codec.avro import AvroType, Codec, Schema, shipped, without_logical_types
from millrace.schemas.errors import DefinitionError, RecordError
from millrace.schemas.records import RejectReason

_MISSING = object()
_TIMESTAMPS_PER_MS = {"timestamp-millis": 1, "timestamp-micros": 1000, "timestamp-nanos": 1000000}
_PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "string"})


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
        self.as_written = AvroType(schema)
        if self.as_written.name == "Label":
            raise DefinitionError(
                "schema requires a record name other than 'Label', which is taken"
            )
        self.label = label
        self._fields: dict[str, Schema] = {each["name"]: each for each in schema["fields"]}

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every field, in the schema's order."""
        return tuple(self._fields)

    def types_of(self, field: str) -> tuple[str, ...]:
        """Return the names of the Avro types that `field` may have, null included."""
        declared = self._fields[field]["type"]
        branches = declared if isinstance(declared, list) else [declared]
        return tuple(_type_name(each) for each in branches)

    def symbols_of(self, field: str) -> tuple[str, ...]:
        """Return the symbols of an enum field; empty for any other."""
        declared = self._fields[field]["type"]
        branches = declared if isinstance(declared, list) else [declared]
        return tuple(
            s for each in branches if isinstance(each, dict) for s in each.get("symbols", ())
        )

    def is_primitive(self, field: str) -> bool:
        """Whether a model can see `field` as it is: a number, a boolean or text."""
        kinds = set(self.types_of(field)) - {"null"}
        return kinds <= _PRIMITIVES | {"enum"}

    def units_per_ms(self, field: str) -> int:
        """Return how many of the units of a time field make a millisecond."""
        declared = self._fields[field]["type"]
        branches = declared if isinstance(declared, list) else [declared]
        logical = [each.get("logicalType") for each in branches if isinstance(each, dict)]
        units = [str(each).removeprefix("local-") for each in logical]
        return next((_TIMESTAMPS_PER_MS[each] for each in units if each in _TIMESTAMPS_PER_MS), 1)

    @cached_property
    def floating_fields(self) -> tuple[str, ...]:
        """Fields that could hold NaN or infinity."""
        return tuple(f for f in self._fields if {"float", "double"} & set(self.types_of(f)))

    @cached_property
    def accepted(self) -> AvroType:
        """The schema with raw timestamps and an optional label: what JSON is held against."""
        return AvroType(self._with_optional_label(without_logical_types(self.as_written.schema)))

    @cached_property
    def codec(self) -> Codec:
        """Decode what a user may produce to `events` in single-object encoding."""
        layouts = []
        for schema in (self.as_written.schema, self._with_optional_label(self.as_written.schema)):
            layout = AvroType(without_logical_types(schema))
            layout.header = AvroType(schema).header
            layouts.append(layout)
        return Codec([*layouts, self.accepted, shipped("label")])

    @cached_property
    def clean_codec(self) -> Codec:
        """Encode and decode the records of `clean`."""
        fields = without_logical_types(self.as_written.schema)
        fields["name"] = f"{self.as_written.name}Fields"
        fields.setdefault("namespace", "events")
        fields["fields"] = [f for f in fields["fields"] if f["name"] != self.label]
        fields.setdefault("namespace", "")  # the envelope's own is not for the user's names
        envelope = json.loads((Path(__file__).parent / "event.avsc").read_text())
        for field in envelope["fields"]:
            if field["name"] == "fields":
                field["type"] = fields
        return Codec([AvroType(envelope), shipped("label")])

    def from_json(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Hold a JSON object against the schema and return the record it stands for.

        Going through Avro's binary form makes the result the same, to the bit, as that of a
        producer who wrote Avro. Names that the schema does not have are ignored.

        Raises
        ------
        RecordError
            A field is missing or of another type.
        """
        record = {name: self._value(name, document) for name in self._fields}
        try:
            fastavro.validate(record, self.accepted.schema, raise_errors=True)
            return self.accepted.decode_body(self.accepted.encode(record))  # type: ignore[no-any-return]
        except ValidationError as error:
            raise RecordError(RejectReason.ILL_TYPED_FIELD, _sentence(error)) from error
        except (OverflowError, TypeError, ValueError, RecursionError) as error:
            where = next((f"field {n!r}" for n, v in record.items() if not _fits(v)), "an event")
            raise RecordError(
                RejectReason.ILL_TYPED_FIELD, f"{where} requires values in range; got {error}"
            ) from error

    def _value(self, name: str, document: Mapping[str, Any]) -> Any:
        value = document.get(name, _MISSING)
        if value is not _MISSING:
            return value
        if name == self.label:
            return None
        if "default" in self._fields[name]:
            default = self._fields[name]["default"]
            is_binary = isinstance(default, str) and "bytes" in self.types_of(name)
            return default.encode("latin-1") if is_binary else default
        raise RecordError(
            RejectReason.MISSING_FIELD, f"an event requires the field {name!r}; got {[*document]}"
        )

    def _with_optional_label(self, schema: Schema) -> Schema:
        changed = deepcopy(schema)
        for field in changed["fields"]:
            if field["name"] == self.label:
                declared = field["type"]
                branches = declared if isinstance(declared, list) else [declared]
                field["type"] = ["null", *(each for each in branches if each != "null")]
                field["default"] = None
        return changed


def _load(path: Path) -> Schema:
    try:
        loaded: Schema = json.loads(path.read_text())
    except OSError as error:
        raise DefinitionError(f"schema requires a readable file; got {str(path)!r}") from error
    except ValueError as error:
        raise DefinitionError(f"schema {str(path)!r} requires JSON; got {error}") from error
    return loaded


def _type_name(declared: Any) -> str:
    return str(declared["type"]) if isinstance(declared, dict) else str(declared)


def _sentence(error: ValidationError) -> str:
    first = error.errors[0]
    field = str(first.field).partition(".")[2]
    types = dict.fromkeys(_type_name(each.schema) for each in error.errors)
    got = shortened(first.datum)  # not its own text, which a value nested too deep has none of
    return f"field {field!r} requires {' or '.join(types)}; got {got}"


def _fits(value: Any) -> bool:
    """Whether a number is one that a double can hold, and text one that UTF-8 can."""
    try:
        math.isfinite(value) if isinstance(value, int) else str(value).encode()
    except (OverflowError, UnicodeEncodeError, RecursionError):
        return False
    return True
