"""What ingest needs of an event is found wherever its record has it."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.features import fields, rolling
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import (
    Attribute,
    Header,
    MessageKey,
    PayloadHash,
    TopicPartitionOffset,
)
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import AvroType, DefinitionError, shipped
from millrace.schemas.records import Fields
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import (
    EventRecord,
    LabelRecord,
    Origin,
    RawRecord,
    RejectRecord,
    RemovalRecord,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import RegisteredSchema, no_registry
from millrace.streams.topology.sources import sources_of

NOW_MS = 1_800_000_000_000
CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [{"name": "id", "type": "long"}, {"name": "country", "type": "string"}],
}
PAYMENT = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "is_fraud", "type": ["null", "boolean"], "default": None},
        {"name": "customer", "type": ["null", CUSTOMER], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "order", "type": "long"},
        {"name": "payment", "type": PAYMENT},
        {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
    ],
}
ORDER: Fields = {
    "order": 7,
    "payment": {
        "id": "p1",
        "amount": 12.5,
        "is_fraud": True,
        "customer": {"id": 9, "country": "ch"},
        "at": 1_700_000_000_000_000,
    },
    "tags": {"channel": "web"},
}
NESTED: dict[str, Any] = {
    "event_id": "payment.id",
    "key": "payment.customer.id",
    "event_time": "payment.at",
    "label": "payment.is_fraud",
}


def pipeline(**more: Any) -> Pipeline:
    given: dict[str, Any] = {"name": "p", "schema": SCHEMA, "task": "binary"}
    features = [fields("payment.amount", "payment.customer.country", "tags.channel")]
    given |= {"models": {"bayes": GaussianNB}, "features": features, **NESTED}
    return Pipeline(**given | more)


def fed(
    definition: Pipeline,
    *values: bytes | None,
    topic: str = "events",
    key: bytes | None = b"k1",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    written_schema: Any = no_registry,
    partitions: int | None = 1,
) -> list[Any]:
    """Return what ingest makes of records, which is the same in slices of one and of all."""
    sources = sources_of(definition, {})
    records = [
        RawRecord.of(Origin(topic, 0, offset, NOW_MS, key, value, headers))
        for offset, value in enumerate(values)
    ]
    made = []
    for slices in ([records], [[each] for each in records]):
        ingest = IngestOperator(definition, partitions, written_schema, 10**6, sources)
        made.append([each for some in slices for each in ingest.fold(Slice(some))])
    assert made[0] == made[1]
    return made[0]


def as_json(*documents: Any) -> list[bytes]:
    return [json.dumps(each).encode() for each in documents]


def changed(path: str, value: Any) -> Fields:
    """Return the order with another value at a path."""
    document: Fields = json.loads(json.dumps(ORDER))
    *inner, last = path.split(".")
    place: Any = document
    for name in inner:
        place = place[name]
    place[last] = value
    return document


@pytest.mark.parametrize("form", ["json", "avro", "confluent"])
def test_paths(form: str) -> None:
    """The id, the key, the time and the label are in nested records, in every form."""
    body = AvroType(SCHEMA).encode(ORDER)
    value = {
        "json": as_json(ORDER)[0],
        "avro": body,
        "confluent": struct.pack(">bI", 0, 7) + body[10:],
    }[form]
    registry = {7: RegisteredSchema("AVRO", json.dumps(SCHEMA))}
    (made,) = fed(pipeline(), value, written_schema=registry.__getitem__)
    assert isinstance(made, EventRecord)
    found = made.value
    assert (found["event_id"], found["key"], found["label"]) == ("p1", "9", True)
    assert found["event_time_ms"] == 1_700_000_000_000
    assert "is_fraud" not in found["fields"]["payment"]
    clean = pipeline().event_schema.clean
    assert clean.decode(clean.encode(found)) == found


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("payment.id", "", "missing_id"),
        ("payment.id", 7, "ill_typed_field"),
        ("payment.amount", float("nan"), "not_finite"),
        ("payment.is_fraud", "yes", "unknown_label_type"),
        ("payment.at", 1, "timestamp_out_of_range"),
        ("payment", {}, "missing_field"),
    ],
)
def test_what_is_wrong_in_a_nested_record_is_rejected(path: str, value: Any, reason: str) -> None:
    """The reason is that of a field at the top."""
    (made,) = fed(pipeline(), *as_json(changed(path, value)))
    assert isinstance(made, RejectRecord)
    assert made.value["reason"] == reason


def test_a_record_that_is_not_there_has_no_fields() -> None:
    """Its key and its features are missing."""
    (made,) = fed(pipeline(), *as_json(changed("payment.customer", None)))
    assert isinstance(made, EventRecord)
    assert made.value["key"] is None
    (feature,) = pipeline().features
    assert feature.bind(lambda _: {})(made.value) == {"payment.amount": 12.5, "tags.channel": "web"}


def test_numbers_as_text_by_path() -> None:
    """A number of a nested record may be text, too, and so may its time."""
    order = changed("payment.amount", "12.5")
    order["payment"]["at"] = "2023-11-14T22:13:20Z"
    (made,) = fed(pipeline(numbers_as_text=["payment.amount"]), *as_json(order))
    assert isinstance(made, EventRecord)
    assert made.value["fields"]["payment"]["amount"] == 12.5
    assert made.value["event_time_ms"] == 1_700_000_000_000


FLAT: dict[str, Any] = {
    "type": "record",
    "name": "Line",
    "fields": [
        {"name": "order", "type": "long"},
        {"name": "line", "type": "int"},
        {"name": "size", "type": "double"},
    ],
}
LINE = {"order": 7, "line": 2, "size": 1.5}


@pytest.mark.parametrize(
    ("event_id", "found"),
    [
        (("order", "line"), "7:2"),
        (("order", Header("path")), r"7:a\:b\\c"),
        (["order", Header("source")], "7:web"),
        (MessageKey(), "k1"),
        (Header("source"), "web"),
        (TopicPartitionOffset(), "events-0-0"),
        (PayloadHash(), "f93d768726d2a507e51a4f71f1be3572"),
    ],
)
def test_kinds_of_ids(event_id: Any, found: str) -> None:
    """An id is made of several fields, or is elsewhere in the record."""
    definition = pipeline(
        schema=FLAT, event_id=event_id, key=None, event_time=None, label=None, features=()
    )
    headers = (("source", b"app"), ("source", b"web"), ("path", b"a:b\\c"))
    (made,) = fed(definition, *as_json(LINE), headers=headers)
    assert isinstance(made, EventRecord)
    assert made.value["event_id"] == found
    assert made.value["fields"] == LINE


@pytest.mark.parametrize(
    ("event_id", "named"),
    [
        (MessageKey(), "the message key must be an id; got None"),
        (MessageKey("id"), "the field 'id' of the message key must be an id; got None"),
        (Header("other"), "the header 'other' must be an id; got None"),
        (Attribute("subject"), "the attribute 'subject' of the envelope must be an id; got None"),
    ],
)
def test_a_reject_names_the_part_in_words(event_id: Any, named: str) -> None:
    """As the documentation does, and not as Python would."""
    definition = pipeline(
        schema=FLAT, event_id=event_id, key=None, event_time=None, label=None, features=()
    )
    (made,) = fed(definition, *as_json(LINE), key=None)
    assert made.value["detail"] == named


def test_a_reject_names_the_value_of_a_map() -> None:
    """By its key; so does one of a record in a map."""
    (made,) = fed(pipeline(), *as_json(changed("tags", {"channel": "web", "size": 1})))
    assert made.value["reason"] == "ill_typed_field"
    assert made.value["detail"] == "field 'tags.size' must be string; got 1"


@pytest.mark.parametrize("numbers_as_text", [[], ["size"]])
def test_a_decimal_in_base64(numbers_as_text: list[str]) -> None:
    """The reject says how else to write it, where the record's own schema says what it is."""
    definition = pipeline(
        schema=FLAT,
        event_id=("order", "line"),
        key=None,
        event_time=None,
        label=None,
        features=(),
        numbers_as_text=numbers_as_text,
        events=[Source("lines", envelope="connect"), Source("rows", envelope="debezium")],
    )
    decimal = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "field": "size"}
    schema = {"type": "struct", "field": "after", "fields": [decimal]}
    row = LINE | {"size": "BOI="}
    records = {
        "@lines": {"schema": schema, "payload": row},
        "@rows": {
            "schema": {"type": "struct", "fields": [schema]},
            "payload": {"op": "c", "after": row},
        },
    }
    for topic, record in records.items():
        (made,) = fed(definition, *as_json(record), topic=topic)
        assert made.value["reason"] == "ill_typed_field"
        assert "got 'BOI='. It is a decimal in base64" in made.value["detail"]
        assert "decimal.handling.mode" in made.value["detail"]
        (made,) = fed(definition, *as_json({**record, "schema": None}), topic=topic)
        assert "decimal" not in made.value["detail"]


