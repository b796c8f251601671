"""What users produce becomes valid events and labels, or exactly one dead letter that says why."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource
from millrace.schemas import AvroType, shipped
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.records import RejectReason
from millrace.streams.formats import FORMATS, Outputs
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import Origin, RawRecord, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import RegisteredSchema, WrittenSchema, no_registry
from millrace.streams.topology.codec import TopicCodec

NOW_MS = 1_700_000_000_000
GOOD = {"id": "e1", "amount": 1.5}
HEADERS = (("trace", b"\x01\xff"), ("empty", None))
SCHEMA_ID = 7


@pytest.fixture(scope="module")
def loans(avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """Make a pipeline whose fields are of every kind that an event may have."""
    colour = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
    schema = avro(
        id="string",
        amount="double",
        count=(["null", "long"], None),
        rate=("float", 0.5),
        note=("string", "none"),
        colour=(colour, "RED"),
        y=(["null", "boolean"], None),
    )
    return make_pipeline(schema=schema)


Ingest = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def ingest(loans: Pipeline, make_origin: Callable[..., Origin]) -> Ingest:
    """Pass one produced value through a fresh operator."""

    def run(value: Any, pipeline: Pipeline = loans, **where: Any) -> list[Record]:
        schemas: Mapping[int, Any] = where.pop("registry", {})
        look_up = registered(schemas)
        operator = IngestOperator(pipeline, where.pop("partitions", 1), look_up, 10_000)
        data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        return [*operator.process(RawRecord.of(make_origin(data, **where)))]

    return run


def registered(schemas: Mapping[int, Any]) -> WrittenSchema:
    """Return the look-up of a registry that has these Avro schemas, or what is given as it is."""

    def look_up(schema_id: int) -> RegisteredSchema:
        if schema_id not in schemas:
            return no_registry(schema_id)
        found = schemas[schema_id]
        if isinstance(found, RegisteredSchema):
            return found
        return RegisteredSchema("AVRO", json.dumps(found))

    return look_up


def single_object(pipeline: Pipeline, record: dict[str, Any]) -> bytes:
    return pipeline.event_schema.as_written.encode(record)


FULL = {"id": "e1", "amount": 1.5, "count": 2, "rate": 0.5, "note": "n", "colour": "RED", "y": None}


def confluent(body: bytes, schema_id: int = SCHEMA_ID) -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


BAD_BYTES: dict[str, tuple[bytes | None, RejectReason, str]] = {
    "tombstone": (None, RejectReason.EMPTY, "has no value"),
    "nothing": (b"", RejectReason.EMPTY, "has no value"),
    "garbage": (b"\xde\xad\xbe\xef", RejectReason.MALFORMED, "JSON"),
    "broken JSON": (b'{"id": "e1", ', RejectReason.MALFORMED, "JSON"),
    "not UTF-8": (b'{"id": "\xff"}', RejectReason.MALFORMED, "JSON"),
    "too many digits": (b'{"id": ' + b"9" * 5_000 + b"}", RejectReason.MALFORMED, "JSON"),
    "JSON array": (b"[1, 2]", RejectReason.WRONG_SHAPE, "object; got list"),
    "JSON number": (b"12", RejectReason.WRONG_SHAPE, "object; got int"),
    "JSON null": (b"null", RejectReason.WRONG_SHAPE, "object; got NoneType"),
    "nested without end": (b"[" * 9_000, RejectReason.MALFORMED, "JSON"),
    "unknown fingerprint": (MARKER + bytes(8), RejectReason.UNKNOWN_SCHEMA, "0000000000000000"),
    "only a marker": (MARKER, RejectReason.MALFORMED, "single-object"),
    "oversized": (b" " * 10_001, RejectReason.OVERSIZED, "max_event_bytes"),
    "only a magic byte": (b"\0", RejectReason.MALFORMED, "5 bytes"),
    "half a schema id": (b"\0\0\0\0", RejectReason.MALFORMED, "5 bytes"),
    "unknown schema id": (confluent(b"", 8), RejectReason.UNKNOWN_SCHEMA, "names schema 8, but no"),
}

BAD_FIELDS: dict[str, tuple[dict[str, Any], RejectReason, str]] = {
    "missing field": ({"amount": ...}, RejectReason.MISSING_FIELD, "lacks the field 'amount'"),
    "missing id": ({"id": ...}, RejectReason.MISSING_FIELD, "lacks the field 'id'"),
    "empty id": ({"id": ""}, RejectReason.MISSING_ID, "'id'"),
    "null id": ({"id": None}, RejectReason.ILL_TYPED_FIELD, "'id' must be string"),
    "number as id": ({"id": 5}, RejectReason.ILL_TYPED_FIELD, "'id' must be string"),
    "boolean for long": ({"count": True}, RejectReason.ILL_TYPED_FIELD, "'count' must be null or"),
    "double for long": ({"count": 1.5}, RejectReason.ILL_TYPED_FIELD, "'count' must be null or"),
    "beyond a long": ({"count": 2**63}, RejectReason.ILL_TYPED_FIELD, "'count' must be null or"),
    "text for double": ({"amount": "9"}, RejectReason.ILL_TYPED_FIELD, "'amount' must be double"),
    "boolean for double": ({"amount": True}, RejectReason.ILL_TYPED_FIELD, "'amount' must be"),
    "null for double": ({"amount": None}, RejectReason.ILL_TYPED_FIELD, "'amount' must be double"),
    "list for double": ({"amount": [1]}, RejectReason.ILL_TYPED_FIELD, "'amount' must be double"),
    "beyond a double": ({"amount": 10**400}, RejectReason.ILL_TYPED_FIELD, "'amount'"),
    "beyond a float": ({"rate": 1e300}, RejectReason.NOT_FINITE, "'rate' must be a finite"),
    "number for text": ({"note": 1}, RejectReason.ILL_TYPED_FIELD, "'note' must be string"),
    "lone surrogate": ({"note": "\ud800"}, RejectReason.ILL_TYPED_FIELD, "'note'"),
    "surrogate for double": ({"amount": "\ud800"}, RejectReason.ILL_TYPED_FIELD, "'amount'"),
    "unknown symbol": ({"colour": "PINK"}, RejectReason.ILL_TYPED_FIELD, "'colour' must be enum"),
    "NaN": ({"amount": float("nan")}, RejectReason.NOT_FINITE, "'amount' must be a finite"),
    "infinity": ({"amount": float("inf")}, RejectReason.NOT_FINITE, "'amount' must be a finite"),
    "- infinity": ({"rate": -float("inf")}, RejectReason.NOT_FINITE, "'rate' must be a finite"),
    "NaN for long": ({"count": float("nan")}, RejectReason.ILL_TYPED_FIELD, "'count'"),
    "label of text": ({"y": "yes"}, RejectReason.UNKNOWN_LABEL_TYPE, "'y' must be null or"),
    "label of a number": ({"y": 1}, RejectReason.UNKNOWN_LABEL_TYPE, "'y' must be null or"),
}


def changed(record: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Apply changes; an ellipsis takes a field away."""
    return {n: v for n, v in {**record, **changes}.items() if v is not ...}


