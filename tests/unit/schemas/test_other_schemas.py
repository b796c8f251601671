"""Records of a user's other schemas are read: earlier ones by producers, any of them in `clean`."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import (
    AvroType,
    DefinitionError,
    EventSchema,
    RecordError,
    RejectReason,
    schema_problems,
)
from millrace.schemas.codec.slices import Parts
from tests.unit.schemas.schema_pairs import Pair, pairs
from tests.unit.schemas.test_compatibility import COLOUR, array_of, field, map_of, record

ENVELOPE = {"event_id": "1", "key": None, "event_time_ms": 5, "label": None}


def visits(*fields: dict[str, Any], earlier: Any = ()) -> EventSchema:
    return EventSchema(_visit(*fields), "paid", earlier)


def _visit(*fields: dict[str, Any]) -> dict[str, Any]:
    return record("Visit", field("id", "string"), *fields, field("paid", "boolean"))


def in_clean(written: EventSchema, **values: Any) -> bytes:
    """Return an event as an ingest that has this schema writes it to `clean`."""
    return written.clean.encode({**ENVELOPE, "fields": {"id": "1", **values}})


def of_clean(read: EventSchema, data: bytes) -> Any:
    """Return the fields of an event in `clean`, but for the id."""
    name, event = read.clean_codec.decode(data)
    assert name == "Event"
    assert {**event, "fields": {}} == {**ENVELOPE, "fields": {}}
    return {name: value for name, value in event["fields"].items() if name != "id"}  # type: ignore[attr-defined]


BEFORE = _visit(field("x", "int"), field("gone", "string", default="none"))
NOW = (field("y", "double", aliases=["x"]), field("new", ["null", "string"], default=None))


@pytest.mark.parametrize("paid", [True, None], ids=["labelled", "to be labelled"])
def test_a_producer_with_an_earlier_schema(paid: bool | None) -> None:
    """What is in single-object encoding of an earlier schema is an event of today's."""
    now, before = visits(*NOW, earlier=[BEFORE]), EventSchema(BEFORE, "paid")
    written = before.as_written if paid else before.accepted
    data = written.encode({"id": "1", "x": 7, "gone": "text", "paid": paid})
    assert now.codec.decode(data) == ("Visit", {"id": "1", "y": 7.0, "new": None, "paid": paid})
    with pytest.raises(RecordError, match=r"^unknown_schema: "):
        visits(*NOW).codec.decode(data)


def test_an_earlier_schema_from_a_file(tmp_path: Path) -> None:
    """An earlier schema is given as the schema is, and named where it is at fault."""
    path = tmp_path / "visit.1.avsc"
    with pytest.raises(DefinitionError, match=r"^earlier_schemas\[1\]: schema must be a readable"):
        visits(*NOW, earlier=[BEFORE, path])
    path.write_text(json.dumps(BEFORE))
    assert visits(*NOW, earlier=[path]).earlier[0].as_written.schema == BEFORE


def test_an_earlier_schema_that_cannot_be_read() -> None:
    """An earlier schema must resolve to today's; else it is named, with the field and why."""
    with pytest.raises(
        DefinitionError,
        match=r"^earlier_schemas\[0\] must have records that the schema of today reads; got 'Visit'"
        r", in which field 'x': int cannot be read as string",
    ):
        visits(field("x", "string"), earlier=[BEFORE])
    assert visits(field("x", "int"), earlier=[_visit(field("x", "int"), field("y", "int"))])


def test_events_in_clean_of_an_earlier_schema() -> None:
    """What was written to `clean` with an earlier schema is read with it."""
    data = in_clean(EventSchema(BEFORE, "paid"), x=7, gone="text")
    expected = {"y": 7.0, "new": None}
    assert of_clean(visits(*NOW, earlier=[BEFORE]), data) == expected
    assert of_clean(visits(*NOW).reading([EventSchema(BEFORE, "paid")]), data) == expected
    other = visits(*NOW, earlier=[BEFORE])
    assert of_clean(visits(*NOW).reading([other]), data) == expected
    with pytest.raises(RecordError, match=r"^unknown_schema: "):
        visits(*NOW).clean_codec.decode(data)


LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("own", "later", "written", "expected"),
    [
        ([], [field("x", "int", default=0)], {"x": 1}, {}),
        ([field("x", "int", default=3)], [], {}, {"x": 3}),
        ([field("x", "int")], [field("y", "int", aliases=["x"])], {"y": 1}, {"x": 1}),
        ([field("x", "int", default=9)], [field("y", "int", aliases=["x"])], {"y": 1}, {"x": 1}),
        (
            [field("o", "int", aliases=["n"], default=0), field("q", "int", default=3)],
            [field("n", "int", aliases=["q"])],
            {"n": 1},
            {"o": 1, "q": 3},
        ),
        ([field("x", "int")], [field("x", "long")], {"x": 2**40}, {"x": 2**40}),
        ([field("x", "int")], [field("x", "double")], {"x": 3.0}, {"x": 3}),
        ([field("x", "int")], [field("x", "double")], {"x": 3.5}, {"x": 3.5}),
        ([field("x", "long")], [field("x", "double")], {"x": 1e300}, {"x": 1e300}),
        ([field("x", "long")], [field("x", "float")], {"x": -2.0}, {"x": -2}),
        ([field("x", "float")], [field("x", "double")], {"x": 0.1}, {"x": 0.1}),
        ([field("x", "string")], [field("x", "bytes")], {"x": b"\xc3\xa9"}, {"x": "é"}),
        ([field("x", "string")], [field("x", "bytes")], {"x": b"\xff"}, {"x": b"\xff"}),
        ([field("x", "bytes")], [field("x", "string")], {"x": "é"}, {"x": b"\xc3\xa9"}),
        ([field("x", "int")], [field("x", ["null", "int"])], {"x": None}, {"x": None}),
        ([field("x", "int")], [field("x", ["null", "int"])], {"x": 4}, {"x": 4}),
        (
            [field("x", ["null", "int"])],
            [field("x", ["string", "long", "null"])],
            {"x": "a"},
            {"x": "a"},
        ),
        ([field("x", ["null", "int"])], [field("x", ["null", "double"])], {"x": 2.0}, {"x": 2}),
        (
            [field("x", ["double", "int"])],
            [field("x", ["double", "long"])],
            {"x": LARGE},
            {"x": LARGE},
        ),
        (
            [field("x", array_of("int"))],
            [field("x", array_of("double"))],
            {"x": [1.0, 1.5]},
            {"x": [1, 1.5]},
        ),
        (
            [field("x", map_of("int"))],
            [field("x", map_of(["null", "int"]))],
            {"x": {"k": None}},
            {"x": {"k": None}},
        ),
        (
            [field("x", COLOUR)],
            [field("x", {**COLOUR, "symbols": ["GREEN", "RED", "BLUE"]})],
            {"x": "GREEN"},
            {"x": "GREEN"},
        ),
        (
            [field("x", {**COLOUR, "default": "RED"})],
            [field("x", {**COLOUR, "symbols": ["GREEN", "RED", "BLUE"]})],
            {"x": "GREEN"},
            {"x": "RED"},
        ),
        (
            [field("x", ["null", record("A", field("n", "int"))])],
            [field("x", ["null", record("B", field("n", "int")), record("A", field("n", "long"))])],
            {"x": {"n": 5}},
            {"x": {"n": 5}},
        ),
        (
            [field("x", record("Place", field("zip", "int"), field("old", "int", default=1)))],
            [
                field(
                    "x",
                    record(
                        "Place",
                        field("code", "long", aliases=["zip"]),
                        field("new", "int", default=2),
                    ),
                )
            ],
            {"x": {"code": 5, "new": 6}},
            {"x": {"zip": 5, "old": 1}},
        ),
    ],
    ids=str,
)
def test_events_in_clean_of_a_later_schema(
    own: list[Any], later: list[Any], written: Any, expected: Any
) -> None:
    """A later schema is read back: nothing that it accepts is refused, and no value is lost."""
    assert schema_problems(visits(*own), visits(*later)) == []
    found = of_clean(visits(*own).reading([visits(*later)]), in_clean(visits(*later), **written))
    assert found == expected
    assert [*map(type, found.values())] == [*map(type, expected.values())]


