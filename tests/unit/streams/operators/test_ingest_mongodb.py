"""Documents of MongoDB, as Debezium's connector writes them, become events and labels."""

from __future__ import annotations

import json
import struct
from math import inf
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.features import fields
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import MessageKey
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import AvroType
from millrace.schemas.records import Fields
from millrace.streams.sources.confluent import RegisteredSchema
from tests.unit.streams.operators.test_ingest_parts import fed

OID = "596e275826f08b2730779e1f"
AT_MS = 1_700_000_000_000
BUYER = {
    "type": "record",
    "name": "Buyer",
    "fields": [{"name": "since", "type": ["null", "string"], "default": None}],
}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "_id", "type": ["null", "string", "long"], "default": None},
        {"name": "amount", "type": "double"},
        {"name": "count", "type": ["null", "long"], "default": None},
        {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "buyer", "type": ["null", BUYER], "default": None},
    ],
}
CANONICAL = {
    "_id": {"$oid": OID},
    "amount": {"$numberDecimal": "12.5"},
    "count": {"$numberLong": "3"},
    "paid_at": {"$date": {"$numberLong": str(AT_MS)}},
    "buyer": {"since": {"$date": {"$numberLong": "1000"}}, "other": {"$minKey": 1}},
}
RELAXED = {
    "_id": {"$oid": OID},
    "amount": 12.5,
    "count": 3,
    "paid_at": {"$date": "2023-11-14T22:13:20Z"},
    "buyer": {"since": {"$date": "1970-01-01T00:00:01Z"}},
}
EARLIER = RELAXED | {"paid_at": {"$date": AT_MS}, "buyer": {"since": {"$date": 1_000}}}


def pipeline(**more: Any) -> Pipeline:
    given: dict[str, Any] = {"name": "p", "schema": SCHEMA, "task": "binary"}
    given |= {"event_id": MessageKey("id"), "event_time": "paid_at", "features": [fields("amount")]}
    given |= {"models": {"bayes": GaussianNB}, "events": [Source("orders", envelope="debezium")]}
    return Pipeline(**given | more)


def change(after: Fields | None, op: str = "c") -> bytes:
    source = {"connector": "mongodb", "collection": "orders"}
    row = None if after is None else json.dumps(after)
    return json.dumps({"op": op, "before": None, "after": row, "source": source}).encode()


def key_of(text: str, has_schema: bool = False) -> bytes:
    key: Any = {"id": text}
    return json.dumps(
        {"schema": {"type": "struct"}, "payload": key} if has_schema else key
    ).encode()


@pytest.mark.parametrize("row", [CANONICAL, RELAXED, EARLIER], ids=["canonical", "relaxed", "v1"])
def test_a_document(row: Fields) -> None:
    """Its values are plain ones, dates in what their fields take, in each form."""
    (made,) = fed(pipeline(), change(row), topic="@orders", key=key_of(f'{{"$oid": "{OID}"}}'))
    assert made.type == "Event"
    assert made.value["event_id"] == OID
    assert made.value["event_time_ms"] == AT_MS
    assert made.value["fields"] == {
        "_id": OID,
        "amount": 12.5,
        "count": 3,
        "paid_at": AT_MS * 1_000,
        "buyer": {"since": "1970-01-01T00:00:01.000Z"},
    }


@pytest.mark.parametrize("has_schema", [False, True])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"m1"', "m1"),
        ('"1004"', "1004"),
        ("1004", "1004"),
        (f'{{"$oid": "{OID}"}}', OID),
        ('{"$numberLong": "1004"}', "1004"),
        ('{"$binary": "AQID", "$type": "00"}', "AQID"),
        ("m1", "m1"),
        ('"', '"'),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_the_id_in_a_key(text: str, found: str, has_schema: bool) -> None:
    """It is what others call it, of a document that is new, and of one that is gone."""
    values = [change(RELAXED), change(None, "d"), None]
    made = fed(pipeline(), *values, topic="@orders", key=key_of(text, has_schema))
    assert [each.type for each in made] == ["Event", "Removal", "Removal"]
    assert {each.value["event_id"] for each in made} == {found}


