"""A user's schema gives what ingest accepts, and what `clean` holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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
    event_schema,
)
from millrace.schemas.files import current, versions

TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}


def schema(name: str = "Visit", **types: object) -> dict[str, Any]:
    """Return a schema of an id, a label and what is given; a tuple is a type and its default."""
    fields = []
    for field, declared in {"id": "string", **types, "paid": "boolean"}.items():
        kind, *default = declared if isinstance(declared, tuple) else (declared,)
        fields.append({"name": field, "type": kind, **({"default": default[0]} if default else {})})
    return {"type": "record", "name": name, "fields": fields}


def visits(**types: object) -> EventSchema:
    return EventSchema(schema(**types), label="paid")


def test_reads_a_file(tmp_path: Path) -> None:
    """A schema can be a path, as text or Path, or the parsed JSON."""
    path = tmp_path / "visit.avsc"
    path.write_text(json.dumps(schema(x="double")))
    for source in (path, str(path), schema(x="double")):
        assert EventSchema(source, "paid").field_names == ("id", "x", "paid")


@pytest.mark.parametrize("text", ["{", "[]", '"string"', "{}", '{"type": "record", "name": "R"}'])
def test_file_that_is_no_schema(text: str, tmp_path: Path) -> None:
    """A file that is no JSON, or no Avro record, is a DefinitionError."""
    path = tmp_path / "visit.avsc"
    path.write_text(text)
    message = f"schema must be JSON; got '{path}': Expecting" if text == "{" else "must be"
    with pytest.raises(DefinitionError, match=message):
        EventSchema(path)


def test_file_that_is_missing(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(
        DefinitionError, match=r"^schema must be a readable file; got '.*visit\.avsc': No"
    ):
        EventSchema(tmp_path / "visit.avsc")


@pytest.mark.parametrize(
    "declared", ["boolean", "int", "long", "float", "double", "string", COLOUR, TIMESTAMP], ids=str
)
def test_what_a_model_can_see(declared: object) -> None:
    """A number, a boolean, text and an enum can be a feature as they are, optional or not."""
    assert visits(f=declared).is_primitive("f")
    assert visits(f=["null", declared]).is_primitive("f")
    assert not visits(f=["null", declared, "bytes"]).is_primitive("f")
    assert not visits(f={"type": "array", "items": declared}).is_primitive("f")


def test_types_of_fields() -> None:
    """Types are named as in Avro, those of a union one by one."""
    of = visits(n=["null", "long"], t=TIMESTAMP, c=COLOUR, m={"type": "map", "values": "int"})
    assert of.types_of("n") == ("null", "long")
    assert of.types_of("t") == ("long",)
    assert of.types_of("c") == ("enum",)
    assert [f for f in of.field_names if of.is_primitive(f)] == ["id", "n", "t", "c", "paid"]
    assert of.symbols_of("c") == ("RED", "BLUE")
    assert of.symbols_of("n") == ()


@pytest.mark.parametrize(
    ("declared", "units"),
    [
        ("long", 1),
        (TIMESTAMP, 1),
        (["null", {"type": "long", "logicalType": "timestamp-micros"}], 1_000),
        ({"type": "long", "logicalType": "timestamp-nanos"}, 1_000_000),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, 1),
        ({"type": "long", "logicalType": "local-timestamp-micros"}, 1_000),
        ({"type": "long", "logicalType": "local-timestamp-nanos"}, 1_000_000),
        ({"type": "int", "logicalType": "date"}, 1),
    ],
)
def test_units_of_a_time(declared: object, units: int) -> None:
    """A plain long is in milliseconds; a logical timestamp says its unit."""
    assert visits(t=declared).units_per_ms("t") == units


def test_floating_fields() -> None:
    """Floats and doubles, optional ones too, can hold NaN; nothing else can."""
    of = visits(f="float", d=["null", "double"], n="long")
    assert of.floating_fields == ("f", "d")


def test_event_with_its_label_decodes() -> None:
    """An event in the schema as written decodes, timestamps to the integers that they are."""
    of = visits(at=TIMESTAMP)
    written = of.as_written.encode(
        {"id": "1", "at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "paid": True}
    )
    assert of.codec.decode(written) == ("Visit", {"id": "1", "at": 1000, "paid": True})


@pytest.mark.parametrize("label", [None, False])
def test_event_whose_label_comes_later_decodes(label: bool | None) -> None:
    """A producer may write the schema with the label made optional."""
    optional = schema()
    optional["fields"][-1] = {"name": "paid", "type": ["null", "boolean"], "default": None}
    record = {"id": "1", "paid": label}
    assert visits().codec.decode(AvroType(optional).encode(record)) == ("Visit", record)


@pytest.mark.parametrize("declared", [["null", "boolean"], ["boolean", "null"]], ids=str)
def test_a_label_that_is_optional_already(declared: list[str]) -> None:
    """A label may be declared as optional: null then comes first, once."""
    optional = schema()
    optional["fields"][-1]["type"] = declared
    of = EventSchema(optional, label="paid")
    assert EventSchema(of.accepted.schema).types_of("paid") == ("null", "boolean")
    for paid in (None, True):
        written = AvroType(optional).encode({"id": "1", "paid": paid})
        assert of.codec.decode(written) == ("Visit", {"id": "1", "paid": paid})


def test_labels_decode_beside_events() -> None:
    """What is produced to `events` may be a label."""
    label = {"event_id": "1", "label": True, "label_time_ms": None, "key": None}
    codec = visits().codec
    for version in versions("label"):
        name, found = codec.decode(version.encode(label))
        assert (name, found) == ("Label", label | {"source": None})


def test_the_name_of_labels_is_taken() -> None:
    """A schema cannot be called as the records of labels are, in whatever namespace."""
    for name in ("Label", "shop.Label"):
        with pytest.raises(DefinitionError, match=f"must not be 'Label'.*got '{name}'. Rename"):
            EventSchema(schema(name=name))


@pytest.mark.parametrize("name", ["Visit", "shop.Visit", "Event", "millrace.Event", "shop.Event"])
def test_clean_holds_the_event_without_its_label(name: str) -> None:
    """Whatever the schema's name, `clean` carries its fields but the label, timestamps as longs."""
    of = EventSchema(schema(name=name, at=TIMESTAMP, x=["null", "double"]), "paid")
    event = {
        "event_id": "1",
        "key": None,
        "event_time_ms": 5,
        "label": True,
        "fields": {"id": "1", "at": 5, "x": None},
    }
    assert of.clean_codec.decode(of.clean_codec.encode("Event", event)) == ("Event", event)