def check_reject(made: list[Record], reason: RejectReason, says: str, origin: Origin) -> None:
    """Assert that what was made is one dead letter, with the original in full."""
    assert [record.topic for record in made] == ["rejects"]
    value = made[0].value
    assert value["reason"] == reason
    assert says in value["detail"]
    assert (value["topic"], value["partition"], value["offset"]) == origin[:3]
    assert (value["timestamp_ms"], value["key"], value["value"]) == origin[3:6]
    assert value["value_size_bytes"] == len(origin.value or b"")
    assert [(each["name"], each["value"]) for each in value["headers"]] == [*origin.headers]


def check_writable(pipeline: Pipeline, made: list[Record]) -> None:
    """Assert that every record can be written, as Avro and as JSON."""
    for record in made:
        for outputs in FORMATS:
            assert TopicCodec(pipeline, Outputs(outputs)).encode(record)[1]


@pytest.mark.parametrize("case", BAD_BYTES)
@pytest.mark.parametrize("topic", ["events", "labels"])
def test_bytes_that_are_no_record(
    case: str, topic: str, loans: Pipeline, make_origin: Callable[..., Origin]
) -> None:
    """Bytes that no encoding explains are one reject, with the reason and all that came."""
    value, reason, says = BAD_BYTES[case]
    origin = make_origin(
        value, topic=topic, partition=2, offset=9, key=b"k\xff", headers=HEADERS, timestamp_ms=5
    )
    operator = IngestOperator(loans, 1, no_registry, 10_000)
    made = [*operator.process(RawRecord.of(origin))]
    check_reject(made, reason, says, origin)
    check_writable(loans, made)
    kind = "event" if topic == "events" else "label"
    assert operator.tally == {("received", kind): 1, (f"rejected_{kind}", reason.value): 1}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_json_that_is_no_event(case: str, loans: Pipeline, ingest: Ingest) -> None:
    """An object that does not fit the schema is one reject, which names the field and the fix."""
    changes, reason, says = BAD_FIELDS[case]
    value = json.dumps(changed(GOOD, changes)).encode()
    made = ingest(value, offset=3, headers=HEADERS)
    check_reject(made, reason, says, made[0].origin)
    check_writable(loans, made)


