"""What is in the envelopes of Debezium, CloudEvents and Kafka Connect, and what they say of it."""

from __future__ import annotations

import base64
import json
import struct
from codecs import BOM_UTF8
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.pipeline.sources import Source
from millrace.schemas import AvroType, DefinitionError, RecordError, RejectReason
from millrace.streams.sources.confluent import RegisteredReader, RegisteredSchema, no_registry
from millrace.streams.sources.envelopes import ENVELOPES, Says, envelope_of

NO_REGISTRY = RegisteredReader(no_registry)
ROW = {"id": "p1", "amount": 38.98, "merchant": {"id": 0, "country": "CH"}}
OLD = {**ROW, "amount": 1.0}
CLOUD = {"specversion": "1.0", "id": "c1", "source": "/shop", "type": "payment.made"}
SHAPE = RejectReason.WRONG_SHAPE
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=10,
)


def change(op: Any, before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after, "op": op, "ts_ms": 7, "source": {"lsn": 1}}


def written(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("schema", [False, True])
@pytest.mark.parametrize(
    ("op", "before", "after", "says", "row"),
    [
        ("r", None, ROW, Says.IS, ROW),
        ("c", None, ROW, Says.IS, ROW),
        ("u", OLD, ROW, Says.CHANGED, ROW),
        ("u", None, ROW, Says.CHANGED, ROW),  # whose table has no replica identity
        ("u", None, None, Says.CHANGED, None),  # of MongoDB
        ("c", None, json.dumps(ROW), Says.IS, ROW),  # of MongoDB
        ("d", json.dumps(OLD), None, Says.GONE, OLD),
        ("d", OLD, None, Says.GONE, OLD),
        ("d", None, None, Says.GONE, None),
        ("t", None, None, Says.NOTHING, None),
        ("m", None, None, Says.NOTHING, None),
    ],
)
def test_debezium(schema: bool, op: str, before: Any, after: Any, says: Says, row: Any) -> None:
    """A change says what became of a row, with schemas and without."""
    document: Any = change(op, before, after)
    if schema:
        document = {"schema": {"type": "struct", "fields": []}, "payload": document}
    debezium, value = ENVELOPES["debezium"](NO_REGISTRY), written(document)
    opened = debezium.open(value, ())
    assert opened.says is says
    assert (None if opened.row is None else json.loads(opened.row)) == row
    assert debezium.attributes(value, ())["ts_ms"] == 7


VALUE = {
    "type": "record",
    "name": "Value",
    "namespace": "shop.payments",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
ENVELOPE = {
    "type": "record",
    "name": "Envelope",
    "namespace": "shop.payments",
    "fields": [
        {"name": "before", "type": ["null", VALUE], "default": None},
        {"name": "after", "type": ["null", "Value"], "default": None},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": None},
    ],
}


@pytest.mark.parametrize(
    ("op", "before", "after", "says"),
    [("c", False, True, Says.IS), ("u", True, True, Says.CHANGED), ("d", True, False, Says.GONE)],
)
def test_debezium_in_avro(op: str, before: bool, after: bool, says: Says) -> None:
    """A change in Confluent's wire format is read by what the registry says."""
    row = {"id": "p1", "amount": 1.5, "at": 1_700_000_000_000}
    found = change(op, row if before else None, row if after else None)
    body = AvroType(ENVELOPE).encode(found)[10:]
    reader = RegisteredReader({7: RegisteredSchema("AVRO", json.dumps(ENVELOPE))}.__getitem__)
    for _ in range(2):
        debezium, value = ENVELOPES["debezium"](reader), struct.pack(">bI", 0, 7) + body
        assert debezium.open(value, ()) == (says, row)
        assert debezium.attributes(value, ())["ts_ms"] == 7


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\0\0", RejectReason.MALFORMED),
        (b"\0\0\0\0\7", RejectReason.MALFORMED),
        (b"\0\0\0\0\x08", RejectReason.UNKNOWN_SCHEMA),
        (b"\0\0\0\0\x09{}", RejectReason.WRONG_SHAPE),
    ],
)
def test_avro_that_cannot_be_read_is_rejected(value: bytes, reason: RejectReason) -> None:
    """A header that is cut off, bytes that are missing, and schemas of other kinds."""
    schemas = {
        7: RegisteredSchema("AVRO", json.dumps(ENVELOPE)),
        8: RegisteredSchema("PROTOBUF", "syntax"),
        9: RegisteredSchema("JSON", "{}"),
    }
    with pytest.raises(RecordError) as raised:
        ENVELOPES["debezium"](RegisteredReader(schemas.__getitem__)).open(value, ())
    assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("envelope", "value", "reason"),
    [
        ("debezium", b"{", RejectReason.MALFORMED),
        ("debezium", b"\xff", RejectReason.MALFORMED),
        ("debezium", b"[1]", RejectReason.WRONG_SHAPE),
        ("debezium", b'{"id": "p1"}', RejectReason.WRONG_SHAPE),
        ("debezium", written(change("x", None, None)), RejectReason.WRONG_SHAPE),
        ("debezium", written(change("c", None, None)), RejectReason.WRONG_SHAPE),
        ("debezium", written(change(3, None, ROW)), RejectReason.WRONG_SHAPE),
        ("debezium", written({"schema": None, "payload": None}), RejectReason.WRONG_SHAPE),
        ("cloudevents", b"{", RejectReason.MALFORMED),
        ("cloudevents", written(ROW), RejectReason.WRONG_SHAPE),
        ("cloudevents", written(CLOUD), RejectReason.WRONG_SHAPE),
        ("cloudevents", written({**CLOUD, "specversion": "0.3", "data": ROW}), SHAPE),
        ("cloudevents", written({**CLOUD, "data_base64": "?"}), RejectReason.MALFORMED),
        ("connect", b"{", RejectReason.MALFORMED),
        ("connect", written(ROW), RejectReason.WRONG_SHAPE),
        ("connect", written({"schema": None, "payload": None}), RejectReason.EMPTY),
    ],
)
def test_what_is_in_no_envelope_is_rejected(
    envelope: str, value: bytes, reason: RejectReason
) -> None:
    """A record that is not in the form of its source has a reason that says so."""
    with pytest.raises(RecordError) as raised:
        ENVELOPES[envelope](NO_REGISTRY).open(value, ())
    assert raised.value.reason is reason


