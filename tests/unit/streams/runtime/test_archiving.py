"""The archive is written beside the agent, and its faults keep nobody from predicting."""

from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from millrace.schemas import ArchiveError, BrokerError
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.archiving import Archiver


def wait_until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Writer:
    """Writes to a list; fails, or has nothing yet, where it is told to."""

    def __init__(self) -> None:
        self.due = "16"
        self.written: list[tuple[str, int]] = []
        self.thinned = 0
        self.error: Exception | None = None
        self.is_there = True

    def write(self, version, partition, covers):
        if self.error is not None:
            raise self.error
        if self.is_there:
            self.written.append((version, partition))
        return self.is_there

    def thin(self):
        self.thinned += 1


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def metrics():
    return Metrics("p")


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def archiver(writer, metrics, now):
    return Archiver(writer, "learning", metrics, lambda: now[0])


def test_each_period_has_one_version_of_the_partitions_that_are_assigned(archiver, writer):
    """And old ones are removed with each that comes."""
    archiver.work()
    assert (writer.written, writer.thinned) == ([], 0)
    archiver.assign([1, 0])
    archiver.work()
    archiver.work()
    assert (writer.written, writer.thinned) == ([("16", 0), ("16", 1)], 1)
    writer.due = "17"
    archiver.assign([1, 2])
    archiver.work()
    assert (writer.written[2:], writer.thinned) == ([("17", 1), ("17", 2)], 2)


def test_a_partition_without_saved_state_comes_later(archiver, writer):
    """It is tried again."""
    archiver.assign([0])
    writer.is_there = False
    archiver.work()
    assert (writer.written, writer.thinned) == ([], 0)
    writer.is_there = True
    archiver.work()
    assert writer.written == [("16", 0)]


def test_what_is_asked_for_holds_saves_until_it_is_written(archiver, writer, now):
    """Or for a minute: the state must be saved, however slow the archive is."""
    archiver.assign([0])
    archiver.ask("snapshot-7", 0, {"features": 9})
    assert archiver.is_holding
    writer.is_there = False
    archiver.work()
    assert archiver.is_holding
    now[0] = 61.0
    assert not archiver.is_holding
    now[0] = 0.0
    writer.is_there = True
    archiver.work()
    assert (writer.written[0], archiver.is_holding) == (("snapshot-7", 0), False)


def test_a_partition_that_is_gone_is_asked_for_no_more(archiver, writer):
    """Its next owner writes it."""
    archiver.assign([0])
    archiver.ask("snapshot-7", 0, {})
    archiver.assign([])
    assert not archiver.is_holding
    archiver.work()
    assert writer.written == []


@pytest.mark.parametrize(
    ("error", "public"),
    [
        (ArchiveError("the disk is full"), "the archive does not have what is needed"),
        (BrokerError("away"), "the broker refuses a request"),
        (RuntimeError("odd"), "a fault that Millrace does not expect"),
    ],
)
def test_a_fault_is_shown_counted_and_logged(archiver, writer, metrics, error, public):
    """Until it is written again."""
    writer.error = error
    archiver.assign([0])
    with capture_logs() as logs:
        archiver.start()
        try:
            wait_until(lambda: archiver.failure == public)
            count = metrics.registry.get_sample_value
            labels = {"pipeline": "p", "agent": "learning"}
            assert count("millrace_archive_failures_total", labels) == 1
            (logged,) = [each for each in logs if each["log_level"] == "error"]
            assert str(error) in logged["reason"]
            writer.error = None
            archiver.assign([0])  # wakes it
            wait_until(lambda: not archiver.failure)
        finally:
            archiver.stop()
    assert count("millrace_archive_timestamp_seconds", labels) > 0