@pytest.mark.parametrize(
    ("event_id", "key", "reason"),
    [
        (MessageKey(), None, "missing_id"),
        (MessageKey(), b"\xff", "ill_typed_field"),
        (MessageKey(), (7).to_bytes(8), "ill_typed_field"),
        (MessageKey(), b"\0\0\0\0\x07\x04p1", "ill_typed_field"),
        (MessageKey("id"), b"k1", "missing_id"),
        (MessageKey("id"), b'{"id": 1.5}', "ill_typed_field"),
        (Header("other"), b"k1", "missing_id"),
        (Attribute("id"), b"k1", "missing_id"),
        (("order", Header("other")), b"k1", "missing_id"),
    ],
)
def test_an_id_that_is_not_there(event_id: Any, key: bytes | None, reason: str) -> None:
    """The event is rejected, and the reason names the part."""
    definition = pipeline(
        schema=FLAT, event_id=event_id, key=None, event_time=None, label=None, features=()
    )
    (made,) = fed(definition, *as_json(LINE), key=key)
    assert isinstance(made, RejectRecord)
    assert made.value["reason"] == reason


@pytest.mark.parametrize(
    "key", [b'{"id": 17}', b'{"schema": {"type": "struct"}, "payload": {"id": 17}}']
)
def test_a_field_of_the_key(key: bytes) -> None:
    """A key may be an object, with its schema or without, and names a row that is gone."""
    definition = pipeline(
        schema=FLAT,
        event_id=MessageKey("id"),
        key=None,
        event_time=None,
        label=None,
        features=(),
        events=[Source("lines", envelope="debezium"), Source("more")],
    )
    change = {"op": "c", "before": None, "after": LINE}
    values = [*as_json(change), None]
    made = fed(definition, *values, topic="@lines", key=key)
    assert [type(each) for each in made] == [EventRecord, RemovalRecord]
    assert {each.value["event_id"] for each in made} == {"17"}
    made = fed(definition, *as_json(LINE), None, topic="@more", key=key)
    assert [type(each) for each in made] == [EventRecord, RemovalRecord]


