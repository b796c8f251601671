"""How much waits, and when that is a stall."""

from __future__ import annotations

import pytest

from millrace.streams.kafka.stall import FetchPosition
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.lag import Lag

PLACE = ("events", 0)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("p")


@pytest.fixture
def lag(metrics: Metrics, clock: Clock) -> Lag:
    return Lag("ingest", metrics, clock)


def reported(metrics: Metrics) -> float | None:
    labels = {"pipeline": "p", "agent": "ingest", "topic": "events", "partition": "0"}
    return metrics.registry.get_sample_value("millrace_consumer_lag_records", labels)


@pytest.mark.parametrize(
    ("offset", "end", "found_end", "checked", "expected"),
    [
        pytest.param(3, 10, None, None, 7, id="as far as the consumer knows"),
        pytest.param(10, 10, None, None, 0, id="read to the end"),
        pytest.param(3, -1001, None, None, 0, id="nothing was fetched yet"),
        pytest.param(3, 10, 10, None, 0, id="only markers are left"),
        pytest.param(3, 10, 5, None, 5, id="more has come since the end was found"),
        pytest.param(3, 5, None, (3, 12), 9, id="the broker knows better"),
        pytest.param(3, 10, None, (10, 10), 0, id="fetched to the end"),
        pytest.param(3, 12, None, (9, 10), 3, id="the consumer knows better"),
    ],
)
def test_lag(
    lag: Lag,
    metrics: Metrics,
    offset: int,
    end: int,
    found_end: int | None,
    checked: tuple[int, int] | None,
    expected: int,
) -> None:
    """From what is read, by the newest of what is known, to the end by the newest."""
    if found_end is not None:
        lag.note_end(PLACE, found_end)
    if checked is not None:
        lag.note_checked(PLACE, FetchPosition(*checked, "active"))
    lag.report(PLACE, offset, end, is_drained=True)
    assert reported(metrics) == expected


def test_waiting_counts_from_when_it_began(lag: Lag, clock: Clock) -> None:
    """Reports in between change nothing, as long as nothing is taken."""
    lag.report(PLACE, 3, 10, is_drained=True)
    clock.seconds += 30.0
    lag.report(PLACE, 3, 12, is_drained=True)
    clock.seconds += 30.0
    assert lag.stall(60.0) == ""
    clock.seconds += 0.5
    assert lag.stall(60.0) == (
        "stalled: events[0] has records from offset 3 on, and none was taken for 60 s"
    )


@pytest.mark.parametrize(
    ("offset", "end", "is_drained"),
    [
        pytest.param(4, 10, True, id="a record was taken"),
        pytest.param(3, 3, True, id="nothing waits any more"),
        pytest.param(3, 10, False, id="others of what was fetched come first"),
    ],
)
def test_waiting_ends(lag: Lag, clock: Clock, offset: int, end: int, is_drained: bool) -> None:
    """With the first record that is taken, or as soon as it is no stall."""
    lag.report(PLACE, 3, 10, is_drained=True)
    clock.seconds += 61.0
    lag.report(PLACE, offset, end, is_drained=is_drained)
    assert lag.stall(60.0) == ""


def test_one_stalled_partition_is_enough(lag: Lag, clock: Clock) -> None:
    """Although others move."""
    lag.report(("labels", 1), 0, 5, is_drained=True)
    lag.report(PLACE, 0, 10, is_drained=True)
    clock.seconds += 61.0
    lag.report(PLACE, 5, 10, is_drained=True)
    assert lag.stall(60.0).startswith("stalled: labels[1]")


@pytest.mark.parametrize(("position", "is_held_back"), [(10, True), (11, True), (9, False)])
def test_records_that_are_held_back(
    lag: Lag, clock: Clock, position: int, is_held_back: bool
) -> None:
    """All that may be read was fetched: the message names the tool that ends a transaction."""
    lag.note_checked(PLACE, FetchPosition(position, 10, "active"))
    lag.report(PLACE, 3, 12, is_drained=True)
    clock.seconds += 61.0
    stall = lag.stall(60.0)
    assert stall.startswith("stalled: events[0]")
    assert ("open transaction" in stall and "find-hanging" in stall) is is_held_back


def test_reset_forgets_everything(lag: Lag, metrics: Metrics, clock: Clock) -> None:
    """The partitions are assigned again, or to another worker."""
    lag.note_end(PLACE, 9)
    lag.note_checked(PLACE, FetchPosition(9, 20, "active"))
    lag.report(PLACE, 3, 10, is_drained=True)
    clock.seconds += 61.0
    lag.reset()
    assert lag.stall(60.0) == ""
    lag.report(PLACE, 3, 10, is_drained=True)
    assert reported(metrics) == 7
