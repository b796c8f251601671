"""Records in Confluent's wire format are read by what the registry says of their schema."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import AvroType, RecordError, RejectReason
from millrace.schemas.codec import parsing
from millrace.schemas.codec.binary import write_long
from millrace.schemas.files import versions
from millrace.streams.sources import confluent
from millrace.streams.sources.confluent import RegisteredSchema, Remembered, no_registry
from millrace.streams.sources.decoder import Decoded, InputDecoder

FIXED = {"type": "fixed", "name": "F", "size": 2}
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
EVENT = {"id": "e1", "a": 0.5, "b": 1.5, "y": None}

Make = Callable[..., Any]


class Registry:
    """Has schemas by id, and counts what it is asked for."""

    def __init__(self, schemas: Mapping[int, Any]) -> None:
        self._schemas = schemas
        self.asked: list[int] = []

    def __call__(self, schema_id: int) -> RegisteredSchema:
        self.asked.append(schema_id)
        found = self._schemas.get(schema_id)
        if found is None:
            raise RecordError(RejectReason.UNKNOWN_SCHEMA, "not there")
        if isinstance(found, RegisteredSchema):
            return found
        return RegisteredSchema("AVRO", json.dumps(found))


def framed(body: bytes, schema_id: int = 7) -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


def body_of(schema: Any, value: Any) -> bytes:
    return AvroType(schema).encode(value)[10:]


def decode(pipeline: Pipeline, written: Any, body: bytes, topic: str = "events") -> Decoded:
    """Read a record that was written with a schema."""
    return InputDecoder(pipeline, Registry({7: written}), 1_000_000).decode(topic, framed(body))


def refused(pipeline: Pipeline, written: Any, body: bytes, topic: str = "events") -> RecordError:
    """Return why a record is rejected."""
    with pytest.raises(RecordError) as caught:
        decode(pipeline, written, body, topic)
    assert len(caught.value.detail) < 1_100
    return caught.value


def test_json_behind_a_json_schema(make_pipeline: Make) -> None:
    """The payload of a JSON Schema is read as JSON, of events and of labels."""
    written = RegisteredSchema("JSON", '{"type": "object"}')
    found = decode(make_pipeline(), written, json.dumps(EVENT).encode())
    assert found == Decoded(False, EVENT)
    label = {"event_id": "e1", "label": True}
    found = decode(make_pipeline(), written, json.dumps(label).encode(), "labels")
    assert (found.is_label, found.fields["label"]) == (True, True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", RejectReason.MALFORMED),
        (b"\x00\x01", RejectReason.MALFORMED),
        (b"[1]", RejectReason.WRONG_SHAPE),
        (b"[" * 100_000, RejectReason.MALFORMED),
        (b'{"id": "e1", "b": 1}', RejectReason.MISSING_FIELD),
        (b'{"id": "e1", "a": "x", "b": 1}', RejectReason.ILL_TYPED_FIELD),
    ],
)
def test_broken_json_behind_a_json_schema(
    body: bytes, reason: RejectReason, make_pipeline: Make
) -> None:
    """JSON is rejected as it is without a frame."""
    assert refused(make_pipeline(), RegisteredSchema("JSON", "{}"), body).reason is reason


@pytest.mark.parametrize("topic", ["events", "labels"])
def test_protobuf_is_rejected_by_name(topic: str, make_pipeline: Make) -> None:
    """What is not read says what it is."""
    written = RegisteredSchema("PROTOBUF", 'syntax = "proto3"; message M {}')
    error = refused(make_pipeline(), written, b"\x00\x08\x01", topic)
    assert error.reason is RejectReason.UNKNOWN_SCHEMA
    assert "Protobuf" in error.detail
    assert "XML" in refused(make_pipeline(), RegisteredSchema("XML", ""), b"").detail


def test_references(avro: Make, make_pipeline: Make) -> None:
    """A schema uses the types of those that it refers to."""
    amount = {"type": "record", "name": "Amount", "namespace": "m", "fields": []}
    amount["fields"] = [{"name": "value", "type": "double"}, {"name": "unit", "type": "m.Unit"}]
    unit = {"type": "enum", "name": "Unit", "namespace": "m", "symbols": ["CHF", "EUR"]}
    inner = avro("A", value="double", unit=unit)
    written = avro(id="string", amount="m.Amount", a="double", b="double")
    own = make_pipeline(
        schema=avro(
            id="string",
            a="double",
            b="double",
            y=(["null", "boolean"], None),
            amount=(["null", inner], None),
        )
    )
    texts = tuple(map(json.dumps, (unit, amount)))
    body = b"\x04e1" + struct.pack("<d", 9.0) + b"\x02" + struct.pack("<dd", 0.5, 1.5)
    found = decode(own, RegisteredSchema("AVRO", json.dumps(written), texts), body)
    assert found.fields["amount"] == {"value": 9.0, "unit": "EUR"}
    other = json.dumps({**unit, "type": "fixed", "size": 1})
    error = refused(own, RegisteredSchema("AVRO", json.dumps(written), (other, texts[1])), body)
    assert "field 'amount': field 'unit': fixed Unit cannot be read as enum Unit" in error.detail
    error = refused(own, RegisteredSchema("AVRO", json.dumps(written), texts[:1]), body)
    assert error.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert "m.Amount" in error.detail


def test_a_required_field_that_the_writer_lacks(avro: Make, make_pipeline: Make) -> None:
    """The schema is named by its id, the field by its name, and no schema is shown."""
    many = {f"extra_{n}": "double" for n in range(2_000)}
    error = refused(make_pipeline(), avro(id="string", b="double", **many), b"")
    assert error.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert error.detail.startswith("schema 7 of the registry: ")
    assert "lacks the field 'a', which has no default" in error.detail
    assert len(error.detail) < 300


@pytest.mark.parametrize(
    ("declared", "default", "expected"),
    [
        ("bytes", "\u00ff", b"\xff"),
        (["null", "bytes"], None, None),
        (["bytes", "null"], "\u00ff", b"\xff"),
        (FIXED, "\u00ff\u0000", b"\xff\x00"),
        (PRICE, "\u0004\u00d2", Decimal("12.34")),
        ({**FIXED, **PRICE, "type": "fixed"}, "\u0004\u00d2", Decimal("12.34")),
        ({"type": "array", "items": "bytes"}, ["\u00ff"], [b"\xff"]),
        ({"type": "map", "values": FIXED}, {"k": "ab"}, {"k": b"ab"}),
    ],
    ids=str,
)
def test_defaults_that_the_writer_lacks(
    declared: Any, default: Any, expected: Any, avro: Make, make_pipeline: Make
) -> None:
    """A field with a default, of whatever type, is filled in: by Avro and by JSON alike."""
    written = avro(id="string", a="double", b="double", y=["null", "boolean"])
    extended = {**written, "fields": [*written["fields"], {"name": "d", "type": declared}]}
    extended["fields"][-1]["default"] = default
    pipeline = make_pipeline(schema=extended)
    found = decode(pipeline, written, body_of(written, EVENT))
    assert found.fields == {**EVENT, "d": expected}
    data = json.dumps(EVENT).encode()
    assert InputDecoder(pipeline, no_registry, 1_000_000).decode("events", data) == found
    codec = pipeline.event_schema.clean_codec
    event = {
        "event_id": "e",
        "key": None,
        "event_time_ms": 0,
        "label": None,
        "fields": found.fields,
    }
    assert codec.decode(codec.encode("Event", event))[1]["fields"]["d"] == expected


@pytest.mark.parametrize(
    ("written", "value"), [("millis", 1_700_000_000_123), ("nanos", 1_700_000_000_123_000_000)]
)
def test_event_times_are_converted_from_the_writers_unit(
    written: str, value: int, avro: Make, make_pipeline: Make
) -> None:
    """A timestamp of another unit is the same moment."""
    micros, other = (
        {"type": "long", "logicalType": f"timestamp-{each}"} for each in ("micros", written)
    )
    own = avro(id="string", x="double", at=micros)
    pipeline = make_pipeline(schema=own, label=None, event_time="at")
    schema = avro(id="string", x="double", at=other)
    found = decode(pipeline, schema, body_of(schema, {"id": "e1", "x": 0.5, "at": value}))
    assert found.fields["at"] == 1_700_000_000_123_000


def test_labels_by_their_schema(make_pipeline: Make) -> None:
    """A record of the schema Label is a label, on both topics; on labels any schema is one."""
    label = {"event_id": "e1", "label": True, "label_time_ms": None, "key": None}
    for each, topic in product(versions("label"), ("events", "labels")):
        body = body_of(each.schema, label)
        found = decode(make_pipeline(), each.schema, body, topic)
        assert found == (True, label | {"source": None})
    error = refused(make_pipeline(), make_pipeline().schema, b"", "labels")
    assert "lacks the field 'event_id'" in error.detail


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "null",
            "5",
            '"string"',
            '["null", "string"]',
            '{"type": "enum"}',
            "[" * 100_000,
        ),
        '{"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}',
        '{"type": "record", "name": "R", "fields": [{"name": "r", "type": "Unknown"}]}',
        '{"type": "record", "name": "R", "fields": 5}',
        '{"type": "record", "name": "R", "doc": "' + "x" * 2_000_000 + '", "fields": []}',
    ],
    ids=lambda text: text[:40],
)
def test_a_schema_that_cannot_be_used(text: str, make_pipeline: Make) -> None:
    """A schema that is broken, recursive without end, too large or no record is said to be."""
    error = refused(make_pipeline(), RegisteredSchema("AVRO", text), b"\x02a")
    assert error.reason is RejectReason.INCOMPATIBLE_SCHEMA
    assert error.detail.startswith("schema 7 of the registry: ")
    assert len(error.detail) < 600


def test_a_schema_is_parsed_once(
    avro: Make, make_pipeline: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good or bad, a schema costs its records nothing after the first."""
    good, bad = make_pipeline().schema, avro(id="string")
    registry = Registry({1: good, 2: bad, 3: RegisteredSchema("PROTOBUF", "")})
    decoder = InputDecoder(make_pipeline(), registry, 1_000_000)
    parsed: list[object] = []
    monkeypatch.setattr(
        confluent, "parse_record", lambda *a: parsed.append(a) or parsing.parse_record(*a)
    )
    for _ in range(5):
        assert decoder.decode("events", framed(body_of(good, EVENT), 1)).fields == EVENT
        for schema_id in (2, 3):
            with pytest.raises(RecordError):
                decoder.decode("events", framed(b"", schema_id))
    assert len(parsed) == 2
    assert registry.asked == [1, 2, 3]