def test_clean_holds_labels() -> None:
    """Labels travel in `clean` too."""
    label = {"event_id": "1", "label": 3, "label_time_ms": 4, "key": "k", "source": "labels"}
    codec = visits().clean_codec
    assert codec.decode(codec.encode("Label", label)) == ("Label", label)


def test_clean_of_an_earlier_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event in the envelope of an earlier release is read in today's."""
    today = current("event")
    older = {**today, "fields": [each for each in today["fields"] if each["name"] != "key"]}
    value = {"event_id": "1", "event_time_ms": 5, "label": None, "fields": {"id": "1", "at": 5}}
    monkeypatch.setattr(event_schema, "current", {"event": older}.get)
    written = visits(at=TIMESTAMP).clean_codec.encode("Event", value)

    for field in today["fields"]:
        if field["name"] == "key":
            field["default"] = None
    monkeypatch.setattr(event_schema, "current", {"event": today}.get)
    with pytest.raises(RecordError, match="unknown_schema"):
        visits(at=TIMESTAMP).clean_codec.decode(written)
    monkeypatch.setattr(event_schema, "earlier", {"event": [older]}.get)
    read = visits(at=TIMESTAMP).clean_codec.decode(written)
    assert read == ("Event", {**value, "key": None})


def test_the_shape_of_clean() -> None:
    """The schema of `clean`, and so its fingerprint, depends on nothing but the user's fields."""
    own = {"type": "record", "name": "VisitFields", "namespace": "events", "fields": []}
    own["fields"] = [{"name": "id", "type": "string"}, {"name": "n", "type": "long"}]
    envelope = json.loads(json.dumps(current("event")))
    envelope["fields"][-1]["type"] = own
    event = {"event_id": "1", "key": "k", "event_time_ms": 5, "label": None}
    event["fields"] = {"id": "1", "n": 7}
    written = visits(n="long").clean_codec.encode("Event", event)
    assert written == AvroType(envelope).encode(event)
    namespaced = EventSchema(schema(n="long") | {"namespace": "shop"}, "paid").clean_codec
    own["namespace"] = "shop"
    assert namespaced.encode("Event", event) == AvroType(envelope).encode(event)