BAD_LABELS: dict[str, tuple[dict[str, Any], RejectReason, str]] = {
    "missing id": ({"event_id": ...}, RejectReason.MISSING_FIELD, "'event_id'"),
    "missing label": ({"label": ...}, RejectReason.MISSING_FIELD, "'label'"),
    "null id": ({"event_id": None}, RejectReason.MISSING_ID, "'event_id'"),
    "empty id": ({"event_id": ""}, RejectReason.MISSING_ID, "'event_id'"),
    "boolean id": ({"event_id": True}, RejectReason.ILL_TYPED_FIELD, "'event_id'"),
    "surrogate id": ({"event_id": "\ud800"}, RejectReason.ILL_TYPED_FIELD, "event_id"),
    "surrogate key": ({"key": "\udfff"}, RejectReason.ILL_TYPED_FIELD, "key"),
    "surrogate label": ({"label": "\ud800"}, RejectReason.ILL_TYPED_FIELD, "label"),
    "null label": ({"label": None}, RejectReason.UNKNOWN_LABEL_TYPE, "got None"),
    "object": ({"label": {"a": 1}}, RejectReason.UNKNOWN_LABEL_TYPE, "got {'a': 1}"),
    "list": ({"label": [1]}, RejectReason.UNKNOWN_LABEL_TYPE, "got [1]"),
    "float": ({"label": 1.0}, RejectReason.UNKNOWN_LABEL_TYPE, "'y', null or boolean; got 1.0"),
    "text": ({"label": "yes"}, RejectReason.UNKNOWN_LABEL_TYPE, "'y', null or boolean"),
    "NaN": ({"label": float("nan")}, RejectReason.UNKNOWN_LABEL_TYPE, "got nan"),
    "third class": ({"label": 2}, RejectReason.UNKNOWN_LABEL_TYPE, "true, false, 1 or 0; got 2"),
    "huge": ({"label": 10**400}, RejectReason.UNKNOWN_LABEL_TYPE, "a number"),
    "time of text": ({"label_time_ms": "x"}, RejectReason.TIMESTAMP_OUT_OF_RANGE, "ISO 8601"),
    "time of float": ({"label_time_ms": 1.5}, RejectReason.ILL_TYPED_FIELD, "label_time_ms"),
    "time of boolean": ({"label_time_ms": True}, RejectReason.ILL_TYPED_FIELD, "label_time_ms"),
    "huge time": ({"label_time_ms": 2**63}, RejectReason.ILL_TYPED_FIELD, "label_time_ms"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_json_that_is_no_label(case: str, loans: Pipeline, ingest: Ingest) -> None:
    """An object that is no label is one reject, which names what is wrong with it."""
    changes, reason, says = BAD_LABELS[case]
    value = json.dumps(changed({"event_id": "e1", "label": True}, changes)).encode()
    made = ingest(value, topic="labels")
    check_reject(made, reason, says, made[0].origin)
    check_writable(loans, made)


@pytest.mark.parametrize("depth", range(850, 1_000, 3))
@pytest.mark.parametrize("topic", ["events", "labels"])
def test_json_nested_to_the_edge(depth: int, topic: str, ingest: Ingest) -> None:
    """Nesting that is only just readable is a reject like any other, and not too deep to tell."""
    nested = b"[" * depth + b"]" * depth
    value = b'{"id": "e1", "amount": %s, "event_id": "e1", "label": %s}' % (nested, nested)
    (made,) = ingest(value, topic=topic)
    assert made.topic == "rejects"


def test_detail_stays_short(ingest: Ingest) -> None:
    """A value is quoted in part: the original is in the reject as it is."""
    (made,) = ingest({**GOOD, "amount": "x" * 9_000})
    assert len(made.value["detail"]) < 2_100


@pytest.mark.parametrize(
    ("task", "label_type", "label", "reason"),
    [
        ("multiclass", "string", 1, RejectReason.UNKNOWN_LABEL_TYPE),
        ("multiclass", "string", True, RejectReason.UNKNOWN_LABEL_TYPE),
        ("multiclass", "long", "1", RejectReason.UNKNOWN_LABEL_TYPE),
        ("multiclass", "long", 1.0, RejectReason.UNKNOWN_LABEL_TYPE),
        ("multiclass", "long", True, RejectReason.UNKNOWN_LABEL_TYPE),
        ("multiclass", "long", 10**20, RejectReason.UNKNOWN_LABEL_TYPE),
        (
            "multiclass",
            {"type": "enum", "name": "E", "symbols": ["X", "Y"]},
            "Z",
            RejectReason.UNKNOWN_LABEL_TYPE,
        ),
        ("regression", "double", "1.5", RejectReason.UNKNOWN_LABEL_TYPE),
        ("regression", "double", True, RejectReason.UNKNOWN_LABEL_TYPE),
        ("regression", "double", float("nan"), RejectReason.NOT_FINITE),
        ("regression", "double", float("-inf"), RejectReason.NOT_FINITE),
        ("regression", "double", 10**400, RejectReason.UNKNOWN_LABEL_TYPE),
        ("anomaly", "boolean", 0.7, RejectReason.UNKNOWN_LABEL_TYPE),
        ("anomaly", "long", 2, RejectReason.UNKNOWN_LABEL_TYPE),
    ],
)
def test_labels_that_the_task_cannot_learn(
    task: str,
    label_type: Any,
    label: Any,
    reason: RejectReason,
    avro: Callable[..., Any],
    make_pipeline: Callable[..., Pipeline],
    ingest: Ingest,
) -> None:
    """A label is held to the task and to the type that events declare."""
    pipeline = make_pipeline(task, schema=avro(id="string", a="double", y=label_type))
    (made,) = ingest({"event_id": "e1", "label": label}, pipeline, topic="labels")
    assert (made.topic, made.value["reason"]) == ("rejects", reason)
    assert "must be" in made.value["detail"] or "must have" in made.value["detail"]


@pytest.mark.parametrize(
    ("task", "label_type", "label", "learned"),
    [
        ("binary", "boolean", True, True),
        ("binary", "boolean", 0, False),
        ("binary", "int", 1, True),
        ("multiclass", "string", "sky", "sky"),
        ("multiclass", "long", -3, -3),
        ("multiclass", {"type": "enum", "name": "E", "symbols": ["X", "Y"]}, "Y", "Y"),
        ("regression", "double", 2, 2.0),
        ("regression", "double", 10**20, 1e20),
        ("regression", "long", 2.5, 2.5),
        ("anomaly", "boolean", 1, True),
    ],
)
def test_labels_as_the_task_learns_them(
    task: str,
    label_type: Any,
    label: Any,
    learned: Any,
    avro: Callable[..., Any],
    make_pipeline: Callable[..., Pipeline],
    ingest: Ingest,
) -> None:
    """A label from the topic `labels` is the task's own kind of value, as one in an event is."""
    pipeline = make_pipeline(task, schema=avro(id="string", a="double", y=label_type))
    (made,) = ingest(
        {"event_id": 12, "label": label, "label_time_ms": "2023-11-14T22:13:21", "key": 5},
        pipeline,
        topic="labels",
    )
    assert made.value == {
        "event_id": "12",
        "label": learned,
        "label_time_ms": NOW_MS + 1_000,
        "key": "5",
        "source": "labels",
    }
    assert type(made.value["label"]) is type(learned)


def test_nan_label_in_an_event(make_pipeline: Callable[..., Pipeline], ingest: Ingest) -> None:
    """An event with a label that is not finite is one reject, not an event without a label."""
    pipeline = make_pipeline("regression")
    made = ingest({"id": "e1", "a": 1, "b": 1, "y": float("nan")}, pipeline)
    check_reject(made, RejectReason.NOT_FINITE, "a label must be a finite number", made[0].origin)


def test_unknown_class_in_an_event(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """A class that binary does not have rejects the event it is in."""
    pipeline = make_pipeline(schema=avro(id="string", a="double", y="int"))
    made = ingest({"id": "e1", "a": 1, "y": 2}, pipeline)
    check_reject(made, RejectReason.UNKNOWN_LABEL_TYPE, "got 2", made[0].origin)


def test_every_truncation_and_every_surplus(loans: Pipeline, ingest: Ingest) -> None:
    """Avro that is cut off anywhere, or runs on, is malformed in both of its framings."""
    whole = single_object(loans, FULL)
    body = whole[10:]
    registry = {SCHEMA_ID: loans.event_schema.as_written.schema}
    for size in range(len(body)):
        for data in (whole[: 10 + size], confluent(body[:size])):
            (made,) = ingest(data, registry=registry)
            assert made.value["reason"] == RejectReason.MALFORMED
    for data in (whole + b"\0", confluent(body + b"\0")):
        (made,) = ingest(data, registry=registry)
        assert made.value["reason"] == RejectReason.MALFORMED
        assert "ends at byte" in made.value["detail"]


@pytest.mark.parametrize("written", [None, "string", ["null", "string"], 3])
def test_registry_schema_that_is_no_record(written: Any, ingest: Ingest) -> None:
    """A schema that is no record cannot be that of an event."""
    (made,) = ingest(confluent(b"\2a"), registry={SCHEMA_ID: written})
    assert made.value["reason"] == RejectReason.INCOMPATIBLE_SCHEMA
    assert made.value["detail"].startswith("schema 7 of the registry: ")


def test_registry_schema_of_other_fields(avro: Callable[..., Any], ingest: Ingest) -> None:
    """A version of the schema without a field that has no default is rejected, and says why."""
    older = avro(id="string")
    (made,) = ingest(confluent(AvroType(older).encode({"id": "e"})[10:]), registry={7: older})
    assert made.value["reason"] == RejectReason.INCOMPATIBLE_SCHEMA
    assert "lacks the field 'amount'" in made.value["detail"]


def test_registry_schema_of_another_version(avro: Callable[..., Any], ingest: Ingest) -> None:
    """An event written with another version is read by Avro's rules: defaults in, surplus out."""
    other = avro(gone="string", amount="int", id="string")
    body = AvroType(other).encode({"gone": "x", "amount": 3, "id": "e1"})[10:]
    (made,) = ingest(confluent(body), registry={SCHEMA_ID: other})
    (wanted,) = ingest({"id": "e1", "amount": 3})
    assert made.value == wanted.value
    assert type(made.value["fields"]["amount"]) is float


DOCUMENTS = [
    {**FULL, "rate": 0.1, "y": True},
    {**FULL, "amount": 3, "count": None},
    {**FULL, "amount": -0.0, "note": "🌊é", "colour": "BLUE", "y": False},
    {**FULL, "amount": 5e-324, "count": -(2**63), "rate": 1e-40},
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_three_encodings_of_one_event(
    document: dict[str, Any], loans: Pipeline, ingest: Ingest
) -> None:
    """JSON, single-object and Confluent Avro of one event give the same records, to the bit."""
    whole = single_object(loans, document)
    registry = {SCHEMA_ID: loans.event_schema.as_written.schema}
    codec = TopicCodec(loans)
    encoded = []
    for data in (json.dumps(document).encode(), whole, confluent(whole[10:])):
        made = ingest(data, registry=registry)
        assert [record.type for record in made] == ["Event"]
        assert made[0].value["label"] is document["y"]
        encoded.append([codec.encode(record) for record in made])
    assert encoded[0] == encoded[1] == encoded[2]


def test_defaults_and_unknown_names(ingest: Ingest) -> None:
    """JSON may leave out what has a default, and bring more than the schema has."""
    (made,) = ingest({**GOOD, "more": [1]})
    assert made.value["fields"] == {**GOOD, "count": None, "rate": 0.5, "note": "none"} | {
        "colour": "RED"
    }


def test_float_is_a_float(ingest: Ingest) -> None:
    """A number for a field of type float is the nearest one of 32 bits."""
    (made,) = ingest({**GOOD, "rate": 0.1})
    assert made.value["fields"]["rate"] == struct.unpack("<f", struct.pack("<f", 0.1))[0]


def test_embedded_label_is_no_field(loans: Pipeline, make_origin: Callable[..., Origin]) -> None:
    """A label in an event goes with it, out of the reach of features, and is counted."""
    operator = IngestOperator(loans, 1, no_registry, 10_000)
    origin = make_origin(json.dumps({**GOOD, "y": False}).encode())
    (event,) = operator.process(RawRecord.of(origin))
    assert (event.topic, event.type, event.value["label"]) == ("clean", "Event", False)
    assert "y" not in event.value["fields"]
    assert operator.tally == {("received", "event"): 1, ("received", "label"): 1}


def test_embedded_label_as_the_task_learns_it(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """A label in an event is made the task's own kind of value."""
    for task, label_type, given_label, learned in (
        ("binary", "int", 1, True),
        ("regression", "long", 3, 3.0),
        ("multiclass", "long", 3, 3),
    ):
        pipeline = make_pipeline(task, schema=avro(id="string", a="double", y=label_type))
        (event,) = ingest({"id": "e1", "a": 1, "y": given_label}, pipeline)
        assert event.value["label"] == learned
        assert type(event.value["label"]) is type(learned)


def test_label_record_on_events(loans: Pipeline, make_origin: Callable[..., Origin]) -> None:
    """An Avro label keeps its place among the events, in both framings; its topic is its source."""
    value = {
        "event_id": "e1",
        "label": True,
        "label_time_ms": NOW_MS,
        "key": "k",
        "source": "forged",
    }
    data = shipped("label").encode(value)
    operator = IngestOperator(loans, 1, registered({SCHEMA_ID: shipped("label").schema}), 10_000)
    for produced in (data, confluent(data[10:])):
        for topic in ("events", "labels"):
            origin = make_origin(produced, topic=topic)
            (made,) = operator.process(RawRecord.of(origin))
            assert (made.topic, made.type, made.value) == (
                *("clean", "Label", value | {"source": topic}),
            )
    assert operator.tally == {("received", "label"): 4}


def test_a_label_says_which_source_it_is_of(
    loans: Pipeline, make_origin: Callable[..., Origin]
) -> None:
    """By the name that the definition has, whatever its topic is called where it runs."""
    claims = LabelSource("claims", event_id="of", label="y")
    operator = IngestOperator(loans, 1, no_registry, 10_000, {"@prod.claims": claims})
    origin = make_origin(b'{"of": "e1", "y": true}', topic="@prod.claims")
    (made,) = operator.run(Slice([RawRecord.of(origin)]))
    assert made.value["source"] == "@claims"


@pytest.fixture(scope="module")
def timed(avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline]) -> Callable[[Any], Any]:
    """Make a pipeline whose event time is of a given type."""

    def make(declared: Any) -> Pipeline:
        schema = avro(id="string", a="double", t=declared)
        return make_pipeline(schema=schema, label=None, event_time="t", features=())

    return make


def logical(name: str) -> dict[str, str]:
    return {"type": "long", "logicalType": name}


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("long", NOW_MS, NOW_MS),
        (logical("timestamp-millis"), NOW_MS, NOW_MS),
        (logical("timestamp-micros"), NOW_MS * 1_000 + 999, NOW_MS),
        (logical("local-timestamp-millis"), NOW_MS, NOW_MS),
        (logical("local-timestamp-micros"), NOW_MS * 1_000, NOW_MS),
        ("long", "2023-11-14T22:13:20", NOW_MS),
        ("long", "2023-11-14T22:13:20Z", NOW_MS),
        ("long", "2023-11-14T23:13:20.250+01:00", NOW_MS + 250),
        (logical("timestamp-micros"), "2023-11-14T22:13:20Z", NOW_MS),
        ("string", "2023-11-14T22:13:20", NOW_MS),
        ("string", "2023-11-14T14:13:20-08:00", NOW_MS),
        ("string", "1969-12-31T23:59:59.999Z", None),
        ("long", 31_536_000_000, 31_536_000_000),
        ("long", 31_535_999_999, None),
        ("long", -1, None),
        ("long", NOW_MS + 86_400_000, NOW_MS + 86_400_000),
        ("long", NOW_MS + 86_400_001, None),
        ("long", NOW_MS * 1_000, None),
        ("long", "yesterday", None),
        ("string", "yesterday", None),
        ("string", "", None),
        ("string", "0001-01-01T00:00:00+14:00", None),
        ("string", "9999-12-31T23:59:59-14:00", None),
    ],
    ids=str,
)
def test_event_times(
    declared: Any, value: Any, expected: int | None, timed: Callable[[Any], Any], ingest: Ingest
) -> None:
    """Event time is milliseconds, whatever its unit or text; out of range it is a reject."""
    (made,) = ingest({"id": "e1", "a": 1, "t": value}, timed(declared))
    if expected is None:
        assert made.value["reason"] == RejectReason.TIMESTAMP_OUT_OF_RANGE
        assert "must be" in made.value["detail"] or "must have" in made.value["detail"]
    else:
        assert made.value["event_time_ms"] == expected


@pytest.mark.parametrize(
    ("declared", "per_ms", "says"),
    [
        ("long", 1 / 1_000, "1700000000 looks like seconds, but 't' is in milliseconds"),
        ("long", 1_000, "looks like microseconds, but 't' is in milliseconds"),
        ("long", 1_000_000, "looks like nanoseconds, but 't' is in milliseconds"),
        (logical("timestamp-millis"), 1 / 1_000, "looks like seconds, but 't' is in milliseconds"),
        (logical("timestamp-micros"), 1, "looks like milliseconds, but 't' is in microseconds"),
        (logical("timestamp-micros"), 1 / 1_000, "looks like seconds, but 't' is in microseconds"),
        (logical("timestamp-micros"), 1_000_000, "looks like nanoseconds, but 't' is in micros"),
        (logical("timestamp-nanos"), 1, "looks like milliseconds, but 't' is in nanoseconds"),
    ],
)
@pytest.mark.parametrize("is_avro", [True, False])
def test_event_time_in_another_unit(
    is_avro: bool, declared: Any, per_ms: float, says: str, timed: Any, ingest: Ingest
) -> None:
    """A number that is a time of today in another unit than the field's is a reject."""
    pipeline = timed(declared)
    event = {"id": "e1", "a": 1.0, "t": int(NOW_MS * per_ms)}
    raw = AvroType(pipeline.event_schema.accepted.schema)
    (made,) = ingest(raw.encode(event) if is_avro else event, pipeline)
    assert made.value["reason"] == RejectReason.TIMESTAMP_OUT_OF_RANGE
    assert says in made.value["detail"]


@pytest.mark.parametrize("what", ["id", "user", "y"])
@pytest.mark.parametrize("topic", ["events", "labels"])
def test_long_ids_keys_and_labels(
    what: str, topic: str, avro: Any, make_pipeline: Any, ingest: Ingest
) -> None:
    """An id, a key or a label of more than `max_id_bytes` in UTF-8 is a reject."""
    schema = avro(id="string", user="string", a="double", y=["null", "string"])
    pipeline = make_pipeline(
        "multiclass", schema=schema, key="user", features=(), max_id_bytes=1_000
    )
    names = {"id": "event_id", "user": "key", "y": "label"} if topic == "labels" else {}
    record = {"id": "e1", "user": "anna", "y": "sky"}
    for text, fits in (
        ("é" * 500, True),
        ("é" * 501, False),
        ("x" * 1_000, True),
        ("x" * 1_001, False),
    ):
        changed_record = {names.get(k, k): v for k, v in (record | {what: text}).items()}
        (made,) = ingest(changed_record | ({} if names else {"a": 1.0}), pipeline, topic=topic)
        if fits:
            assert made.topic == "clean"
        else:
            assert made.value["reason"] == RejectReason.OVERSIZED
            assert "at most 1000 bytes (max_id_bytes)" in made.value["detail"]


@pytest.mark.parametrize("written", ["millis", "micros", "nanos"])
@pytest.mark.parametrize("read", ["millis", "micros", "nanos"])
def test_event_time_in_the_unit_of_its_writer(
    read: str, written: str, timed: Any, ingest: Ingest
) -> None:
    """What was written in one unit and is read in another one is the same time."""
    units_per_ms = {"millis": 1, "micros": 1_000, "nanos": 1_000_000}
    schema = timed(logical(f"timestamp-{written}")).schema
    raw = AvroType(timed("long").event_schema.accepted.schema)
    body = raw.encode({"id": "e1", "a": 1.0, "t": NOW_MS * units_per_ms[written]})[10:]
    (made,) = ingest(
        confluent(body), timed(logical(f"timestamp-{read}")), registry={SCHEMA_ID: schema}
    )
    assert made.value["event_time_ms"] == NOW_MS
    assert made.value["fields"]["t"] == NOW_MS * units_per_ms[read]


def test_event_time_avro_agrees(timed: Callable[[Any], Any], ingest: Ingest) -> None:
    """A timestamp in Avro reads as the same number as in JSON."""
    pipeline = timed(logical("timestamp-micros"))
    record = {"id": "e1", "a": 1.0, "t": NOW_MS * 1_000 + 7}
    written = AvroType({**pipeline.schema, "fields": [*pipeline.schema["fields"]]})
    data = written.encode({**record, "t": datetime.fromtimestamp(NOW_MS / 1_000, UTC)
                           + timedelta(microseconds=7)})  # fmt: skip
    (from_avro,), (from_json,) = ingest(data, pipeline), ingest(record, pipeline)
    assert from_avro.value == from_json.value
    assert from_avro.value["fields"]["t"] == NOW_MS * 1_000 + 7


@pytest.mark.parametrize("wrong", [True, 1.5, None, [1], {"a": 1}])
def test_event_time_of_another_type(
    wrong: Any, timed: Callable[[Any], Any], ingest: Ingest
) -> None:
    """An event time that is no number is ill typed, and named."""
    (made,) = ingest({"id": "e1", "a": 1, "t": wrong}, timed("long"))
    assert made.value["reason"] == RejectReason.ILL_TYPED_FIELD
    assert "'t'" in made.value["detail"]


def test_kafka_time_without_event_time(ingest: Ingest) -> None:
    """Without a field for it, event time is the record's timestamp."""
    (made,) = ingest(GOOD, timestamp_ms=NOW_MS - 5)
    assert made.value["event_time_ms"] == NOW_MS - 5


def test_bounds_of_event_time_are_settable(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """`earliest` and `max_ahead` are inclusive bounds, before 1970 too."""
    pipeline = make_pipeline(
        schema=avro(id="string", a="double", t="long"),
        label=None,
        event_time="t",
        earliest=datetime(1960, 1, 1, tzinfo=UTC),
        max_ahead=timedelta(0),
    )
    earliest_ms = -315_619_200_000
    for time_ms, topic in [
        (earliest_ms, "clean"),
        (earliest_ms - 1, "rejects"),
        (NOW_MS, "clean"),
        (NOW_MS + 1, "rejects"),
    ]:
        (made,) = ingest({"id": "e1", "a": 1, "t": time_ms}, pipeline)
        assert made.topic == topic


def test_non_finite_where_it_is_allowed(
    loans: Pipeline, make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """`allow_non_finite` lets NaN and infinity through in its fields, and in no others."""
    pipeline = make_pipeline(schema=loans.schema, allow_non_finite=["amount"])
    for value in (float("inf"), -float("inf")):
        (made,) = ingest({**GOOD, "amount": value}, pipeline)
        assert made.value["fields"]["amount"] == value
    (made,) = ingest({**GOOD, "amount": float("nan")}, pipeline)
    assert made.value["fields"]["amount"] != made.value["fields"]["amount"]
    (made,) = ingest({**GOOD, "rate": float("nan")}, pipeline)
    assert made.value["reason"] == RejectReason.NOT_FINITE


def test_uuid_ids_and_dates(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """Logical types of text and numbers stay the text and numbers that a model can see."""
    uuid = "1f9c0ab4-55ad-4f09-b2b3-f56f3ab79f7a"
    schema = avro(
        id={"type": "string", "logicalType": "uuid"},
        day={"type": "int", "logicalType": "date"},
    )
    pipeline = make_pipeline(schema=schema, label=None)
    for data in ({"id": uuid, "day": 19_000}, AvroType(schema).encode({"id": uuid, "day": 19_000})):
        (made,) = ingest(data, pipeline)
        assert made.value["event_id"] == uuid
        assert made.value["fields"] == {"id": uuid, "day": 19_000}


def test_schema_that_is_called_event(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """A user may well call a record `Event`, as Millrace calls its own."""
    pipeline = make_pipeline(schema=avro("Event", id="string", a="double"), label=None)
    made = ingest({"id": "e1", "a": 1}, pipeline)
    assert made[0].topic == "clean"
    check_writable(pipeline, made)


@pytest.mark.parametrize("id_type", ["int", "long"])
def test_ids_of_numbers(
    id_type: str, avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """A number identifies an event as its decimal text, in events and labels alike."""
    schema = avro(id=id_type, a="double", y="boolean")
    (event,) = ingest({"id": 7, "a": 1, "y": True}, make_pipeline(schema=schema))
    assert event.value["event_id"] == "7"
    assert event.value["fields"]["id"] == 7


SCOPED = {"scope": "key", "key": "user"}


@pytest.mark.parametrize(
    ("options", "partitions", "read_from", "expected"),
    [
        ({}, 4, 3, 0),
        ({}, None, 0, 0),
        ({"scope": "partition"}, 4, 3, crc32(b"e1") % 4),
        ({"scope": "partition", "key": "user"}, 4, 3, crc32(b"anna") % 4),
        (SCOPED, 4, 3, crc32(b"anna") % 4),
        (SCOPED, 7, 3, crc32(b"anna") % 7),
        (SCOPED, None, 3, None),
        ({"scope": "partition"}, None, 3, None),
    ],
)
def test_routing(
    options: dict[str, Any],
    partitions: int | None,
    read_from: int,
    expected: int | None,
    avro: Callable[..., Any],
    make_pipeline: Callable[..., Pipeline],
    ingest: Ingest,
) -> None:
    """An event and its label record go to the one partition of the scope."""
    schema = avro(id="string", user=["null", "string"], a="double", y=(["null", "boolean"], None))
    pipeline = make_pipeline(schema=schema, **options)
    where = {"partitions": partitions, "partition": read_from}
    made = ingest({"id": "e1", "user": "anna", "a": 1, "y": True}, pipeline, **where)
    made += ingest(
        {"event_id": "e1", "label": True, "key": "anna"}, pipeline, topic="labels", **where
    )
    assert [record.partition for record in made] == [expected] * 2
    assert [record.type for record in made] == ["Event", "Label"]
    assert made[0].value["key"] == ("anna" if pipeline.key else None)


def test_routing_needs_a_key(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """With models by key, an event or a label without a key has nowhere to go."""
    schema = avro(id="string", user=["null", "string"], a="double", y=(["null", "boolean"], None))
    pipeline = make_pipeline(schema=schema, **SCOPED)
    (event,) = ingest({"id": "e1", "user": None, "a": 1}, pipeline)
    (label,) = ingest({"event_id": "e1", "label": True}, pipeline, topic="labels")
    for made, says in ((event, "'user'"), (label, "'key'")):
        assert made.value["reason"] == RejectReason.MISSING_KEY
        assert says in made.value["detail"]


def test_global_scope_without_a_topic_between(ingest: Ingest) -> None:
    """Where no topic can move a record to the one model, another partition is an error."""
    (made,) = ingest(GOOD, partitions=None, partition=1)
    assert made.value["reason"] == RejectReason.WRONG_PARTITION
    assert "partition 0" in made.value["detail"]


produced = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=40).map(lambda body: MARKER + body),
    st.binary(max_size=40).map(lambda body: shipped("label").header + body),
    st.binary(max_size=40).map(confluent),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*FULL, "event_id", "label", "label_time_ms", "key"]), inner
            )
        ),
        max_leaves=12,
    ).map(lambda document: json.dumps(document).encode()),
)


@settings(deadline=None, max_examples=200)
@given(data=produced, topic=st.sampled_from(["events", "labels"]))
def test_arbitrary_bytes_never_raise(
    data: bytes, topic: str, loans: Pipeline, ingest: Ingest
) -> None:
    """Whatever is produced is an event or label that can be written on, or one dead letter."""
    header = loans.event_schema.as_written.header
    registry = {SCHEMA_ID: loans.event_schema.as_written.schema}
    for value in (data, header + data):
        made = ingest(value, topic=topic, registry=registry)
        assert [record.topic for record in made] in (["clean"], ["rejects"])
        check_writable(loans, made)


def test_good_and_bad_together(loans: Pipeline, make_origin: Callable[..., Origin]) -> None:
    """Bad records change nothing for the good ones around them, and the counts add up."""
    bad = [value for value, _, _ in BAD_BYTES.values()]
    bad += [json.dumps(changed(GOOD, changes)).encode() for changes, _, _ in BAD_FIELDS.values()]
    good = [json.dumps({**GOOD, "id": f"e{i}", "y": i % 2 == 0}).encode() for i in range(len(bad))]

    def run(values: list[bytes | None]) -> tuple[list[Record], Counter[tuple[str, str]]]:
        operator = IngestOperator(loans, 1, no_registry, 10_000)
        records = [RawRecord.of(make_origin(value)) for value in values]
        return [made for record in records for made in operator.process(record)], operator.tally

    alone, alone_tally = run([*good])
    mixed, tally = run([each for pair in zip(bad, good, strict=True) for each in pair])
    assert [record for record in mixed if record.topic == "clean"] == alone
    assert sum(record.topic == "rejects" for record in mixed) == len(bad)
    assert tally["received", "event"] == len(bad) + len(good)
    assert tally["received", "label"] == alone_tally["received", "label"] == len(good)
    rejected = {which: n for (what, which), n in tally.items() if what == "rejected_event"}
    expected = Counter(each[1].value for each in [*BAD_BYTES.values(), *BAD_FIELDS.values()])
    assert rejected == expected


def test_the_whole_id_of_a_schema_counts(ingest: Ingest, loans: Pipeline) -> None:
    """A schema id is four bytes, the highest first; the record follows right behind."""
    body = single_object(loans, FULL)[10:]
    for schema_id in (1, 0x01020304, 2**32 - 1):
        registry = {schema_id: loans.event_schema.as_written.schema}
        (made,) = ingest(confluent(body, schema_id), registry=registry)
        assert made.value["event_id"] == "e1"


MULTICLASS: dict[str, tuple[Any, Any, list[Any]]] = {
    "text": ("string", "1", [1, True, 1.0, float("nan")]),
    "long": ("long", 1, ["1", True, 1.5, float("nan")]),
    "boolean": ("boolean", True, [1, "true", 1.0]),
    "enum": ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "A", ["C", 1, True]),
}


