"""AsyncAPI's own validator takes what `millrace docs` writes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.streams.docs.asyncapi import asyncapi
from millrace.streams.formats import FORMATS
from millrace.streams.settings import Settings
from tests.unit.streams.docs.definitions import DEFINITIONS, shop

PROGRAM = Path(__file__).parent / "asyncapi" / "validate.mjs"
SECONDS = 120

pytestmark = [pytest.mark.platform, pytest.mark.timeout(600)]
Validate = Callable[..., str]


@pytest.fixture(scope="module")
def validate(node: Callable[[Path], list[str]], tmp_path_factory: Any) -> Validate:
    """Return the problems that documents have, by the name that each is given."""
    program = node(PROGRAM)
    folder = tmp_path_factory.mktemp("documents")

    def validate(documents: dict[str, Any]) -> str:
        files = []
        for name, document in documents.items():
            files.append(folder / f"{name}.json")
            files[-1].write_text(json.dumps(document))
        command = [*program, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return validate


@pytest.mark.parametrize("outputs", [*FORMATS])
def test_documents_are_valid(validate: Validate, outputs: str) -> None:
    """Documents are AsyncAPI, their examples fit their payloads, and their Avro is Avro."""
    settings = Settings(
        outputs=outputs,
        broker="kafka:9092",
        topics={"orders": "prod.orders"},
        schema_registry_url="http://registry:8081",
    )
    assert validate({n: asyncapi(make(), settings) for n, make in DEFINITIONS.items()}) == ""


def test_what_is_wrong_is_found(validate: Validate) -> None:
    """A binding, an example and an Avro schema that are wrong are problems."""
    document = asyncapi(shop(), Settings())
    channels = document["channels"]
    channels["shop.commands"]["bindings"]["kafka"]["partitions"] = "one"
    channels["shop.events"]["messages"]["json"]["examples"][0]["payload"]["items"] = "three"
    channels["shop.predictions"]["messages"]["avro"]["payload"]["schema"] = "nothing"
    found = validate({"wrong": document})
    for said in ("partitions", "shop.events/json", "shop.predictions/avro"):
        assert said in found