def test_a_new_record_of_a_union_is_no_other() -> None:
    """Where a union gets a second record, one of it is not taken for the first."""
    one = record("A", field("n", "int", default=0))
    two = record("B", field("m", "int", default=0))
    own, later = visits(field("x", ["null", one])), visits(field("x", ["null", two, one]))
    data = in_clean(later, x={"m": 5})
    assert of_clean(own.reading([later]), data) == {"x": {"m": 5}}
    assert schema_problems(own, later) == []
    (problem,) = schema_problems(later, own)
    assert problem.startswith("field 'x': record B cannot be read as null or record A.")


def test_a_schema_that_cannot_be_read_at_all() -> None:
    """An event of a schema that was never compatible is rejected, and the others are read."""
    own, other = visits(field("x", "int")), visits(field("x", array_of("int")))
    later = visits(field("x", "long"))
    read = own.reading([other, later])
    with pytest.raises(RecordError, match="field 'x': array cannot be read as int") as caught:
        of_clean(read, in_clean(other, x=[1]))
    assert caught.value.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert of_clean(read, in_clean(later, x=2)) == {"x": 2}


def test_the_first_schema_of_a_fingerprint_counts() -> None:
    """A rename is known by the schema that has the alias, though a later one has dropped it."""
    own = visits(field("x", "int", default=0))
    renamed, later = visits(field("y", "int", aliases=["x"])), visits(field("y", "int"))
    assert of_clean(own.reading([renamed, later]), in_clean(later, y=5)) == {"x": 5}


def test_own_events_stay_as_they_are() -> None:
    """What is written with the schema itself is read as it was, whatever else is read."""
    own = visits(field("x", "int"), earlier=[BEFORE])
    same = own.reading([visits(field("x", "int", aliases=["z"]), field("z", "int", default=1))])
    assert own.reading([]) is own
    assert same.clean.header == own.clean.header
    assert of_clean(same, in_clean(own, x=1)) == {"x": 1}
    assert of_clean(own, in_clean(own, x=1)) == {"x": 1}


def test_a_slice_of_several_schemas() -> None:
    """Records of several schemas in one slice, in any order, are each what they are alone."""
    now, before = visits(*NOW), EventSchema(BEFORE, "paid")
    later = visits(*NOW, field("z", "long", default=0))
    written = [
        in_clean(before, x=1, gone=""),
        in_clean(now, y=2.0, new="b"),
        in_clean(later, y=3.0, new="c", z=1),
        in_clean(visits(field("unknown", "int")), unknown=4)[:-1],
    ]
    codec = now.reading([before, later]).clean_codec
    read_rows = codec.row_reader({"Event": Parts()})
    values = [(1.0, None), (2.0, "b"), (3.0, "c")]
    fields = [{"id": "1", "y": y, "new": new} for y, new in values]
    expected = [*({**ENVELOPE, "fields": each} for each in fields), None]
    for order in itertools.permutations(range(4)):
        rows = read_rows([written[place] for place in order])
        assert [row is not None for row in rows] == [place == 1 for place in order]
        for place, row in zip(order, rows, strict=True):
            event = row[-1] if row else _alone(codec.decode, written[place])
            assert event == expected[place]


def _alone(decode: Callable[[bytes], tuple[str, Any]], data: bytes) -> Any:
    try:
        return decode(data)[1]
    except RecordError:
        return None


@given(pairs(), st.data())
def test_what_has_no_problem_is_read_both_ways(pair: Pair, data: st.DataObject) -> None:
    """Of any two schemas without a problem, each reads whatever the other has written."""
    written, other = EventSchema(pair.written), EventSchema(pair.wanted)
    event = {**ENVELOPE, "fields": data.draw(pair.values)}
    try:
        body = written.clean.encode(event)
    except ValueError:  # it is not plain which of a union's types a value has
        return
    for problems in (schema_problems(written, other), schema_problems(other, written)):
        if not problems:
            other.reading([written]).clean_codec.decode(body)
    if not schema_problems(written, other):
        read: AvroType[Any] = AvroType(pair.wanted, earlier=[pair.written])
        with contextlib.suppress(_NotTextError):
            _read(read, written.as_written.encode(event["fields"]))


class _NotTextError(Exception):
    """Bytes are not the text that they are read as."""


def _read(read: AvroType[Any], data: bytes) -> Any:
    try:
        return read.decode(data)
    except RecordError as error:
        if "UnicodeDecodeError" in str(error):
            raise _NotTextError from error
        raise
