"""Millrace's own records, and those that earlier releases wrote."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from millrace import schemas
from millrace.schemas import AvroType, Codec, records, shipped
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.files import current, earlier, versions
from tests.unit.schemas.avro_schemas import by_fastavro

FOLDER = Path(schemas.__file__).parent
VERSIONS = sorted((FOLDER / "versions").glob("*.avsc"))

RELEASED = {
    "alert": ["632b1cafd2b5fab7"],
    "example": ["3c85164e8211c7f9"],
    "feature_vector": ["502104360eaf6a66"],
    "label": ["29983039a8c94f3b"],
    "model_snapshot": ["abe3711efffc9547"],
    "prediction": ["1a6848e165bfab97"],
    "reject": ["e46ea7308dcabbca"],
}
"""Fingerprints of the schemas that releases have written records with: 0.1, so far."""

EXAMPLE_OF_0_1 = bytes.fromhex(
    "c301 3c85164e8211c7f9 046531 00 d804 0201 0201"
    "04 0874726565 0200 04 0a46616c7365 000000000000e83f 0854727565 000000000000d03f 00"
    "086d696e65 00 00 00 02 000000000000f03f 04 0278 04000000000000e03f 026e 020e 00"
)
"""An example as release 0.1 wrote it: with `served`, and the champion's loss 1.0."""


def sample(declared: Any) -> Any:
    """Return a value of a type, other than null where there is a choice."""
    if isinstance(declared, list):
        return sample(next(each for each in declared if each != "null"))
    if isinstance(declared, str):
        return {"string": "text", "long": 7, "int": 7, "double": 0.5, "boolean": True}[declared]
    if declared["type"] == "map":
        return {"name": sample(declared["values"])}
    if declared["type"] == "enum":
        return declared["symbols"][0]
    assert declared["type"] == "record"
    return {each["name"]: sample(each["type"]) for each in declared["fields"]}


def test_an_example_of_release_0_1_is_read_as_today() -> None:
    """Bytes of the first release come out as today's example: `served` is called `predicted`."""
    expected = {
        "event_id": "e1",
        "key": None,
        "event_time_ms": 300,
        "label": True,
        "label_delay_ms": -1,
        "block": None,
        "settled": 0,
        "predicted": {
            "tree": {"value": False, "probabilities": {"False": 0.75, "True": 0.25}},
            "mine": {"value": None, "probabilities": {}},
        },
        "features": {"x": 0.5, "n": 7},
    }
    assert Codec([shipped("example")]).decode(EXAMPLE_OF_0_1) == ("Example", expected)
    assert shipped("example").decode(EXAMPLE_OF_0_1) == expected


@pytest.mark.parametrize("name", RELEASED)
def test_whatever_a_release_wrote_is_read(name: str) -> None:
    """A type whose schema changes keeps those of the releases before, in `versions/`."""
    read = {header.removeprefix(MARKER).hex() for header in shipped(name).decoders}
    assert read >= {*RELEASED[name]}


@pytest.mark.parametrize("file", VERSIONS, ids=lambda file: file.stem)
def test_a_version_is_read_as_today(file: Path) -> None:
    """A record of a version in `versions/` has the fields of today's, and of no other type."""
    schema = json.loads(file.read_text())
    name, number, _ = file.name.split(".")
    assert schema in earlier(name)
    assert number.isdecimal()
    avro = AvroType(schema)
    assert avro.header != shipped(name).header
    record = shipped(name).decode(avro.header + by_fastavro(schema, sample(schema)))
    typed = getattr(records, current(name)["name"])
    assert {*record} == {*typed.__annotations__}


def test_versions_are_those_of_their_own_type() -> None:
    """A type without a version in `versions/` is in its first one."""
    assert [each["name"] for each in earlier("example")] == ["Example"] * 2
    assert earlier("removal") == []
    assert [*shipped("removal").decoders] == [shipped("removal").header]


def test_each_version_is_a_type() -> None:
    """The last is today's."""
    first, today = versions("label")
    assert (first.header[2:].hex(), today) == (RELEASED["label"][0], shipped("label"))


def test_shipped_types_are_compiled_once() -> None:
    """A shipped type is the same object at every call; one that is not shipped is an error."""
    assert shipped("label") is shipped("label")
    assert shipped("label").schema == current("label")
    with pytest.raises(FileNotFoundError):
        shipped("no_such_type")


def test_every_schema_is_in_the_package() -> None:
    """The patterns of the wheel's data files cover each schema, those in `versions/` too."""
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["millrace"]
    packaged = {file for each in patterns for file in FOLDER.parent.glob(each)}
    assert packaged >= {*FOLDER.rglob("*.avsc")}
