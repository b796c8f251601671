"""The user's own event schema, and the types that follow from it.

A pipeline's events are Avro records of the user's making. From that one schema come the types
that `ingest` accepts (as written, and with the label made optional, so that it may come later)
and the type of the records in `clean`, which carry the event without its label.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from copy import copy
from functools import cached_property
from itertools import chain
from pathlib import Path
from reprlib import repr as shortened
from typing import cast

from millrace.schemas.codec.avro import MARKER, AvroType, Codec, Schema
from millrace.schemas.codec.documents import MisfitError, document_reader
from millrace.schemas.codec.parsing import load, parse_record
from millrace.schemas.codec.types import (
    MAX_DEPTH,
    Enum,
    Moment,
    Type,
    is_recursive,
    kind_of,
)
from millrace.schemas.compatibility import reading_problems
from millrace.schemas.errors import DefinitionError, RecordError
from millrace.schemas.files import current, earlier, shipped, versions
from millrace.schemas.paths import branches_at, changed_at, check_used_once, paths_of
from millrace.schemas.records import Fields, RejectReason

read_text: ContextVar[Callable[[Path], str]] = ContextVar("read_text", default=Path.read_text)
"""How the file of a schema is read: while a bundle is imported, it is one of the bundle's."""

_NANOSECONDS_PER_MS = 1_000_000
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "enum"})