def test_an_unknown_schema_is_asked_for_again(make_pipeline: Make) -> None:
    """What the look-up rejects is not remembered here: the look-up knows when to ask again."""
    schemas: dict[int, Any] = {}
    registry = Registry(schemas)
    decoder = InputDecoder(make_pipeline(), registry, 1_000_000)
    data = framed(body_of(make_pipeline().schema, EVENT))
    with pytest.raises(RecordError, match="unknown_schema"):
        decoder.decode("events", data)
    schemas[7] = make_pipeline().schema
    assert decoder.decode("events", data).fields == EVENT


def test_without_a_registry(make_pipeline: Make) -> None:
    """A record that begins with a zero byte says that there is no registry, and how to set one."""
    decoder = InputDecoder(make_pipeline(), no_registry, 1_000_000)
    for data in (framed(b"x"), b"\x00garbage", '{"id": "e1"}'.encode("utf-16-be")):
        with pytest.raises(RecordError, match="no schema registry is configured") as caught:
            decoder.decode("events", data)
        assert caught.value.reason is RejectReason.UNKNOWN_SCHEMA
        assert "SCHEMA_REGISTRY_URL" in caught.value.detail


@pytest.mark.parametrize("count", [2**62, -(2**62)])
def test_a_writer_that_means_harm(count: int, avro: Make, make_pipeline: Make) -> None:
    """A field that the pipeline does not have cannot hold the worker."""
    size = b"\x00" if count < 0 else b""
    for items in ("null", {"type": "record", "name": "N", "fields": []}, "long"):
        written = avro(nulls={"type": "array", "items": items}, id="string", a="double", b="double")
        begun = time.process_time()
        error = refused(make_pipeline(), written, write_long(count) + size + b"\x00" * 30)
        assert error.reason is RejectReason.MALFORMED
        assert time.process_time() - begun < 5


def test_what_is_remembered_is_bounded() -> None:
    """The least recently used is forgotten; the newest stays, however large it is."""
    memory: Remembered[str] = Remembered(max_bytes=100_000)
    for number in range(10):
        memory.put(number, f"value {number}", 1_000)
        assert memory.get(0) == "value 0"
    assert [n for n in range(10) if memory.get(n)] == [0, 6, 7, 8, 9]
    memory.put("large", "value", 10**9)
    assert memory.get("large") == "value"
    assert memory.get(9) is None
