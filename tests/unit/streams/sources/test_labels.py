"""Labels in other people's form are read by the paths and the code that a source names."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from typing import Any

import pytest

from millrace.models.pipeline.sources import LabelSource
from millrace.schemas import AvroType, DefinitionError, RecordError, RejectReason
from millrace.streams.operators.record import Origin
from millrace.streams.sources.confluent import RegisteredReader, RegisteredSchema, no_registry
from millrace.streams.sources.errors import SourceError
from millrace.streams.sources.labels import LabelReader
from millrace.streams.sources.opening import Opening
from millrace.streams.sources.parts import Parts

ROW = {
    "payment": {"id": 17, "card.no": "c7"},
    "reason": "fraud",
    "at": "1970-01-01T00:00:01Z",
    "verdict": "bad",
}


def message(value: bytes = b"") -> Origin:
    return Origin("@chargebacks", 0, 0, 0, b"17", value, (("type", b"fraud"),))


def reader_of(source: LabelSource) -> LabelReader:
    reader = RegisteredReader(no_registry)
    return LabelReader(source, Parts(reader, Opening({}, reader)))


def read(row: Any, **source: Any) -> Any:
    """Return what a source reads of a row."""
    given = {"event_id": "payment.id", "label": "verdict", **source}
    value = json.dumps(row).encode()
    return reader_of(LabelSource("chargebacks", **given)).read(value, message(value))


def test_by_paths() -> None:
    """Fields of nested objects, and such with dots in their names."""
    assert read(ROW, time="at", key="payment.card.no") == {
        "event_id": "17",
        "label": "bad",
        "label_time_ms": 1_000,
        "key": "c7",
    }


def test_by_code() -> None:
    """A callable is given the whole object; where it returns None, the record says nothing."""
    label = read(ROW, label=lambda row: row["reason"] is not None)
    assert (label["event_id"], label["label"], label["key"]) == ("17", True, None)
    assert read(ROW, label=lambda _: None) is None


@pytest.mark.parametrize(("verdict", "label"), [("bad", True), ("ok", False), (None, None)])
def test_by_values(verdict: Any, label: Any) -> None:
    """What stands for a label is replaced by it; nothing stands for nothing."""
    found = read({**ROW, "verdict": verdict}, values={"bad": True, "ok": False})
    assert (None if found is None else found["label"]) is label


def test_null_may_be_among_the_values() -> None:
    """Null says something then, and a value that means None says nothing."""
    values = {"bad": True, None: False, "open": None}
    assert read({**ROW, "verdict": None}, values=values)["label"] is False
    assert read({**ROW, "verdict": "open"}, values=values) is None


def test_a_field_that_is_absent_is_not_null() -> None:
    """A record of another kind is no label, whatever null means."""
    row = {"payment": {"id": 17}, "review": {}}
    for label in ("verdict", "review.verdict", "verdict.is"):
        with pytest.raises(RecordError, match=f"must have the field '{label}'") as raised:
            read(row, label=label, values={None: False})
        assert raised.value.reason is RejectReason.MISSING_FIELD
        assert read(row, label=label, values={"bad": True}) is None
    null = {**row, "review": {"verdict": None}}
    assert read(null, label="review.verdict", values={None: False})["label"] is False
    assert read(row, label=lambda _: None, values={None: False})["label"] is False


def test_true_is_not_one() -> None:
    """Nor is false zero, among the values of a source; one is 1.0."""
    for verdict, values in ((True, {1: True}), (False, {0: True}), (1, {True: True})):
        with pytest.raises(RecordError) as raised:
            read({**ROW, "verdict": verdict}, values=values)
        assert raised.value.reason is RejectReason.UNKNOWN_CLASS
    assert read({**ROW, "verdict": True}, values={True: False, "x": True})["label"] is False
    assert read({**ROW, "verdict": 1.0}, values={1: False})["label"] is False
    others = defaultdict(lambda: False, bad=True)
    assert read({**ROW, "verdict": 1}, values=others)["label"] is False


@pytest.mark.parametrize("key", [1.0, {"id": 7}, [7]])
def test_a_key_that_is_no_text_is_rejected(key: Any) -> None:
    """Its label would be sent to another partition than its event."""
    with pytest.raises(RecordError, match="a key must be text, a whole number or a boolean"):
        read({**ROW, "customer": key}, key="customer")


@pytest.mark.parametrize(
    ("row", "source", "reason"),
    [
        ({**ROW, "verdict": "odd"}, {"values": {"bad": True}}, RejectReason.UNKNOWN_CLASS),
        ({**ROW, "verdict": ["bad"]}, {"values": {"bad": True}}, RejectReason.UNKNOWN_CLASS),
        ({**ROW, "verdict": {"a": 1}}, {}, RejectReason.UNKNOWN_LABEL_TYPE),
        ({**ROW, "payment": None}, {}, RejectReason.MISSING_ID),
        ({**ROW, "payment": {"id": 1.5}}, {}, RejectReason.ILL_TYPED_FIELD),
        ({**ROW, "at": "noon"}, {"time": "at"}, RejectReason.TIMESTAMP_OUT_OF_RANGE),
        ({**ROW, "at": 1.5}, {"time": "at"}, RejectReason.ILL_TYPED_FIELD),
        ([ROW], {}, RejectReason.WRONG_SHAPE),
    ],
)
def test_what_is_no_label_is_rejected(row: Any, source: Any, reason: RejectReason) -> None:
    """The reason says what is wrong with it."""
    with pytest.raises(RecordError) as raised:
        read(row, **source)
    assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [(b"", RejectReason.EMPTY), (None, RejectReason.EMPTY), (b"{", RejectReason.MALFORMED)],
)
def test_what_is_no_json_is_rejected(row: bytes | None, reason: RejectReason) -> None:
    """Bytes that cannot be read, and none."""
    with pytest.raises(RecordError) as raised:
        reader_of(LabelSource("a", event_id="id", label="y")).read(row, message())
    assert raised.value.reason is reason


def test_code_that_raises() -> None:
    """Its error is told apart from those of the record."""
    with pytest.raises(SourceError) as raised:
        read(ROW, label=lambda row: row["nothing"])
    assert isinstance(raised.value.raised, KeyError)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"event_id": ""}, "event_id must be"),
        ({"label": ""}, "label must be the name of a field, or a callable"),
        ({"label": 7}, "label must be the name of a field, or a callable"),
        ({"values": [1]}, "values must be a mapping"),
        ({"time": 7}, "time must be"),
        ({"keys": "x"}, "LabelSource.* has no parameter 'keys'"),
    ],
)
def test_a_source_that_is_none_is_refused(source: Any, message: str) -> None:
    """The error names the parameter."""
    with pytest.raises(DefinitionError, match=message):
        LabelSource("chargebacks", **{"event_id": "id", "label": "y", **source})


def test_by_avro() -> None:
    """A label in Confluent's wire format is read by what the registry says."""
    schema = {
        "type": "record",
        "name": "Chargeback",
        "fields": [{"name": "payment", "type": "long"}, {"name": "is_fraud", "type": "boolean"}],
    }
    registry = {7: RegisteredSchema("AVRO", json.dumps(schema))}
    source = LabelSource("chargebacks", event_id="payment", label="is_fraud")
    registered = RegisteredReader(registry.__getitem__)
    reader = LabelReader(source, Parts(registered, Opening({}, registered)))
    body = AvroType(schema).encode({"payment": 17, "is_fraud": True})[10:]
    label = reader.read(struct.pack(">bI", 0, 7) + body, message())
    assert label is not None
    assert (label["event_id"], label["label"]) == ("17", True)
