"""Schemas are looked up by id and kept; what is missing is asked for again, in bounded time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from millrace.schemas import RecordError, RegistryError, RejectReason
from millrace.streams.kafka.registry import ASK_AGAIN_SECONDS, SchemaLookup, written_schema
from millrace.streams.kafka.registry_client import NotFoundError
from millrace.streams.settings import Settings
from millrace.streams.sources.confluent import RegisteredSchema

FOUND = RegisteredSchema("AVRO", "{}")


class FakeRegistry:
    """Has the schemas in `known`, counts questions, and lets time pass in pauses only."""

    def __init__(self, *known: int) -> None:
        self.known = {*known}
        self.asked: list[int] = []
        self.now = 0.0
        self.fault: Exception | None = None
        self.appears_after: float | None = None

    def registered(self, schema_id: int) -> RegisteredSchema:
        self.asked.append(schema_id)
        if self.fault is not None:
            raise self.fault
        is_late = self.appears_after is not None and self.now >= self.appears_after
        if schema_id in self.known or is_late:
            return FOUND
        raise NotFoundError

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def look_up_in(registry: FakeRegistry) -> SchemaLookup:
    return SchemaLookup(registry, clock=lambda: registry.now, sleep=registry.sleep)


def unknown(look_up: SchemaLookup, schema_id: int) -> str:
    """Return why an id is rejected."""
    with pytest.raises(RecordError) as caught:
        look_up(schema_id)
    assert caught.value.reason is RejectReason.UNKNOWN_SCHEMA
    return caught.value.detail


def test_a_schema_is_looked_up_once() -> None:
    """An id always means the same schema."""
    registry = FakeRegistry(1)
    look_up = look_up_in(registry)
    assert [look_up(1), look_up(1)] == [FOUND, FOUND]
    assert registry.asked == [1]


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1.4])
def test_a_schema_that_comes_late_is_waited_for(seconds: float) -> None:
    """A registry that is a second late rejects nothing."""
    registry = FakeRegistry()
    registry.appears_after = seconds
    assert look_up_in(registry)(7) is FOUND
    assert registry.now < 2


def test_an_unknown_schema_is_waited_for_a_bounded_time() -> None:
    """After the pauses the record is rejected, and the id and the setting are named."""
    registry = FakeRegistry()
    detail = unknown(look_up_in(registry), 7)
    assert "no schema with the id 7" in detail
    assert "SCHEMA_REGISTRY_URL" in detail
    assert len(registry.asked) == 1 + len(ASK_AGAIN_SECONDS)
    assert registry.now == pytest.approx(1.5)


def test_an_unknown_schema_is_not_remembered_for_ever() -> None:
    """Within its back-off an id is rejected unasked; then it is asked for, and found."""
    registry = FakeRegistry()
    look_up = look_up_in(registry)
    unknown(look_up, 7)
    asked = len(registry.asked)
    registry.known.add(7)
    unknown(look_up, 7)
    assert len(registry.asked) == asked
    registry.now += 1
    assert look_up(7) is FOUND
    assert len(registry.asked) == asked + 1


def test_the_back_off_doubles_and_is_bounded() -> None:
    """An id that stays unknown is asked for once a minute in the end, without pauses."""
    registry = FakeRegistry()
    look_up = look_up_in(registry)
    unknown(look_up, 7)
    moments = []
    for _ in range(400):
        before = len(registry.asked)
        unknown(look_up, 7)
        if len(registry.asked) > before:
            assert len(registry.asked) == before + 1
            moments.append(registry.now)
        registry.now += 1
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:6] == [2, 4, 8, 16, 32, 60]
    assert {*gaps[6:]} == {60}


def test_many_unknown_ids_do_not_stop_the_fold() -> None:
    """Garbage that begins with a zero byte names many ids: only a few of them are waited for."""
    registry = FakeRegistry()
    look_up = look_up_in(registry)
    for schema_id in range(2_000):
        unknown(look_up, schema_id)
    assert registry.now == pytest.approx(3 * 1.5)
    registry.now += 20
    registry.appears_after = registry.now + 1
    assert look_up(5_000) is FOUND


def test_what_is_missing_is_remembered_in_bounded_memory() -> None:
    """Of very many unknown ids the oldest are forgotten."""
    registry = FakeRegistry()
    look_up = look_up_in(registry)
    for schema_id in range(3_000):
        unknown(look_up, schema_id)
    assert len(look_up._missing) == 1_000
    asked = len(registry.asked)
    unknown(look_up, 2_999)
    assert len(registry.asked) == asked
    unknown(look_up, 0)
    assert len(registry.asked) > asked


@pytest.mark.parametrize("schema_id", [2**31, 2**32 - 1])
def test_an_id_that_no_registry_can_have(schema_id: int) -> None:
    """Ids have 31 bits: a larger number is not asked for."""
    registry = FakeRegistry(schema_id)
    unknown(look_up_in(registry), schema_id)
    assert registry.asked == []


def test_a_registry_that_fails_is_no_fault_of_the_record() -> None:
    """The error stops the agent, which begins again; nothing is remembered of it."""
    registry = FakeRegistry(1)
    registry.fault = RegistryError("down")
    look_up = look_up_in(registry)
    with pytest.raises(RegistryError, match="down"):
        look_up(1)
    registry.fault = None
    assert look_up(1) is FOUND


def test_without_a_registry_the_reject_says_so() -> None:
    """No client is made, and the reject names the setting."""
    with pytest.raises(RecordError, match=r"names schema 1, but no schema registry is configured"):
        written_schema(Settings(schema_registry_url=""))(1)
