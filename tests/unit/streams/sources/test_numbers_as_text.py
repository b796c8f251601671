"""Numbers that are text in JSON are read as numbers, by choice, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import DefinitionError, RecordError, RejectReason
from millrace.streams.sources.confluent import no_registry
from millrace.streams.sources.decoder import InputDecoder

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "items", "type": ["null", "long"], "default": None, "aliases": ["count"]},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


def pipeline(**more: Any) -> Pipeline:
    given: dict[str, Any] = {"name": "p", "schema": SCHEMA, "event_id": "id", "task": "binary"}
    return Pipeline(**given, models={"bayes": GaussianNB}, **more)


def decoder(*fields: str) -> InputDecoder:
    return InputDecoder(pipeline(numbers_as_text=fields), no_registry, 10_000)


@pytest.mark.parametrize(
    ("amount", "items", "read"),
    [
        ("12.50", "3", (12.5, 3)),
        (12.5, 3, (12.5, 3)),
        (" -1e3 ", "+7", (-1000.0, 7)),
        ("0012", None, (12.0, None)),
        ("1e999", "0", (float("inf"), 0)),
    ],
)
@pytest.mark.parametrize("name", ["items", "count"])
def test_text_is_a_number(amount: Any, items: Any, read: Any, name: str) -> None:
    """It is what the same text would be without quotes."""
    document = {"id": "p1", "amount": amount, name: items, "note": "7"}
    found = decoder("amount", "items").decode("events", json.dumps(document).encode()).fields
    assert (found["amount"], found["items"], found["note"]) == (*read, "7")


@pytest.mark.parametrize("amount", ["", "abc", "1,5", "1_000", "0x1", "NaN", "1.5.2", "٣", "1 2"])
def test_text_that_is_no_number_is_rejected(amount: str) -> None:
    """The reason names the field."""
    with pytest.raises(RecordError, match="field 'amount' must be a number") as raised:
        decoder("amount").decode("events", json.dumps({"id": "p1", "amount": amount}).encode())
    assert raised.value.reason is RejectReason.ILL_TYPED_FIELD


@pytest.mark.parametrize("time", [1_700_000_000_000, "1700000000000", "2023-11-14T22:13:20Z"])
def test_an_event_time_as_text(time: Any) -> None:
    """Digits are a number there, too, and other text is a time."""
    fields = [*SCHEMA["fields"], {"name": "at", "type": "long"}]
    definition = Pipeline(
        name="p",
        schema={**SCHEMA, "fields": fields},
        event_id="id",
        event_time="at",
        task="binary",
        models={"bayes": GaussianNB},
        numbers_as_text=["at"],
    )
    value = json.dumps({"id": "p1", "amount": 1.5, "at": time}).encode()
    reader = InputDecoder(definition, no_registry, 10_000)
    (row,) = reader.decode_all(["events"], [value])
    assert row is not None
    assert row[-1]["at"] == reader.decode("events", value).fields["at"] == 1_700_000_000_000


def test_a_fraction_is_no_whole_number() -> None:
    """Nothing is cut off."""
    document = json.dumps({"id": "p1", "amount": 1.0, "items": "1.5"}).encode()
    with pytest.raises(RecordError, match="field 'items' must be a whole number"):
        decoder("items").decode("events", document)


def test_other_fields_are_as_strict_as_ever() -> None:
    """Only the fields that are named may be text."""
    with pytest.raises(RecordError):
        decoder("items").decode("events", b'{"id": "p1", "amount": "1.5"}')


def test_many_are_read_as_each_by_itself() -> None:
    """In one loop, text is the same number."""
    documents = [
        {"id": f"p{number}", "amount": text, "items": items}
        for number, (text, items) in enumerate([("1.5", "2"), (2.5, 3), ("x", 1), ("3", None)])
    ]
    values = [json.dumps(each).encode() for each in documents]
    rows = decoder("amount", "items").decode_all(["events"] * len(values), values)
    assert [row and row[-1] and (row[-1]["amount"], row[-1]["items"]) for row in rows] == [
        (1.5, 2),
        (2.5, 3),
        None,
        (3.0, None),
    ]


def test_a_field_that_is_no_number_is_refused() -> None:
    """The error names the field and what it may be."""
    with pytest.raises(DefinitionError, match="field 'note' must be of the Avro types"):
        pipeline(numbers_as_text=["note"])