DOCUMENT = {"id": "1", "n": 1, "x": 1, "u": None, "paid": True}


def typed() -> EventSchema:
    return visits(n="long", x="double", u=["null", "double"], c=(COLOUR, "RED"))


def test_json_gives_what_avro_would() -> None:
    """JSON ends as the same record, types included, as its Avro; unknown names are ignored."""
    record = typed().from_json({**DOCUMENT, "u": 2, "unknown": object()})
    assert record == {"id": "1", "n": 1, "x": 1.0, "u": 2.0, "c": "RED", "paid": True}
    assert [type(record[name]) for name in ("n", "x", "u")] == [int, float, float]


def test_json_without_its_label() -> None:
    """A label that is not there yet is null."""
    assert typed().from_json({k: v for k, v in DOCUMENT.items() if k != "paid"})["paid"] is None
    assert typed().from_json({**DOCUMENT, "paid": None})["paid"] is None


@pytest.mark.parametrize("missing", ["id", "n", "u"])
def test_json_that_lacks_a_field(missing: str) -> None:
    """A field without default has to be there, nullable or not, and is named."""
    document = {k: v for k, v in DOCUMENT.items() if k != missing}
    with pytest.raises(RecordError, match="missing_field: ") as caught:
        typed().from_json(document)
    assert caught.value.detail == (
        f"the event lacks the field '{missing}'; its fields are {[*document]}"
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", 1, "field 'id' must be string; got 1"),
        ("id", None, "field 'id' must be string; got None"),
        ("id", "\ud800", r"field 'id' must be string; got '\\ud800'"),
        ("n", "1", "field 'n' must be long; got '1'"),
        ("n", 1.0, "field 'n' must be long; got 1.0"),
        ("n", True, "field 'n' must be long; got True"),
        ("n", 2**63, f"field 'n' must be long; got {2**63}"),
        ("n", -(2**63) - 1, "field 'n' must be long; got -"),
        ("x", "1", "field 'x' must be double; got '1'"),
        ("x", False, "field 'x' must be double; got False"),
        ("x", 10**400, "field 'x' must be double; got 1000"),
        ("u", [], r"field 'u' must be null or double; got \[\]"),
        ("c", "GREEN", "field 'c' must be enum; got 'GREEN'"),
    ],
)
def test_json_of_another_type(field: str, value: object, message: str) -> None:
    """A value of another type, or out of its range, is ill typed: it is never converted."""
    with pytest.raises(RecordError, match=f"^ill_typed_field: {message}"):
        typed().from_json({**DOCUMENT, field: value})


@pytest.mark.parametrize("label", [1, "true"])
def test_a_label_of_another_type_is_told_apart(label: object) -> None:
    """It has a reason of its own, as a label that comes as a record has."""
    message = f"field 'paid' must be null or boolean; got {label!r}"
    with pytest.raises(RecordError, match=f"^unknown_label_type: {message}"):
        typed().from_json({**DOCUMENT, "paid": label})


@pytest.mark.parametrize(("name", "namespace"), [("shop.Visit", None), ("Visit", "shop.web")])
def test_a_namespace_is_no_part_of_a_field(name: str, namespace: str | None) -> None:
    """A field is named as the user knows it, whatever the namespace of the record."""
    declared = schema(name=name, n="long") | ({"namespace": namespace} if namespace else {})
    with pytest.raises(RecordError, match="field 'n' must be long"):
        EventSchema(declared, "paid").from_json({"id": "1", "n": "x"})


def test_a_value_out_of_range_within_a_field() -> None:
    """A value that lies within a map, and does not fit, is the event's."""
    of = visits(m={"type": "map", "values": "double"})
    with pytest.raises(RecordError) as caught:
        of.from_json({"id": "1", "m": {"x": 10**400}})
    assert caught.value.detail.startswith("field 'm.x' must be double; got 1000")