class EventSchema:
    """A pipeline's event schema.

    Parameters
    ----------
    source
        The Avro schema: a path to an `.avsc` file, or the parsed JSON.
    label
        Name of the field that holds the label, if events carry one.
    earlier
        Schemas that producers may still write events with, in single-object encoding.

    Raises
    ------
    DefinitionError
        The file cannot be read, or is not an Avro record schema.
    """

    def __init__(
        self,
        source: Path | str | Schema,
        label: str | None = None,
        earlier: Iterable[Path | str | Schema] = (),
    ) -> None:
        schema = _as_json(source) if isinstance(source, dict) else _load(Path(source))
        self.as_written: AvroType[Fields] = _as_type(schema)
        if self.as_written.name == "Label":
            raise DefinitionError(
                "the schema's name must not be 'Label', the name of Millrace's own label records;"
                f" got {self.as_written.schema['name']!r}. Rename the record"
            )
        self.label = label
        self.earlier = tuple(self._earlier(place, each) for place, each in enumerate(earlier))
        self._others = self.earlier

    @property
    def fingerprint(self) -> str:
        """What records in single-object encoding name it by: 16 hexadecimal digits."""
        return self.as_written.header[len(MARKER) :].hex()

    @property
    def field_names(self) -> tuple[str, ...]:
        """Every field at the top, in the schema's order."""
        return tuple(self.as_written.type.fields)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Every field, in the schema's order; one of a nested record by its path, as in `a.b`."""
        return tuple(paths_of(self.as_written.type))

    def __contains__(self, field: object) -> bool:
        """Whether there is a field at a path."""
        return isinstance(field, str) and branches_at(self.as_written.type, field) is not None

    def types_of(self, field: str) -> tuple[str, ...]:
        """Return the names of the Avro types that `field` may have, null included."""
        return tuple(kind_of(each) for each in self._branches(field))

    def symbols_of(self, field: str) -> tuple[str, ...]:
        """Return the symbols of an enum field; empty for any other."""
        enums = [each for each in self._branches(field) if isinstance(each, Enum)]
        return tuple(symbol for each in enums for symbol in each.symbols)

    def is_primitive(self, field: str) -> bool:
        """Whether a model can see `field` as it is: a number, a boolean or text."""
        return _PRIMITIVES.issuperset(self.types_of(field))

    def units_per_ms(self, field: str) -> int:
        """Return how many of the units of a time field make a millisecond."""
        moments = [each for each in self._branches(field) if isinstance(each, Moment)]
        return max((_NANOSECONDS_PER_MS // each.nanoseconds for each in moments), default=1) or 1

    def _branches(self, field: str) -> tuple[Type, ...]:
        branches = branches_at(self.as_written.type, field)
        if branches is None:
            raise KeyError(field)
        return branches

    @cached_property
    def floating_fields(self) -> tuple[str, ...]:
        """Fields that could hold NaN or infinity."""
        return tuple(f for f in self.paths if {"float", "double"} & {*self.types_of(f)})

    @cached_property
    def accepted(self) -> AvroType[Fields]:
        """The schema with an optional label: what JSON, and what others write, is read as."""
        both = [(each.as_written.schema, each._accepted_schema) for each in self.earlier]
        return AvroType(self._accepted_schema, earlier=chain.from_iterable(both))

    @property
    def _accepted_schema(self) -> Schema:
        own = self.as_written.schema
        return own if self.label is None else changed_at(own, self.label, _optional)

    def _earlier(self, place: int, source: Path | str | Schema) -> EventSchema:
        """Return an earlier schema, of which each record must be one of this."""
        try:
            found = EventSchema(source, self.label)
        except DefinitionError as error:
            raise DefinitionError(f"earlier_schemas[{place}]: {error}") from error
        problems = reading_problems(
            *map(parse_record, (found._accepted_schema, self._accepted_schema))
        )
        if problems:
            raise DefinitionError(
                f"earlier_schemas[{place}] must have records that the schema of today reads; got"
                f" {found.as_written.type.name!r}, in which {'; '.join(problems)}"
            )
        return found

    @cached_property
    def codec(self) -> Codec:
        """Decode what a user may produce to `events` in single-object encoding."""
        return Codec([self.as_written, self.accepted, *versions("label")])

    @cached_property
    def clean(self) -> AvroType[Fields]:
        """The type of the events in `clean`."""
        return AvroType(
            self._in_envelope(current("event")),
            earlier=[self._in_envelope(each) for each in earlier("event")],
            others=[
                each._in_envelope(envelope)
                for each in self._others
                for envelope in (current("event"), *earlier("event"))
            ],
            levels=MAX_DEPTH + 1,  # the envelope is one more
        )

    @cached_property
    def clean_codec(self) -> Codec:
        """Encode and decode the records of `clean`."""
        return Codec([self.clean, *map(shipped, ("label", "removal", "accepted_command"))])

    def reading(self, others: Iterable[EventSchema]) -> EventSchema:
        """Return the same schema, which reads the records of others in `clean`, too.

        They may be earlier and later ones. What an event of a later schema has and this one does
        not know is dropped, or stays as it is: see `codec.resolution`.

        Parameters
        ----------
        others
            Oldest first: of several with one fingerprint, the first counts.
        """
        others = [*others]
        if not others:
            return self
        same = copy(self)
        for name in ("clean", "clean_codec"):
            vars(same).pop(name, None)
        same._others = (*self._others, *chain.from_iterable((e, *e._others) for e in others))
        return same

    def check(self) -> None:
        """Refuse a schema that its records could not pass through the topics with.

        Raises
        ------
        DefinitionError
            Naming what is wrong.
        """
        if self.label is not None:
            check_used_once(self.as_written.type, self.label)
        try:
            self.accepted, self.codec, self.clean_codec  # noqa: B018 - made when first asked for
        except DefinitionError as error:
            raise DefinitionError(
                "schema must have names of its own, not millrace.Event or"
                f" events.{self.as_written.name}Fields; got {error}. Rename the type"
            ) from error
        try:
            self._read_document  # noqa: B018 - which reads the defaults
        except DefinitionError as error:
            raise DefinitionError(f"schema must have defaults that fit, but {error}") from error

    def _in_envelope(self, envelope: Schema) -> Schema:
        """Return the schema of `Event` with the user's fields, all but the label."""
        own = self.as_written.schema
        if self.label is not None:
            own = changed_at(own, self.label, lambda _: None)
        # What holds others of its kind refers to them by its own name.
        name = f"{self.as_written.name}{'' if is_recursive(self.as_written.type) else 'Fields'}"
        record = {"namespace": "events", **own, "name": name}
        return envelope | {
            "fields": [
                each | {"type": record} if each["name"] == "fields" else each
                for each in _declared_fields(envelope)
            ]
        }

    def from_json(self, document: Mapping[str, object]) -> Fields:
        """Check a JSON object against the schema and return the record it stands for.

        It is the same, to the bit, as that of a producer who wrote Avro. Names that the schema
        does not have are ignored.

        Raises
        ------
        RecordError
            A field is missing or of another type.
        """
        try:
            return cast("Fields", self._read_document(document))
        except MisfitError as error:
            field = ".".join(error.path)
            if error.is_missing:
                raise RecordError(
                    RejectReason.MISSING_FIELD,
                    f"the event lacks the field {field!r}; its fields are {[*document]}",
                ) from None
            reason = RejectReason.ILL_TYPED_FIELD
            if field == self.label:
                reason = RejectReason.UNKNOWN_LABEL_TYPE
            raise RecordError(reason, f"field {field!r} {error}") from None

    @cached_property
    def _read_document(self) -> Callable[[object], object]:
        return document_reader(self.accepted.type)


def _load(path: Path) -> object:
    try:
        text = read_text.get()(path)
    except OSError as error:
        raise DefinitionError(
            f"schema must be a readable file; got {str(path)[:300]!r}: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"schema must be JSON; got {str(path)!r}: {error}") from error
    return load(text, repr(str(path)))


def _as_json(schema: Schema) -> object:
    """Return a schema that was given as Python has it."""
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise DefinitionError(
            f"schema must be Avro as JSON has it; got {shortened(schema)}: {error}"
        ) from error
    return load(text, shortened(schema))


def _as_type(schema: object) -> AvroType[Fields]:
    try:
        return AvroType(cast("Schema", schema))
    except DefinitionError as error:
        if str(error).startswith("schema "):
            raise
        raise DefinitionError(f"schema must be valid Avro, in which {error}") from error


def _declared_fields(schema: Schema) -> list[Schema]:
    return cast("list[Schema]", schema["fields"])


def _optional(field: Schema) -> Schema:
    declared = field["type"]
    branches = declared if isinstance(declared, list) else [declared]
    others = [each for each in branches if each != "null"]
    return field | {"type": ["null", *others], "default": None}
