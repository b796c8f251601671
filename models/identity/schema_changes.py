"""What changes in the event schema, and what of it a pipeline cannot take.

Records of both schemas are in flight, so one must follow the other by Avro's rules
(`schemas.compatibility`); events of earlier ones may be there, too, and must be read. And a
feature that goes on finds its fields, of the same kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from millrace.models.identity.definition import Description
from millrace.schemas import EventSchema, schema_problems
from millrace.schemas.codec.avro import Schema
from millrace.schemas.codec.matching import placed
from millrace.schemas.compatibility import reading_problems

_KINDS = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    **dict.fromkeys(("string", "enum"), "text"),
}


class SchemaChanges(NamedTuple):
    """What is other in a schema, and why it is refused: sentences."""

    notes: tuple[str, ...]
    refused: tuple[str, ...]


def schema_changes(
    before: Description, now: Description, kept: Collection[str], past: Collection[Schema] = ()
) -> SchemaChanges:
    """Compare the schemas of two descriptions.

    Parameters
    ----------
    before, now
        Descriptions of the pipelines.
    kept
        Names of the features that go on.
    past
        Schemas of earlier definitions.
    """
    if before["schema"] == now["schema"]:
        return SchemaChanges((), ())
    old, new = (EventSchema(each["schema"], before["label"]) for each in (before, now))
    features = [each for each in before["features"] if each["name"] in kept]
    problems = [*schema_problems(old, new), *_unread(features, old, new)]
    problems += [each for each in _of_past(past, new) if each not in problems]
    notes = [*_notes(old, new)]
    if not notes and old.as_written.header != new.as_written.header:
        notes.append("schema: the names of types, or the order of fields, are other")
    return SchemaChanges((*notes,), tuple(f"schema: {each}" for each in problems))


def _of_past(past: Collection[Schema], new: EventSchema) -> Iterator[str]:
    """Yield what keeps events of earlier schemas, which may still be there, from being read."""
    for schema in past:
        earlier = EventSchema(schema, new.label)
        yield from reading_problems(earlier.accepted.type, new.accepted.type)


def _notes(old: EventSchema, new: EventSchema) -> Iterator[str]:
    before, now = old.as_written, new.as_written
    sources = {place: source for source, place in placed(before.type, now.type).items()}
    declared = {each["name"]: each for each in before.fields}
    for each in now.fields:
        name = str(each["name"])
        was = sources.get(name)
        where = f"schema: the field {name!r}"
        if was is None:
            yield f"{where} is new"
        elif was != name:
            yield f"{where} was {was!r}"
        if was is not None and new.types_of(name) != old.types_of(was):
            yield f"{where} is {_types(new, name)}; it was {_types(old, was)}"
        elif was == name and each != declared[name]:
            yield f"{where} is declared otherwise"
    for name in old.field_names:
        if name not in sources.values():
            yield f"schema: the field {name!r} is gone"


def _types(schema: EventSchema, field: str) -> str:
    return " or ".join(schema.types_of(field))


def _unread(features: Collection[Description], old: EventSchema, new: EventSchema) -> Iterator[str]:
    """Yield what features that go on can no longer read as they did."""
    for feature in features:
        for field in feature["reads"]:
            where = f"field {field!r}, which features[{feature['name']!r}] reads,"
            if field not in new:
                yield f"{where} is gone. Leave it in, or take the feature away too"
            elif lost := _kinds(old, field) - _kinds(new, field):
                yield (
                    f"{where} is no {' or '.join(sorted(lost))} any more. Add what has changed as a"
                    " field of another name"
                )


def _kinds(schema: EventSchema, field: str) -> set[str]:
    return {_KINDS.get(each, each) for each in schema.types_of(field)} - {"null"}
