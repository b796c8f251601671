"""JSON is converted as Avro's specification says, or refused with the field's name."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, DefinitionError, EventSchema, RecordError, RejectReason
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.schemas.avro_schemas import ENUM, map_of, record

FIXED = {"type": "fixed", "name": "F", "size": 2}
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
PADDED = {**PRICE, "type": "fixed", "name": "P", "size": 8}


def array_of(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


def taken(declared: Any, value: object) -> Any:
    """Return what a field of a type takes JSON for; Avro must carry it unchanged."""
    schema = EventSchema(record(declared))
    event = schema.from_json({"a": value})
    assert schema.accepted.decode(schema.accepted.encode(event)) == event
    return event["a"]


def refused(declared: Any, value: object) -> str:
    """Return why JSON is refused."""
    with pytest.raises(RecordError) as caught:
        EventSchema(record(declared)).from_json({"a": value})
    assert caught.value.reason is RejectReason.ILL_TYPED_FIELD
    assert len(caught.value.detail) < 500
    return caught.value.detail


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("bytes", "\u0000\u00ffa", b"\x00\xffa"),
        ("bytes", "", b""),
        (FIXED, "\u00ff\u0001", b"\xff\x01"),
        (["null", "bytes"], "\u00ff", b"\xff"),
        (["null", FIXED], "ab", b"ab"),
        (["null", "bytes"], None, None),
        (["bytes", "string"], "ab", "ab"),
        (["string", "bytes"], "ab", "ab"),
        (["long", ENUM], "X", "X"),
        (PRICE, 12.5, Decimal("12.50")),
        (PRICE, 12, Decimal("12.00")),
        (PRICE, 0.1, Decimal("0.10")),
        (PRICE, "12.34", Decimal("12.34")),
        (PRICE, "-0.01", Decimal("-0.01")),
        (PRICE, "1e3", Decimal("1000.00")),
        (PRICE, "12.3400", Decimal("12.34")),
        (PRICE, "\u0004\u00d2", Decimal("12.34")),
        (PADDED, "\u0000" * 6 + "\u0004\u00d2", Decimal("12.34")),
        (PADDED, "12.34", Decimal("12.34")),
        (["null", PRICE], 12.5, Decimal("12.50")),
        (["string", PRICE], "12.5", "12.5"),
        (["double", PRICE], 5, Decimal("5.00")),
        (["double", PRICE], 0.5, 0.5),
        ({**PRICE, "precision": 38}, 12345678901234567890, Decimal("12345678901234567890.00")),
        ({**PRICE, "precision": 38}, "12345678901234567890.12", Decimal("12345678901234567890.12")),
        (["double", "long"], 2**53 + 1, 2**53 + 1),
        (["long", "double"], 2**53 + 1, 2**53 + 1),
        (["null", "float", "double", "long"], 2**53 + 1, 2**53 + 1),
        (["double", "int"], 7, 7),
        (["double", "int"], 2**40, 2.0**40),
        (["int", "long"], 2**40, 2**40),
        (["double", "long"], 2**64, 2.0**64),
        (["float", "double"], 0.1, 0.1),
        (["double", "long"], 1.0, 1.0),
        (["boolean", "long"], True, True),
        (["long", "boolean"], False, False),
        (["string", "long"], "5", "5"),
        (array_of(["double", "long"]), [2**53 + 1, 0.5], [2**53 + 1, 0.5]),
        (map_of("bytes"), {"k": "\u00ff"}, {"k": b"\xff"}),
        (record(FIXED, name="I"), {"a": "\u00ff\u00ff"}, {"a": b"\xff\xff"}),
    ],
    ids=str,
)
def test_what_json_stands_for(declared: Any, value: object, expected: object) -> None:
    """Bytes are text, decimals numbers or text; in a union nothing is lost."""
    found = taken(declared, value)
    assert found == expected
    assert type(found) is type(expected)
    assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("bytes", "\u0100", "field 'a' must be bytes (text of ISO-8859-1); got 'Ā'"),
        ("bytes", 5, "field 'a' must be bytes"),
        ("bytes", [1], "field 'a' must be bytes"),
        (FIXED, "a", "field 'a' must be fixed (text of 2 characters of ISO-8859-1); got 'a'"),
        (FIXED, "a\u0100", "field 'a' must be fixed"),
        (PRICE, 12.345, "field 'a' must be a decimal of at most 6 digits, 2 of them behind"),
        (PRICE, "12.345", "field 'a' must be a decimal"),
        (PRICE, 10**5, "field 'a' must be a decimal"),
        (PRICE, "1e999999", "field 'a' must be a decimal"),
        (PRICE, "1e" + "9" * 30, "field 'a' must be a decimal"),
        (PRICE, "9" * 5_000, "field 'a' must be a decimal"),
        (PRICE, 10**4_000, "field 'a' must be a decimal"),
        (PRICE, True, "field 'a' must be a decimal"),
        (PRICE, "NaN", "field 'a' must be a decimal"),
        *((PRICE, text, "field 'a' must be a decimal") for text in ("", "-", "x", "N/A", "1 2")),
        (PRICE, "\u0661", "field 'a' must be a decimal"),
        (PRICE, float("nan"), "field 'a' must be a decimal"),
        (PRICE, float("inf"), "field 'a' must be a decimal"),
        ({**PRICE, "precision": 30}, 1234567890.1234567, "field 'a' must be a decimal"),
        (PADDED, "\u0001" * 8, "field 'a' must be a decimal"),
        (["null", PRICE], "x", "field 'a' must be null or a decimal"),
        ("double", "0.5", "field 'a' must be double; got '0.5'"),
        ("double", 10**309, "field 'a' must be double; got 1000"),
        ("float", 10**309, "field 'a' must be float; got 1000"),
        (["null", "double"], 10**309, "field 'a' must be"),
        ("int", 2**31, "field 'a' must be int; got 2147483648"),
        ("int", 1.0, "field 'a' must be int; got 1.0"),
        (["null", "int"], 2**31, "field 'a' must be null or int"),
        ("string", "\ud800", r"field 'a' must be string; got '\ud800'"),
        (map_of("int"), {"\ud800": 1}, r"field 'a' must be string; got '\ud800'"),
        (array_of("int"), {"0": 1}, "field 'a' must be array"),
        (array_of("int"), [1, "2"], "field 'a' must be int; got '2'"),
        (map_of("int"), [], "field 'a' must be map"),
        (record("int", name="I"), [], "field 'a' must be record"),
        (record(["null", "int"], name="I"), {"a": "x"}, "field 'a.a' must be null or int; got 'x'"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_what_json_does_not_stand_for(declared: Any, value: object, message: str) -> None:
    """What does not fit is named by its path, and never converted with a loss."""
    assert refused(declared, value).startswith(message)


def test_an_event_of_309_nines() -> None:
    """A whole number beyond every double is ill typed, wherever it stands."""
    huge = json.loads("9" * 309)
    for declared in ("double", ["null", "double"], "float", "long", array_of("double")):
        refused(declared, [huge] if isinstance(declared, dict) else huge)


@pytest.mark.parametrize("depth", [10, 63, 64, 300, 900])
def test_depth_of_a_document_is_bounded(depth: int) -> None:
    """A recursive record in JSON may have as many levels as in Avro, and no more."""
    node = {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "next", "type": ["null", "Node"], "default": None}],
    }
    document: dict[str, object] = {}
    for _ in range(depth - 1):
        document = {"next": document}
    if depth < 64:
        assert taken(node, document) is not None
    else:
        assert "must be nested at most 64 levels deep" in refused(node, document)


def test_unions_of_records() -> None:
    """Among records the fields decide, by a look at the document alone."""
    cat = record("int", "int", name="Cat")
    dog = {"type": "record", "name": "Dog", "fields": [{"name": "a", "type": "string"}]}
    either = ["null", dog, cat, map_of("boolean")]
    assert taken(either, {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert taken(either, {"a": "x"}) == {"a": "x"}
    assert taken(either, {"z": True}) == {"z": True}
    assert refused(["null", dog], {"z": 1}).startswith("field 'a' must be null or record; got")


def test_unions_of_recursive_records_take_no_time() -> None:
    """A document that fits no branch at its bottom is not tried with all branches everywhere."""
    v = {"name": "v", "type": "int"}
    b_fields = [{"name": "next", "type": ["null", "A", "B"]}, v]
    b = {"type": "record", "name": "B", "fields": b_fields}
    a = {"type": "record", "name": "A", "fields": [{"name": "next", "type": ["null", "A", b]}, v]}
    schema = EventSchema(record(["null", a], "B"))
    document: dict[str, object] = {"next": None, "v": "wrong"}
    for _ in range(50):
        document = {"next": document, "v": 1}
    begun = time.process_time()
    with pytest.raises(RecordError, match=r"v' must be int; got 'wrong'"):
        schema.from_json({"a": None, "b": document})
    assert time.process_time() - begun < 5


def test_defaults_are_filled_in() -> None:
    """What a document lacks has its default, of every type, and anew for each event."""
    inner = record("bytes", name="Inner")
    inner["fields"][0]["default"] = "\u00ff"
    schema = record("string", array_of("bytes"), PRICE, inner, FIXED, ["bytes", "null"])
    defaults = ["id", ["\u00ff"], "\u0004\u00d2", {}, "\u00fe\u00fd", "\u0001"]
    for field, default in zip(schema["fields"], defaults, strict=True):
        field["default"] = default
    events = EventSchema(schema)
    expected = {"a": "id", "b": [b"\xff"], "c": Decimal("12.34"), "d": {"a": b"\xff"}}
    expected |= {"e": b"\xfe\xfd", "f": b"\x01"}
    found = events.from_json({})
    assert found == expected
    found["b"].append(b"changed")
    found["d"]["a"] = b"changed"
    assert events.from_json({}) == expected
    assert events.from_json({"d": {}})["d"] == {"a": b"\xff"}


@pytest.mark.parametrize(
    ("declared", "default"),
    [
        ("bytes", "\u0100"),
        ("bytes", 5),
        (FIXED, "abc"),
        (PRICE, 12.34),
        (ENUM, "W"),
        ("long", "5"),
        ("double", "x"),
        ("string", None),
        (["null", "long"], "x"),
        (array_of("bytes"), [5]),
        (record("long", name="I"), {}),
        (record("long", name="I"), {"a": "x"}),
    ],
    ids=str,
)
def test_a_default_that_does_not_fit(declared: Any, default: object) -> None:
    """A default of another type is an error of the definition, and names the field."""
    schema = record(declared)
    schema["fields"][0]["default"] = default
    says = r"the default of field 'a(\.a)?' (must|is missing)"
    with pytest.raises(DefinitionError, match=f"^{says}"):
        EventSchema(schema).from_json({})
    with pytest.raises(DefinitionError, match=f"^schema must have defaults that fit, but {says}"):
        EventSchema(schema).check()


def test_defaults_that_unfold_without_end() -> None:
    """Defaults that double with every record are refused, not computed."""
    fields: list[Any] = [{"name": "r0", "type": record(name="R0")}]
    for n in range(1, 50):
        double = [{"name": each, "type": f"R{n - 1}", "default": {}} for each in ("x", "y")]
        each = {"type": "record", "name": f"R{n}", "fields": double}
        fields.append({"name": f"r{n}", "type": each})
    for field in fields:
        field["default"] = {}
    with pytest.raises(DefinitionError, match="must be made of at most 10000 others"):
        EventSchema({**record(), "fields": fields}).from_json({})


@given(schemas(as_json=True), st.data())
def test_json_and_avro_agree_on_any_type(drawn: Drawn, data: st.DataObject) -> None:
    """A record of any types comes out of its JSON as it went in."""
    value = data.draw(drawn.values)
    text = json.dumps(value, default=_to_json)
    assert EventSchema(drawn.declared).from_json(json.loads(text)) == value


def _to_json(value: Any) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(schemas(), JSON)
def test_any_json_is_an_event_or_ill_typed(drawn: Drawn, document: Any) -> None:
    """Whatever JSON comes, for whatever schema: an event that can be written, or a reject."""
    avro: AvroType[Any] = EventSchema(drawn.declared).accepted
    names = [each["name"] for each in drawn.declared["fields"]]
    try:
        event = EventSchema(drawn.declared).from_json(dict.fromkeys(names, document))
    except RecordError as error:
        event = None
        reason = error.reason
    if event is None:
        assert reason in (RejectReason.ILL_TYPED_FIELD, RejectReason.MISSING_FIELD)
    else:
        avro.decode(avro.encode(event))


def test_aliases() -> None:
    """A field is found by its own name, or by an alias that is no other field's name."""
    schema = record("long", ["null", record("long", name="I")])
    schema["fields"][0]["aliases"] = ["b", "old", "older"]
    schema["fields"][1]["type"][1]["fields"][0]["aliases"] = ["old"]
    read = EventSchema(schema).from_json
    assert read({"older": 1, "b": None}) == {"a": 1, "b": None}
    assert read({"older": 1, "old": 2, "b": None}) == {"a": 2, "b": None}
    assert read({"older": 1, "a": 3, "b": {"old": 4}}) == {"a": 3, "b": {"a": 4}}
    with pytest.raises(RecordError, match="lacks the field 'a'"):
        read({"b": None})
    with pytest.raises(RecordError, match="field 'a' must be long"):
        read({"old": "x", "b": None})


def test_what_another_schema_has() -> None:
    """A field that is gone is ignored, and one that is added has its default."""
    schema = record("long", ["null", "string"], {"type": "array", "items": "long"})
    schema["fields"][1]["default"] = None
    schema["fields"][2]["default"] = [1]
    assert EventSchema(schema).from_json({"a": 1, "gone": {}}) == {"a": 1, "b": None, "c": [1]}
