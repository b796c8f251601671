"""Confluent's wire format, with a registry's look-up of ids."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from millrace.schemas import RecordError, RegistryError, RejectReason, shipped
from millrace.schemas.files import earlier
from millrace.streams.formats import Outputs, OutputSchemas
from millrace.streams.sources.confluent import RegisteredSchema

PREDICTION = {
    "event_id": "e1",
    "key": None,
    "event_time_ms": 1,
    "prediction_time_ms": 2,
    "value": True,
    "model": "tree",
    "model_version": 3,
    "staleness_examples": 0,
    "reasons": None,
    "certainty": None,
    "probabilities": {"true": 0.75, "false": 0.25},
    "features": {"a": 0.5, "b": "x"},
    "definition": "d",
}
OWN, EARLIER, JSON = 300, 5, 6


class Registry:
    """Knows the schema of an earlier release, and a JSON Schema."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, schema_id: int) -> RegisteredSchema:
        self.asked.append(schema_id)
        before, _ = earlier("prediction")
        known = {
            EARLIER: RegisteredSchema("AVRO", json.dumps(before)),
            JSON: RegisteredSchema("JSON", "{}"),
        }
        if schema_id not in known:
            raise RegistryError("it does not answer")
        return known[schema_id]


def outputs(registry: Registry) -> Outputs:
    return Outputs("confluent", OutputSchemas({"Prediction": OWN}, registry))


def test_the_header_names_the_schema() -> None:
    """A zero byte, four bytes of id, and the body that any reader of Avro reads."""
    avro = shipped("prediction")
    data = outputs(Registry()).encoder(avro).encode(PREDICTION)
    assert data[:5] == b"\x00\x00\x00\x01\x2c"
    body: Any = io.BytesIO(data[5:])
    assert fastavro.schemaless_reader(body, avro.schema, None) == PREDICTION
    assert not body.read()


def test_own_records_need_no_registry() -> None:
    """A worker reads what it writes while the registry is away."""
    registry = Registry()
    data = outputs(registry).encoder(shipped("prediction")).encode(PREDICTION)
    assert outputs(registry).decode(shipped("prediction"), data) == PREDICTION
    assert not registry.asked


def test_records_of_another_release_are_resolved() -> None:
    """A field that it did not have has its default; its schema is asked for once."""
    registry = Registry()
    before, _ = earlier("prediction")
    body = io.BytesIO()
    fastavro.schemaless_writer(body, before, PREDICTION)
    data = b"\x00" + EARLIER.to_bytes(4) + body.getvalue()
    reader = outputs(registry)
    for _ in range(2):
        assert reader.decode(shipped("prediction"), data) == {**PREDICTION, "definition": ""}
    assert registry.asked == [EARLIER]


def test_json_behind_an_id_is_no_output() -> None:
    """What names a JSON Schema is a record error."""
    with pytest.raises(RecordError, match=f"schema {JSON} is JSON") as caught:
        outputs(Registry()).decode(shipped("prediction"), b"\x00" + JSON.to_bytes(4) + b"{}")
    assert caught.value.reason is RejectReason.INCOMPATIBLE_SCHEMA


def test_a_registry_that_is_away_is_no_fault_of_the_record() -> None:
    """Its error is passed on."""
    with pytest.raises(RegistryError):
        outputs(Registry()).decode(shipped("prediction"), b"\x00" + (9).to_bytes(4) + b"x")
