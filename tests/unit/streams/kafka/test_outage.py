"""An outage is a line a minute in the log, however many clients complain."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.streams.kafka.outage import Outage


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as logs:
        yield logs


def test_an_outage_is_one_line_a_minute(clock: Clock, logs: list[Any]) -> None:
    """The first at once, each with how long it is and how often something failed."""
    outage = Outage(clock)
    for _ in range(1_801):
        outage.note("Connection refused")
        clock.now += 0.125
    clock.now += 5
    outage.end()
    assert [each["event"] for each in logs] == [
        *["the broker cannot be reached"] * 4,
        "the broker is reached again",
    ]
    assert [each.get("for_seconds", each.get("after_seconds")) for each in logs] == [
        *(0, 60, 120, 180),
        pytest.approx(230.1),
    ]
    assert [each["failures"] for each in logs] == [1, 481, 961, 1441, 1801]


def test_the_end_is_said_once(clock: Clock, logs: list[Any]) -> None:
    """And not where nothing was wrong."""
    outage = Outage(clock)
    outage.end()
    outage.note("x")
    outage.end()
    outage.end()
    assert len(logs) == 2


def test_a_broker_that_comes_and_goes_is_not_a_flood(clock: Clock, logs: list[Any]) -> None:
    """As where one of three is away, and the others answer in between."""
    outage = Outage(clock)
    for _ in range(600):
        outage.note("x")
        clock.now += 0.1
        outage.end()
        clock.now += 0.1
    assert len(logs) == 4  # within two minutes