@pytest.mark.parametrize(
    "data",
    [
        {"data": ROW},
        {"data": json.dumps(ROW)},
        {"data_base64": base64.b64encode(written(ROW)).decode()},
    ],
)
def test_structured_cloudevents(data: dict[str, Any]) -> None:
    """The event is in the document, beside its attributes."""
    envelope, value = ENVELOPES["cloudevents"](NO_REGISTRY), written({**CLOUD, **data, "ext": 1})
    opened = envelope.open(value, ())
    assert (opened.says, json.loads(opened.row or b"")) == (Says.IS, ROW)
    attributes = envelope.attributes(value, ())
    assert (attributes["id"], attributes["source"], attributes["ext"]) == ("c1", "/shop", 1)


def test_binary_cloudevents() -> None:
    """The record is the event, whatever form it has, and headers are its attributes."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"c1"), ("traceparent", b"x")]
    envelope = ENVELOPES["cloudevents"](NO_REGISTRY)
    assert envelope.open(b"\x00anything", headers) == (Says.IS, b"\x00anything")
    assert envelope.attributes(b"\x00anything", headers) == {"specversion": "1.0", "id": "c1"}


@pytest.mark.parametrize("prefix", ["CE_", "Ce_"])
def test_the_letter_case_of_headers(prefix: str) -> None:
    """Attributes are in lower case, however somebody wrote the headers."""
    headers = [(f"{prefix}SpecVersion", b"1.0"), (f"{prefix}ID", b"c1")]
    envelope = ENVELOPES["cloudevents"](NO_REGISTRY)
    assert envelope.open(b"anything", headers) == (Says.IS, b"anything")
    assert envelope.attributes(b"anything", headers) == {"specversion": "1.0", "id": "c1"}


def test_the_content_type_says_that_it_is_structured() -> None:
    """Even where the attributes are in headers, too."""
    headers = [
        ("Content-Type", b"application/cloudevents+json; charset=UTF-8"),
        ("ce_specversion", b"1.0"),
    ]
    value = written({**CLOUD, "data": ROW})
    envelope = ENVELOPES["cloudevents"](NO_REGISTRY)
    assert envelope.open(value, headers) == (Says.IS, written(ROW))
    assert envelope.rows([value], [headers]) == [written(ROW)]
    assert envelope.attributes(value, headers)["id"] == "c1"


def test_cloudevents_of_another_version() -> None:
    """They are rejected in headers, too; a minor version of the first is none of another."""
    envelope, row = ENVELOPES["cloudevents"](NO_REGISTRY), written(ROW)
    headers = [("ce_specversion", b"0.3"), ("ce_id", b"c1")]
    with pytest.raises(RecordError, match=r"must be 1\.0; got '0\.3'"):
        envelope.open(row, headers)
    structured = written({**CLOUD, "specversion": "0.3", "data": ROW})
    assert envelope.rows([row, structured], [headers, ()]) == [None, None]
    assert envelope.open(row, [("ce_specversion", b"1.1")]) == (Says.IS, row)


@pytest.mark.parametrize("headers", [(), [("content-type", b"application/cloudevents-batch+json")]])
def test_a_batch_of_cloudevents(headers: Any) -> None:
    """The reject says what to do instead."""
    envelope, batch = ENVELOPES["cloudevents"](NO_REGISTRY), written([{**CLOUD, "data": ROW}])
    with pytest.raises(RecordError, match="is not read: send one event a record") as raised:
        envelope.open(BOM_UTF8 + b" " + batch, headers)
    assert raised.value.reason is RejectReason.WRONG_SHAPE
    assert envelope.rows([batch], [headers]) == [None]


DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "field": "amount"}
BUYER = {"type": "struct", "field": "buyer", "fields": [{**DECIMAL, "field": "limit"}]}
ROW_SCHEMA = {"type": "struct", "fields": [{"type": "string", "field": "id"}, DECIMAL, BUYER]}


def test_decimals_by_the_schema_of_a_record() -> None:
    """The fields are those of the row, by their paths."""
    change = {"type": "struct", "fields": [{**ROW_SCHEMA, "field": "after"}]}
    for name, schema in (("connect", ROW_SCHEMA), ("debezium", change)):
        found = ENVELOPES[name](NO_REGISTRY).decimals(written({"schema": schema, "payload": {}}))
        assert {*found} == {"amount", "buyer.limit"}


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize(
    "value", [b"", b"\0", b"[1]", written(ROW), written({"schema": {"fields": [7]}})]
)
def test_records_without_a_schema_of_decimals(name: str, value: bytes) -> None:
    """Nothing is known of them."""
    assert not ENVELOPES[name](NO_REGISTRY).decimals(value)


@pytest.mark.parametrize("name", ["debezium", "cloudevents", "connect"])
def test_a_byte_order_mark(name: str) -> None:
    """It is no part of a document, as in a plain record."""
    document = {**CLOUD, "data": ROW, "op": "c", "after": ROW, "schema": {}, "payload": ROW}
    if name == "debezium":
        del document["payload"]
    opened = ENVELOPES[name](NO_REGISTRY).open(BOM_UTF8 + written(document), ())
    assert (opened.says, json.loads(opened.row or b"")) == (Says.IS, ROW)


def test_connect() -> None:
    """The row is beside its schema."""
    opened = ENVELOPES["connect"](NO_REGISTRY).open(written({"schema": {}, "payload": ROW}), ())
    assert (opened.says, json.loads(opened.row or b"")) == (Says.IS, ROW)


@pytest.mark.parametrize("name", ENVELOPES)
@given(documents=st.lists(JSON | st.builds(change, st.sampled_from("crud"), JSON, JSON)))
def test_many_are_opened_as_each_by_itself(name: str, documents: list[Any]) -> None:
    """Where many are opened at once, the rows are those that each has, or it is left to itself."""
    envelope = ENVELOPES[name](NO_REGISTRY)
    values = [written({"payload": each}) for each in documents] + [*map(written, documents)]
    for value, row in zip(values, envelope.rows([*values], [()] * len(values)), strict=True):
        if row is not None:
            assert envelope.open(value, ()) == (Says.IS, row)
    assert envelope.rows([None], [()]) == [None]


def test_ordinary_rows_are_not_left_to_themselves() -> None:
    """What most records are is opened at once."""
    new, changed = written(change("c", None, ROW)), written(change("u", OLD, ROW))
    assert ENVELOPES["debezium"](NO_REGISTRY).rows([new, changed], [(), ()]) == [written(ROW), None]
    assert ENVELOPES["connect"](NO_REGISTRY).rows([written({"payload": ROW})], [()]) == [
        written(ROW)
    ]
    structured, binary = written({**CLOUD, "data": ROW}), [("ce_specversion", b"1.0")]
    rows = ENVELOPES["cloudevents"](NO_REGISTRY).rows([structured, structured], [(), binary])
    assert rows == [written(ROW), structured]


def test_an_unknown_envelope_is_refused() -> None:
    """The error names those that there are."""
    with pytest.raises(DefinitionError, match="plain, debezium, cloudevents, connect; got 'xml'"):
        envelope_of(Source("payments", envelope="xml"), NO_REGISTRY)