@pytest.mark.parametrize(("partitions", "told"), [(3, [0, 1, 2]), (None, [None])])
def test_a_tombstone_is_told_to_each_partition(partitions: Any, told: list[int | None]) -> None:
    """Where models are kept by a key that the record does not have, its event may be anywhere."""
    definition = pipeline(event_id=MessageKey(), scope="partition", events=[Source("payments")])
    made = fed(definition, None, topic="@payments", partitions=partitions)
    assert [(each.value["event_id"], each.partition) for each in made] == [
        ("k1", each) for each in told
    ]


def test_attributes_of_cloud_events() -> None:
    """The id, the key and the time of a CloudEvent are those of its envelope, in both modes."""
    definition = pipeline(
        schema=FLAT,
        event_id=Attribute("id"),
        key=Attribute("subject"),
        event_time=Attribute("time"),
        label=None,
        features=(),
        events=[Source("lines", envelope="cloudevents")],
    )
    attributes = {"specversion": "1.0", "id": "c1", "source": "/s", "type": "t"}
    attributes |= {"subject": "me", "time": "2023-11-14T22:13:20Z"}
    structured = as_json({**attributes, "data": LINE})
    headers = tuple((f"ce_{name}", value.encode()) for name, value in attributes.items())
    both = [
        *fed(definition, *structured, topic="@lines"),
        *fed(definition, *as_json(LINE), topic="@lines", headers=headers),
    ]
    for made in both:
        assert isinstance(made, EventRecord)
        found = made.value
        assert (found["event_id"], found["key"]) == ("c1", "me")
        assert found["event_time_ms"] == 1_700_000_000_000


