"""A schema that follows another reads its records, and is read by tasks that have it still."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.schemas import EventSchema, schema_problems
from millrace.schemas.compatibility import reading_problems

COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
FIXED = {"type": "fixed", "name": "Hash", "size": 4}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DAYS = {"type": "int", "logicalType": "date"}


def field(name: str, declared: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": declared, **more}


def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [*fields]}


def visits(*fields: dict[str, Any]) -> EventSchema:
    """Return a schema of an id, a label and what is given."""
    both = [field("id", "string"), *fields, field("paid", "boolean")]
    return EventSchema(record("Visit", *both), label="paid")


def array_of(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def map_of(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def nested(*fields: dict[str, Any]) -> EventSchema:
    return visits(field("where", record("Place", *fields)))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([], [field("x", "int", default=0)]),
        ([], [field("x", ["null", "string"], default=None)]),
        ([field("x", "int", default=0)], []),
        ([field("x", "int")], [field("y", "int", aliases=["x"])]),
        ([field("x", "int")], [field("y", "double", aliases=["w", "x"])]),
        ([field("x", "int"), field("y", "long")], [field("y", "long"), field("x", "int")]),
        ([field("x", "int")], [field("x", "int", doc="How many.", default=7)]),
        ([field("x", "int", default=7)], [field("x", "int")]),
        ([field("x", MILLIS)], [field("x", {**MILLIS, "doc": "When."})]),
        ([field("x", MILLIS)], [field("x", "long")]),
        (
            [field("x", "long")],
            [field("x", {"type": "long", "logicalType": "local-timestamp-millis"})],
        ),
        ([field("x", "string")], [field("x", {"type": "string", "logicalType": "uuid"})]),
        ([field("x", COLOUR)], [field("x", {**COLOUR, "symbols": ["GREEN", "BLUE", "RED"]})]),
        ([field("x", COLOUR)], [field("x", {**COLOUR, "symbols": ["RED"], "default": "RED"})]),
        ([field("x", COLOUR)], [field("x", {**COLOUR, "name": "Paint"})]),
        ([field("x", "long")], [field("x", ["null", "long"])]),
        ([field("x", ["null", "int"])], [field("x", ["double", "null", "string"])]),
        ([field("x", ["int", "long"])], [field("x", "long")]),
        ([field("x", array_of("int"))], [field("x", array_of("double"))]),
        ([field("x", map_of("int"))], [field("x", map_of(["null", "long"]))]),
        ([field("x", FIXED)], [field("x", {**FIXED, "name": "Digest"})]),
        ([field("x", decimal(4, 2))], [field("x", decimal(4, 2), default="\u0001")]),
    ],
    ids=str,
)
def test_changes_that_are_compatible(before: list[Any], now: list[Any]) -> None:
    """What reads events from before, and is read back, is no problem."""
    assert schema_problems(visits(*before), visits(*now)) == []


@pytest.mark.parametrize(
    ("before", "now", "problem"),
    [
        ([], [field("x", "int")], "field 'x' is added, but has no default"),
        ([field("x", "int")], [], "field 'x' is removed, but has no default"),
        ([field("x", "long")], [field("x", "int")], "field 'x': long cannot be read as int. Add"),
        (
            [field("x", "double")],
            [field("x", "float")],
            "field 'x': double cannot be read as float",
        ),
        ([field("x", "double")], [field("x", "long")], "field 'x': double cannot be read as long"),
        ([field("x", "boolean")], [field("x", "int")], "field 'x': boolean cannot be read as int"),
        ([field("x", COLOUR)], [field("x", "string")], "field 'x': enum Colour cannot be read as"),
        ([field("x", "string")], [field("x", COLOUR)], "field 'x': string cannot be read as enum"),
        (
            [field("x", COLOUR)],
            [field("x", {**COLOUR, "symbols": ["RED"]})],
            "field 'x': enum Colour lacks the symbols ['BLUE'], which events from before may have."
            " Keep them, or give the enum a default",
        ),
        (
            [field("x", ["null", "long"])],
            [field("x", "long")],
            "field 'x': null cannot be read as long",
        ),
        (
            [field("x", ["null", "long", "string"])],
            [field("x", ["null", "long"])],
            "field 'x': string cannot be read as null or long",
        ),
        ([field("x", "int")], [field("x", array_of("int"))], "field 'x': int cannot be read as a"),
        ([field("x", array_of("int"))], [field("x", map_of("int"))], "field 'x': array cannot be"),
        ([field("x", array_of("long"))], [field("x", array_of("int"))], "field 'x': long cannot"),
        ([field("x", map_of("long"))], [field("x", map_of("int"))], "field 'x': long cannot be"),
        (
            [field("x", FIXED)],
            [field("x", {**FIXED, "size": 5})],
            "field 'x': fixed Hash had 4 bytes, and has 5. Add it as a field of another name",
        ),
        (
            [field("x", MILLIS)],
            [field("x", MICROS)],
            "field 'x': long in milliseconds becomes long in microseconds, so that the same bytes"
            " mean something else. Add it as a field of another name",
        ),
        (
            [field("x", ["null", MILLIS])],
            [field("x", ["null", MICROS])],
            "field 'x': long in milliseconds becomes long in microseconds",
        ),
        ([field("x", "long")], [field("x", MICROS)], "field 'x': long becomes long in micro"),
        ([field("x", MICROS)], [field("x", "long")], "field 'x': long in microseconds becomes lo"),
        ([field("x", DAYS)], [field("x", MILLIS)], "field 'x': int in days becomes long in milli"),
        ([field("x", DAYS)], [field("x", "int")], "field 'x': int in days becomes int"),
        (
            [field("x", decimal(4, 2))],
            [field("x", decimal(9, 3))],
            "field 'x': decimal(4, 2) becomes decimal(9, 3), so that the same bytes mean something",
        ),
        ([field("x", decimal(4, 2))], [field("x", "bytes")], "field 'x': decimal(4, 2) becomes b"),
        ([field("x", "bytes")], [field("x", decimal(4, 2))], "field 'x': bytes becomes decimal"),
    ],
    ids=str,
)
def test_changes_that_are_not(before: list[Any], now: list[Any], problem: str) -> None:
    """What cannot be read, or means something else, is one problem that names the field."""
    (found,) = schema_problems(visits(*before), visits(*now))
    assert found.startswith(problem)


def test_a_field_of_another_name_says_how_to_rename() -> None:
    """Without an alias, a renamed field is one that is gone and one that is new."""
    found = schema_problems(visits(field("x", "int")), visits(field("y", "int")))
    assert [each[:21] for each in found] == ["field 'x' is removed,", "field 'y' is added, b"]
    assert all("if it was renamed, give it its old name as an alias" in each for each in found)


def test_records_inside() -> None:
    """Records inside are compared field by field, in unions, arrays and maps too."""
    before = record("Place", field("zip", "int"), field("gone", "int", default=0))
    now = record("Place", field("zip", "string"), field("new", "int"))
    for wrap in (lambda place: place, lambda place: ["null", place], array_of, map_of):
        found = schema_problems(visits(field("at", wrap(before))), visits(field("at", wrap(now))))
        assert [each.partition(":")[0].partition(" is ")[0] for each in found] == [
            "field 'at.zip'",
            "field 'at.new'",
        ]
    assert nested(field("zip", "int"), field("city", "string", default="")).field_names
    is_same = nested(field("zip", "int"), field("city", "string", default=""))
    assert schema_problems(is_same, nested(field("zip", "long"))) == []


def test_every_problem_is_found() -> None:
    """All fields are compared, not only up to the first that has a problem."""
    before = visits(field("x", "long"), field("y", "string"), field("z", ["int", "string"]))
    now = visits(field("x", "int"), field("y", "bytes"), field("z", "boolean"), field("w", "int"))
    found = [each.split()[1].strip(":") for each in schema_problems(before, now)]
    assert found == ["'x'", "'z'", "'z'", "'w'"]


def test_a_record_that_refers_to_itself() -> None:
    """A recursive schema is compared once, and its problem is named once."""

    def of(kind: str) -> EventSchema:
        node = record("Node", field("value", kind), field("next", ["null", "Node"], default=None))
        return visits(field("first", node))

    assert schema_problems(of("int"), of("long")) == []
    (problem,) = schema_problems(of("long"), of("int"))
    assert problem.startswith("field 'first.value': long cannot be read as int.")


def test_the_label() -> None:
    """The label may become optional or wider, and stays the field that it is."""
    before = visits()
    optional = record("Visit", field("id", "string"), field("paid", ["null", "boolean"]))
    assert schema_problems(before, EventSchema(optional, "paid")) == []
    (problem,) = schema_problems(before, EventSchema(before.as_written.schema))
    assert problem.startswith("label must be 'paid', as before; got None.")


def test_what_is_only_read_may_be_removed() -> None:
    """A schema that nobody will write again needs no defaults for what is gone."""
    before, now = visits(field("x", "int")), visits()
    assert reading_problems(before.as_written.type, now.as_written.type) == []
    assert len(schema_problems(before, now)) == 1
    assert len(reading_problems(now.as_written.type, before.as_written.type)) == 1