def test_a_value_nested_without_end() -> None:
    """A value that is nested too deep for Python to walk through is ill typed."""
    nested: list[Any] = []
    for _ in range(9_000):
        nested = [nested]
    with pytest.raises(RecordError, match=r"field 'n' must be long; got \[\[\["):
        typed().from_json({**DOCUMENT, "n": nested})


def test_bytes_default_is_taken() -> None:
    """A default of type bytes, which Avro writes as text, stands for those bytes."""
    record = visits(b=("bytes", "\u00ff")).from_json({"id": "1", "paid": True})
    assert record["b"] == b"\xff"


def test_json_of_nested_records() -> None:
    """Records nest, with their own defaults; what is missing inside one is named by its path."""
    inner = {
        "type": "record",
        "name": "In",
        "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "long", "default": 7}],
    }
    of = visits(inner=inner)
    document = {"id": "1", "inner": {"a": 1}, "paid": True}
    assert of.from_json(document)["inner"] == {"a": 1, "b": 7}
    with pytest.raises(RecordError, match=r"^missing_field: the event lacks the field 'inner\.a'"):
        of.from_json({**document, "inner": {}})


def test_a_schema_that_refers_to_itself() -> None:
    """An event may hold others of its kind: by JSON, by Avro and in `clean`, 64 levels of them."""
    of = visits(parent=(["null", "Visit"], None), others=({"type": "array", "items": "Visit"}, []))
    of.check()
    inner = {"id": "2", "parent": None, "others": [], "paid": True}
    event = {"id": "1", "parent": inner, "others": [inner, inner], "paid": False}
    assert of.from_json(event) == event
    assert of.codec.decode(of.as_written.encode(event)) == ("Visit", event)
    fields = {name: value for name, value in event.items() if name != "paid"}
    record = {"event_id": "1", "key": None, "event_time_ms": 5, "label": False, "fields": fields}
    name, clean = of.clean_codec.decode(of.clean_codec.encode("Event", record))
    assert (name, clean["event_id"]) == ("Event", "1")
    assert clean["fields"]["parent"] == {"id": "2", "parent": None, "others": []}
    for _ in range(60):  # beside the four levels that there are
        event = {"id": "1", "parent": event, "others": [], "paid": None}
    record["fields"] = of.from_json(event)
    of.clean_codec.decode(of.clean_codec.encode("Event", record))
    event = {"id": "1", "parent": event, "paid": None}
    with pytest.raises(RecordError, match="must be nested at most 64 levels deep"):
        of.from_json(event)


def test_types_that_are_used_by_name() -> None:
    """A type is known by its name, wherever it is used again."""
    of = visits(c=COLOUR, d="Colour", e=["null", "Colour"])
    assert of.types_of("e") == ("null", "enum")
    assert of.symbols_of("d") == ("RED", "BLUE")
    assert of.is_primitive("d")
    assert of.from_json({"id": "1", "c": "RED", "d": "BLUE", "e": None})["d"] == "BLUE"


values = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(exclude_categories=["Cs"])),
        "n": st.integers(min_value=-(2**63), max_value=2**63 - 1),
        "x": st.floats(allow_nan=False),
        "u": st.none() | st.floats(allow_nan=False),
        "c": st.sampled_from(["RED", "BLUE"]),
        "paid": st.booleans(),
    }
)


@given(values)
def test_json_and_avro_agree(record: dict[str, Any]) -> None:
    """Through JSON and through Avro, an event is the same to the bit."""
    of = typed()
    through_json = of.from_json(json.loads(json.dumps(record)))
    _, through_avro = of.codec.decode(of.as_written.encode(record))
    assert through_json == through_avro == record


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"type": "int", "logicalType": "date"}, 3),
        ({"type": "int", "logicalType": "time-millis"}, 5),
        ({"type": "string", "logicalType": "uuid"}, "1f9c0ab4-55ad-4f09-b2b3-f56f3ab79f7a"),
    ],
    ids=str,
)
def test_a_primitive_stays_one(declared: dict[str, str], value: object) -> None:
    """A field that counts as a number or text is one, its logical type notwithstanding."""
    of = visits(f=declared)
    assert of.is_primitive("f")
    assert of.from_json({"id": "1", "f": value, "paid": True})["f"] == value