def test_a_key_of_another_source_is_left_as_it_is() -> None:
    """Only Debezium's connector for MongoDB writes text into text, and with one field."""
    definition = pipeline(events=[Source("orders"), Source("rows", envelope="debezium")])
    row = json.dumps(RELAXED | {"_id": "m1", "paid_at": AT_MS * 1_000, "buyer": None}).encode()
    (made,) = fed(definition, row, topic="@orders", key=key_of('"m1"'))
    assert made.value["event_id"] == '"m1"'
    key = json.dumps({"id": '"m1"', "shop": 1}).encode()
    (made,) = fed(definition, change(RELAXED), topic="@rows", key=key)
    assert made.value["event_id"] == '"m1"'


def test_rows_of_other_databases_are_left_as_they_are() -> None:
    """What is no text is no document of MongoDB's."""
    value = json.dumps({"op": "c", "after": CANONICAL}).encode()
    (made,) = fed(pipeline(), value, topic="@orders", key=key_of('"m1"'))
    assert made.value["reason"] == "ill_typed_field"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite(text: str) -> None:
    """It is one, and is rejected as such where the definition does not let it through."""
    value = change(CANONICAL | {"amount": {"$numberDouble": text}})
    (made,) = fed(pipeline(), value, topic="@orders", key=key_of('"m1"'))
    assert made.value["reason"] == "not_finite"


def test_a_number_that_need_not_be_finite() -> None:
    """It is let through where the definition says so."""
    value = change(CANONICAL | {"amount": {"$numberDouble": "Infinity"}})
    definition = pipeline(allow_non_finite=["amount"])
    (made,) = fed(definition, value, topic="@orders", key=key_of('"m1"'))
    assert made.value["fields"]["amount"] == inf


def test_what_is_no_value_of_its_kind_is_rejected() -> None:
    """The reason names the field, and what is there."""
    row = CANONICAL | {"paid_at": {"$date": "soon"}}
    (made,) = fed(pipeline(), change(row), topic="@orders", key=key_of('"m1"'))
    assert made.value["reason"] == "ill_typed_field"
    assert "field 'paid_at' must be long; got {'$date': 'soon'}" in made.value["detail"]


def test_a_document_in_avro() -> None:
    """Its row is text there, too, and so is the id in its key."""
    text = ["null", "string"]
    envelope = {
        "type": "record",
        "name": "Envelope",
        "fields": [{"name": "after", "type": text}, {"name": "op", "type": "string"}],
    }
    id_ = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "string"}]}
    registry = {
        number: RegisteredSchema("AVRO", json.dumps(schema))
        for number, schema in enumerate((envelope, id_))
    }
    value = AvroType(envelope).encode({"op": "c", "after": json.dumps(CANONICAL)})[10:]
    key = AvroType(id_).encode({"id": f'{{"$oid": "{OID}"}}'})[10:]
    (made,) = fed(
        pipeline(),
        struct.pack(">bI", 0, 0) + value,
        topic="@orders",
        key=struct.pack(">bI", 0, 1) + key,
        written_schema=registry.__getitem__,
    )
    assert (made.value["event_id"], made.value["event_time_ms"]) == (OID, AT_MS)


def test_labels() -> None:
    """A document names its event, says what is true of it, and since when."""
    source = LabelSource("reviews", event_id="order", label="fraud", time="at", envelope="debezium")
    row = {"order": {"$oid": OID}, "fraud": True, "at": {"$date": {"$numberLong": str(AT_MS)}}}
    (made,) = fed(pipeline(labels=[source]), change(row), topic="@reviews")
    assert made.type == "Label"
    assert (made.value["event_id"], made.value["label_time_ms"]) == (OID, AT_MS)
