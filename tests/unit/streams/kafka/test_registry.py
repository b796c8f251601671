"""Schemas are looked up by their registry ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from millrace.schemas import BrokerError
from millrace.streams.kafka import registry
from millrace.streams.kafka.registry import written_schema
from millrace.streams.settings import Settings

SETTINGS = Settings(schema_registry_url="http://registry:8081")


class Registry:
    """Knows one schema, or fails with what it is told to."""

    def __init__(self, config: dict[str, str]) -> None:
        self.config = config
        self.asked: list[int] = []
        self.error: Exception | None = None

    def get_schema(self, schema_id: int) -> Any:
        self.asked.append(schema_id)
        if self.error is not None:
            raise self.error
        return type("Schema", (), {"schema_str": json.dumps("string")})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Registry]:
    made: list[Registry] = []

    def make(config: dict[str, str]) -> Registry:
        made.append(Registry(config))
        return made[-1]

    monkeypatch.setattr(registry, "SchemaRegistryClient", make)
    return made


def test_without_a_registry_no_schema_is_known(made: list[Registry]) -> None:
    """And nobody is asked."""
    assert written_schema(Settings())(7) is None
    assert made == []


def test_a_schema_is_asked_for_once(made: list[Registry]) -> None:
    """An id never changes its meaning."""
    look_up = written_schema(SETTINGS)
    assert [look_up(7), look_up(7), look_up(8)] == ["string"] * 3
    (client,) = made
    assert client.asked == [7, 8]
    assert client.config == {"url": "http://registry:8081"}


def test_an_unknown_id_is_remembered_too(made: list[Registry]) -> None:
    """The record that names it is rejected."""
    look_up = written_schema(SETTINGS)
    made[0].error = SchemaRegistryError(404, 40403, "Schema not found")
    assert [look_up(7), look_up(7)] == [None, None]
    assert made[0].asked == [7]


@pytest.mark.parametrize("error", [SchemaRegistryError(503, 50301, "down"), OSError("refused")])
def test_a_registry_that_does_not_answer_is_an_error(
    made: list[Registry], error: Exception
) -> None:
    """The record is not lost: the agent stops, and asks again."""
    look_up = written_schema(SETTINGS)
    made[0].error = error
    with pytest.raises(
        BrokerError, match=r"'http://registry:8081' does not answer: .*registry_url"
    ):
        look_up(7)
    made[0].error = None
    assert look_up(7) == "string"