def test_the_time_of_a_header() -> None:
    """Digits are milliseconds."""
    definition = pipeline(event_time=Header("at"))
    (made,) = fed(definition, *as_json(ORDER), headers=(("at", b"1700000000001"),))
    assert isinstance(made, EventRecord)
    assert made.value["event_time_ms"] == 1_700_000_000_001


@pytest.mark.parametrize("at", [{}, [1], "soon"])
def test_what_is_no_time_is_rejected(at: Any) -> None:
    """With a reason, whatever an envelope has there."""
    source = Source("orders", envelope="debezium")
    definition = pipeline(event_time=Attribute("ts_ms"), events=[source])
    (made,) = fed(definition, *as_json({"op": "c", "after": ORDER, "ts_ms": at}), topic="@orders")
    assert isinstance(made, RejectRecord)
    assert made.value["reason"] in {"ill_typed_field", "timestamp_out_of_range"}


@pytest.mark.parametrize("key", [1.0, {"id": 7}])
def test_a_key_that_is_no_text_is_rejected(key: Any) -> None:
    """No label would find the event."""
    source = Source("orders", envelope="debezium")
    definition = pipeline(key=Attribute("source.id"), events=[source])
    change = {"op": "c", "after": ORDER, "source": {"id": key}}
    (made,) = fed(definition, *as_json(change), topic="@orders")
    assert isinstance(made, RejectRecord)
    assert made.value["reason"] == "ill_typed_field"


@pytest.mark.parametrize(("on_update", "made"), [("ignore", []), ("event", [RejectRecord])])
def test_an_update_without_its_row(on_update: str, made: list[type]) -> None:
    """It is passed over where updates are, as MongoDB's are by default; else it is rejected."""
    source = Source("orders", envelope="debezium", on_update=on_update)
    value = as_json({"op": "u", "before": None, "after": None})
    found = fed(pipeline(events=[source]), *value, topic="@orders")
    assert [type(each) for each in found] == made


TABLE = Source("orders", envelope="debezium")
VERDICT = LabelSource(
    "orders",
    event_id="payment.id",
    key="payment.customer.id",
    label="payment.is_fraud",
    envelope="debezium",
)
OPEN = changed("payment.is_fraud", None)


def row_change(op: str, row: Any) -> Fields:
    before, after = (row, None) if op == "d" else (None, row)
    return {"op": op, "before": before, "after": after}


def said(made: list[Any]) -> list[tuple[str, Any]]:
    """Return what records are, and what they say: a reason, or a label."""
    return [(each.type, each.value.get("reason", each.value.get("label"))) for each in made]