@pytest.mark.parametrize("kind", MULTICLASS)
def test_labels_of_another_type_are_rejected(
    kind: str, avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """Inside events and as records, as JSON and as Avro: 1 is not "1", and True is not 1."""
    declared, good, bad = MULTICLASS[kind]
    schema = avro(id="string", a="double", y=(["null", declared], None))
    pipeline = make_pipeline("multiclass", schema=schema)
    for label in (good, *bad):
        event, record = {"id": "1", "a": 1.0, "y": label}, {"event_id": "1", "label": label}
        as_avro = shipped("label").encode({**record, "label_time_ms": None, "key": None})
        made = [
            *ingest(event, pipeline),
            *ingest(record, pipeline, topic="labels"),
            *ingest(as_avro, pipeline, topic="labels"),
        ]
        if label is good:
            assert [each.topic for each in made] == ["clean"] * 3
            assert all(type(each.value["label"]) is type(good) for each in made)
        else:
            reasons = [each.value["reason"] for each in made]
            assert reasons == ["unknown_label_type"] * 3, label


def test_a_label_that_is_none_of_the_classes_is_rejected(
    avro: Callable[..., Any], make_pipeline: Callable[..., Pipeline], ingest: Ingest
) -> None:
    """Where the definition lists them, with a field of the label or without."""
    schema = avro(id="string", a="double", y=(["null", "string"], None))
    for label in ("y", None):
        pipeline = make_pipeline("multiclass", schema=schema, label=label, classes=["a", "b"])
        known, unknown = ({"event_id": "1", "label": each} for each in "ac")
        assert [each.topic for each in ingest(known, pipeline, topic="labels")] == ["clean"]
        (reject,) = ingest(unknown, pipeline, topic="labels")
        assert reject.value["reason"] == "unknown_class"
        assert "a label must be one of the classes ['a', 'b']; got 'c'" in reject.value["detail"]
    pipeline = make_pipeline("multiclass", schema=schema, classes=["a", "b"])
    (reject,) = ingest({"id": "1", "a": 1.0, "y": "c"}, pipeline)
    assert reject.value["reason"] == "unknown_class"


@pytest.mark.parametrize("topic", ["events", "labels"])
def test_tombstones_may_be_passed_over(
    topic: str, make_pipeline: Callable[..., Pipeline], make_origin: Callable[..., Origin]
) -> None:
    """By choice: they are no rejects then, but are counted; an empty value is still a reject."""
    operator = IngestOperator(make_pipeline(ignore_tombstones=True), 1, no_registry, 10_000)
    records = [RawRecord.of(make_origin(value, topic=topic)) for value in (None, b"")]
    (made,) = operator.run(Slice(records))
    kind = topic.removesuffix("s")
    assert made.value["reason"] == RejectReason.EMPTY
    assert operator.tally == {
        ("tombstone", kind): 1,
        ("received", kind): 1,
        (f"rejected_{kind}", "empty"): 1,
    }


@pytest.mark.parametrize(
    "error", [struct.error("bad"), OverflowError(), RecursionError(), UnicodeError(), TypeError()]
)
def test_a_value_that_no_decoder_foresaw_is_ill_typed(
    error: Exception, make_pipeline: Callable[..., Pipeline], make_origin: Callable[..., Origin]
) -> None:
    """It is the record's fault, not Millrace's; the next record follows."""
    operator = IngestOperator(make_pipeline(), 1, no_registry, 10_000)
    decode = operator._decoder.decode

    def odd(topic: str, data: bytes | None) -> Any:
        if data == b"odd":
            raise error
        return decode(topic, data)

    operator._decoder.decode = odd  # type: ignore[method-assign]
    good = b'{"id": "1", "a": 1.0, "b": 2.0}'
    records = [RawRecord.of(make_origin(value)) for value in (b"odd", good)]
    reject, event = operator.run(Slice(records))
    assert reject.value["reason"] == RejectReason.ILL_TYPED_FIELD
    assert type(error).__name__ in reject.value["detail"]
    assert event.value["event_id"] == "1"


def test_a_reject_names_the_topic_as_kafka_does(
    make_pipeline: Callable[..., Pipeline], make_origin: Callable[..., Origin]
) -> None:
    """With the pipeline's prefix."""
    operator = IngestOperator(make_pipeline(), 1, no_registry, 10_000)
    (made,) = operator.process(RawRecord.of(make_origin(b"?", full_topic="p.events")))
    assert made.value["topic"] == "p.events"
