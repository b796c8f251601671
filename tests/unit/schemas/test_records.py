"""What Python's types say of a record is what its Avro schema says."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from millrace import schemas
from millrace.schemas import records
from millrace.schemas.records import Fate, RejectReason

FOLDER = Path(schemas.__file__).parent
FILES = sorted(FOLDER.glob("*.avsc"))
PRIMITIVES: dict[str, Any] = {
    "null": types.NoneType,
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "bytes": bytes,
    # The envelope of `clean` takes whatever record the user's schema describes.
    "millrace.Fields": dict[str, Any],
}


def python_type(declared: Any) -> Any:
    """Return the Python type of what fastavro decodes `declared` to."""
    if isinstance(declared, list):
        return typing.Union[tuple(map(python_type, declared))]  # noqa: UP007 - from a list
    if isinstance(declared, str):
        return PRIMITIVES[declared]
    if declared["type"] == "map":
        return dict[str, python_type(declared["values"])]  # type: ignore[misc]
    if declared["type"] == "array":
        return list[python_type(declared["items"])]  # type: ignore[misc]
    if declared["type"] == "enum":
        return str
    assert declared["type"] == "record"
    check(declared)
    return getattr(records, declared["name"])


def check(schema: dict[str, Any]) -> None:
    """Compare one record schema to its TypedDict, records within it too."""
    declared = {each["name"]: python_type(each["type"]) for each in schema["fields"]}
    hints = typing.get_type_hints(getattr(records, schema["name"]))
    assert {*declared} == {*hints}
    for name, hint in hints.items():
        assert declared[name] == hint, f"{schema['name']}.{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_typed_dict_agrees_with_schema(path: Path) -> None:
    """Fields and their types agree, and the file is named after its record."""
    schema = json.loads(path.read_text())
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in schema["name"]).lstrip("_")
    assert snake == path.stem
    assert schema["namespace"] == "millrace"
    check(schema)


def records_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema's records, itself and those within it."""
    if isinstance(schema, dict) and schema["type"] == "record":
        yield schema
        for field in schema["fields"]:
            yield from records_in(field["type"])
    elif isinstance(schema, dict):
        yield from records_in(schema.get("values", schema.get("items", schema["type"])))
    elif isinstance(schema, list):
        for each in schema:
            yield from records_in(each)


SPEAK_FOR_THEMSELVES = {"event_id", "partition", "offset", "name"}
DESCRIBED = [each for path in FILES for each in records_in(json.loads(path.read_text()))]


@pytest.mark.parametrize("schema", DESCRIBED, ids=lambda schema: schema["name"])
def test_every_record_is_described(schema: dict[str, Any]) -> None:
    """A record's schema says what it is, in the words of its class, and what its fields are."""
    doc = getattr(records, schema["name"]).__doc__
    assert " ".join(doc.split()) == schema["doc"]
    undescribed = {each["name"] for each in schema["fields"] if not each.get("doc")}
    assert undescribed <= SPEAK_FOR_THEMSELVES


def test_every_typed_dict_has_a_schema() -> None:
    """No record exists in Python only."""
    described = {each["name"] for each in DESCRIBED}
    defined = {n for n, each in vars(records).items() if typing.is_typeddict(each)}
    assert defined == described != set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_times_name_their_unit(path: Path) -> None:
    """A time or a delay is in milliseconds and says so in its name."""
    for field in json.loads(path.read_text())["fields"]:
        if {"time", "timestamp", "delay"} & set(field["name"].split("_")):
            assert field["name"].endswith("_ms")


def test_every_exported_name_exists() -> None:
    """What the package exports is there, sorted, and each name once."""
    assert [*schemas.__all__] == sorted(set(schemas.__all__))
    for name in schemas.__all__:
        assert hasattr(schemas, name)


FATES = """
    joined early corrected overruled duplicate late_correction late orphan unknown_class removed
    expired evicted
"""
REASONS = """
    empty malformed unknown_schema incompatible_schema wrong_shape missing_field
    ill_typed_field not_finite missing_id missing_key timestamp_out_of_range
    unknown_label_type unknown_class oversized oversized_output wrong_type wrong_partition
    duplicate_event duplicate_label late_correction late_label orphan_label
    skipped source_error feature_error feature_out_of_range predict_error invalid_prediction
    learn_error evaluate_error internal_error
"""


@pytest.mark.parametrize(("kind", "values"), [(Fate, FATES), (RejectReason, REASONS)])
def test_values_are_what_they_are_called(kind: type[StrEnum], values: str) -> None:
    """A fate or a reason is its own name in lower case: a field's value and a metric's label."""
    assert [f"{each}" for each in kind] == values.split()
    assert [each.value for each in kind] == [each.name.lower() for each in kind]


def test_a_label_that_no_model_learns_from_has_a_fate_of_the_same_name() -> None:
    """A reject's reason names the fate of its label."""
    assert RejectReason.LATE_CORRECTION == Fate.LATE_CORRECTION
    for fate in (Fate.DUPLICATE, Fate.LATE, Fate.ORPHAN):
        assert RejectReason(f"{fate}_label")