@pytest.mark.parametrize("label", ["payment.is_fraud", None])
@pytest.mark.parametrize(
    ("op", "row", "found"),
    [
        ("c", OPEN, [("Event", None)]),
        ("r", OPEN, [("Event", None)]),
        ("c", ORDER, [("Event", None), ("Label", True)]),
        ("r", ORDER, [("Event", None), ("Label", True)]),
        ("u", OPEN, []),
        ("u", ORDER, [("Label", True)]),
        ("d", ORDER, [("Removal", None)]),
        ("d", {"payment": {"id": None}}, [("Reject", "missing_id")]),
        ("t", None, []),
        ("x", ORDER, [("Reject", "wrong_shape")]),
        ("c", changed("payment.amount", "much"), [("Reject", "ill_typed_field")]),
        ("c", changed("payment.is_fraud", "so"), [("Event", None), ("Reject", "unknown_class")]),
        ("u", changed("payment.is_fraud", "so"), [("Reject", "unknown_class")]),
        ("u", None, [("Reject", "wrong_shape")]),
    ],
)
def test_a_row_is_an_event_and_a_label(op: str, row: Any, found: Any, label: str | None) -> None:
    """A row with its label is both, in this order; what is wrong with a record is said once.

    Where events have their labels, such a row is an event with a label.
    """
    schema = json.loads(json.dumps(SCHEMA))
    if label is None:
        schema["fields"][1]["type"]["fields"].pop(2)
    source = replace(VERDICT, values={True: True, False: False})
    definition = pipeline(label=label, schema=schema, events=[TABLE], labels=[source])
    if label is not None and len(found) > 1:
        as_event = found[1][0] == "Label"
        found = [("Event", True)] if as_event else [("Reject", "unknown_label_type")]
    made = fed(definition, *as_json(row_change(op, row)), topic="@orders", key=None)
    assert said(made) == found
    assert {each.value["event_id"] for each in made if each.type != "Reject"} <= {"p1"}
    assert {each.value["key"] for each in made if each.type in ("Event", "Label")} <= {"9"}
    assert {each.value["source"] for each in made if each.type == "Label"} <= {"@orders"}


def test_what_is_passed_over_is_counted_once() -> None:
    """A record counts as passed over where it is neither an event nor a label."""
    definition = pipeline(events=[TABLE], labels=[VERDICT])
    ingest = IngestOperator(definition, 1, no_registry, 10**6, sources_of(definition, {}))
    changes = [("c", OPEN), ("c", ORDER), ("u", OPEN), ("u", ORDER), ("d", ORDER), ("t", None)]
    values = [*as_json(*(row_change(*each) for each in changes)), None]
    origins = [Origin("@orders", 0, n, NOW_MS, None, each) for n, each in enumerate(values)]
    made = ingest.run(Slice([RawRecord.of(each) for each in origins]))
    assert [each.type for each in made] == ["Event", "Event", "Label", "Removal"]
    assert {key: count for key, count in ingest.tally.items() if key[0] == "passed_over"} == {
        ("passed_over", "nothing"): 2,
        ("passed_over", "gone"): 2,
    }
    assert ingest.tally["received", "event"] == 2
    assert ingest.tally["received", "label"] == 2


def test_an_event_without_the_field_of_its_label_is_no_label() -> None:
    """Null may mean something there; that the field is absent does not."""
    source = replace(VERDICT, envelope="plain", label="verdict", values={None: False, "bad": True})
    definition = pipeline(events=[Source("orders")], labels=[source])
    for more, label in (({}, []), ({"verdict": None}, [("Label", False)])):
        made = fed(definition, *as_json(OPEN | more), topic="@orders")
        assert said(made) == [("Event", None), *label]


def test_an_update_may_be_an_event_and_a_label() -> None:
    """With `on_update`, and an id of its own."""
    source = replace(TABLE, on_update="event")
    definition = pipeline(
        schema=FLAT,
        event_id=("order", Attribute("ts_ms")),
        key=None,
        event_time=None,
        label=None,
        features=(),
        events=[source],
        labels=[replace(VERDICT, event_id=("order", Attribute("ts_ms")), key=None, label="ok")],
    )
    change = row_change("u", LINE | {"ok": True}) | {"ts_ms": 5}
    made = fed(definition, *as_json(change), topic="@orders")
    assert [(each.type, each.value["event_id"]) for each in made] == [
        ("Event", "7:5"),
        ("Label", "7:5"),
    ]


def test_two_types_of_events_on_one_topic() -> None:
    """Code that decodes says which records are events, and which are labels."""

    def of_type(wanted: bytes) -> Any:
        def decode(value: bytes, headers: dict[str, bytes | None]) -> Any:
            return json.loads(value) if headers["ce_type"] == wanted else None

        return decode

    definition = pipeline(
        events=[Source("orders", decode=of_type(b"paid"))],
        labels=[replace(VERDICT, envelope="plain", decode=of_type(b"judged"))],
    )
    for kind, found in ((b"paid", [EventRecord]), (b"judged", [LabelRecord]), (b"other", [])):
        row = ORDER if kind == b"judged" else OPEN
        made = fed(definition, *as_json(row), topic="@orders", headers=(("ce_type", kind),))
        assert [type(each) for each in made] == found


@pytest.mark.parametrize("key", [None, b"no json", b'{"id": 7}', b'{"payment": {"id": ""}}'])
@pytest.mark.parametrize("before", [None, "text", {}, {"payment": None}, {"payment": {"id": None}}])
def test_a_row_that_is_gone_and_not_named(before: Any, key: bytes | None) -> None:
    """Somebody has to know that its event stays; the tombstone after it says nothing more."""
    definition = pipeline(events=[TABLE])
    value = as_json(row_change("d", before))
    made = fed(definition, *value, None, topic="@orders", key=key)
    assert said(made) == [("Reject", "missing_id")]
    assert made[0].value["value"] == value[0]
    assert "neither the row as it was (before) nor the key" in made[0].value["detail"]


@pytest.mark.parametrize("before", [None, "text", {}, {"payment": {"id": None}}])
def test_a_row_that_is_gone_is_named_by_its_key(before: Any) -> None:
    """Where the row as it was does not say its id."""
    key = b'{"payment": {"id": "p1"}}'
    made = fed(
        pipeline(events=[TABLE]), *as_json(row_change("d", before)), topic="@orders", key=key
    )
    assert [(each.type, each.value["event_id"]) for each in made] == [("Removal", "p1")]


@pytest.mark.parametrize("envelope", ["plain", "debezium", "cloudevents", "connect"])
@pytest.mark.parametrize("ignore_tombstones", [False, True])
def test_a_value_without_bytes_is_no_tombstone(envelope: str, ignore_tombstones: bool) -> None:
    """It is rejected in every envelope, of events and of labels."""
    definition = pipeline(
        events=[replace(TABLE, envelope=envelope)],
        labels=[replace(VERDICT, topic="verdicts", envelope=envelope)],
        ignore_tombstones=ignore_tombstones,
    )
    for topic in ("@orders", "@verdicts"):
        made = fed(definition, b"", topic=topic, key=b'{"payment": {"id": "p1"}}')
        assert said(made) == [("Reject", "empty")]


def test_no_bytes_may_be_a_record_of_other_forms() -> None:
    """An empty message of Protobuf's is one with defaults, and may have no field at all."""
    schema = {
        "type": "record",
        "name": "Beat",
        "fields": [{"name": "n", "type": "int", "default": 3}],
    }
    definition = pipeline(
        schema=schema,
        event_id=MessageKey(),
        key=None,
        event_time=None,
        label=None,
        features=(),
        events=[Source("beats", decode=lambda value, _: {"n": len(value)} if value else {})],
        labels=[
            LabelSource(
                "verdicts", event_id=MessageKey(), label=lambda _: True, decode=lambda *_: {}
            )
        ],
    )
    (event,) = fed(definition, b"", topic="@beats")
    assert event.value["fields"] == {"n": 3}
    (label,) = fed(definition, b"", topic="@verdicts")
    assert (label.value["event_id"], label.value["label"]) == ("k1", True)


@pytest.mark.parametrize(
    "source",
    [Source("orders", envelope="cloudevents"), Source("orders", decode=lambda *_: ORDER)],
    ids=["cloudevents", "decode"],
)
def test_tombstones_are_ignored_where_they_say_nothing(source: Source) -> None:
    """In whatever form the records of a source are."""
    assert fed(pipeline(events=[source], ignore_tombstones=True), None, topic="@orders") == []


def test_labels_by_parts() -> None:
    """A label names its event by several fields, and its key and time by headers."""
    source = LabelSource(
        "verdicts", event_id=("a.b", "c"), label="y", key=Header("key"), time=Header("at")
    )
    headers = (("key", b"me"), ("at", b"1700000000005"))
    definition = pipeline(labels=[source])
    value = as_json({"a": {"b": 1}, "c": "x", "y": True})
    (made,) = fed(definition, *value, topic="@verdicts", headers=headers)
    assert isinstance(made, LabelRecord)
    assert made.value == {
        "event_id": "1:x",
        "label": True,
        "label_time_ms": 1_700_000_000_005,
        "key": "me",
        "source": "@verdicts",
    }


@pytest.mark.parametrize("form", ["labels", "avro", "source"])
@pytest.mark.parametrize(
    ("time", "hint"),
    [
        (NOW_MS // 1_000, "looks like seconds, but the time of a label is in milliseconds"),
        (NOW_MS * 1_000, "looks like microseconds"),
        (NOW_MS + 86_400_001, "milliseconds (earliest, max_ahead)"),
        (-1, "milliseconds (earliest, max_ahead)"),
    ],
)
def test_the_time_of_a_label_that_cannot_be(form: str, time: int, hint: str) -> None:
    """It is rejected as that of an event is, with a hint at the unit."""
    made = labels_at(form, time)
    assert [each.value["reason"] for each in made] == ["timestamp_out_of_range"]
    assert hint in made[0].value["detail"]


@pytest.mark.parametrize("form", ["labels", "avro", "source"])
@pytest.mark.parametrize("time", [None, NOW_MS, NOW_MS + 86_400_000, 31_536_000_000])
def test_the_time_of_a_label_that_can_be(form: str, time: int | None) -> None:
    """It need not be given."""
    (made,) = labels_at(form, time)
    assert isinstance(made, LabelRecord)
    assert made.value["label_time_ms"] == time


def labels_at(form: str, time: int | None) -> list[Any]:
    definition = pipeline(
        key=None, labels=[LabelSource("verdicts", event_id="event_id", label="label", time="at")]
    )
    label = {"event_id": "p1", "label": True, "label_time_ms": time, "key": None, "source": None}
    (as_text,) = as_json(label | {"at": time})
    value = shipped("label").encode(label) if form == "avro" else as_text
    return fed(definition, value, topic="@verdicts" if form == "source" else "labels")


def test_features_by_paths() -> None:
    """A rolling aggregate reads a nested field, and groups by one."""
    from datetime import timedelta

    feature = rolling(
        "payment.amount", "sum", window=timedelta(hours=1), by="payment.customer.country"
    )
    definition = pipeline(features=[feature])
    records = fed(definition, *as_json(ORDER, changed("payment.id", "p2")))
    extract = feature.bind(lambda _: {})
    assert [extract(each.value) for each in records] == [
        {"payment.amount_sum_1h": 12.5},
        {"payment.amount_sum_1h": 25.0},
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"event_id": "payment.ix"}, r"event_id must be a field.*Did you mean 'payment.id'"),
        ({"event_id": ()}, "event_id must be one field or more"),
        ({"event_id": ("order", 7)}, "event_id must be a field"),
        ({"event_id": "payment"}, "event_id 'payment' must be of the Avro types"),
        ({"key": PayloadHash()}, "key must be a field"),
        ({"label": Header("y")}, "label must be a field of the schema, or None"),
        ({"label": "tags.fraud"}, "label must be in a record"),
        ({"features": [fields("payment.is_fraud")]}, "must not be the label"),
        ({"features": [fields("payment.customer")]}, "must be a field of numbers"),
        ({"features": [fields("payment.nothing")]}, "must be a field of the schema"),
    ],
)
def test_a_part_that_is_none_is_refused(given: Any, message: str) -> None:
    """The error names the parameter."""
    with pytest.raises(DefinitionError, match=message):
        pipeline(**given)


def test_a_label_in_a_type_that_is_used_twice_is_refused() -> None:
    """The label could not be taken out in one place alone."""
    twice = SCHEMA | {"fields": [*SCHEMA["fields"], {"name": "earlier", "type": "Payment"}]}
    with pytest.raises(
        DefinitionError, match="must be in a record that the schema has in one place"
    ):
        pipeline(schema=twice)
