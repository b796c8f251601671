"""Which partitions are not fetched, from what librdkafka and the broker say of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from millrace.streams.kafka.stall import FetchPosition, StallDetector

AT = ("p.events", 0)


class Client:
    """librdkafka, which is at `position`, and a broker whose partition goes to `end`."""

    def __init__(self, detector: StallDetector) -> None:
        self._keep: Any = detector.config["stats_cb"]
        self.position = self.end = 0
        self.partitions = [TopicPartition(*AT)]

    def offsets_for_times(
        self, latest: list[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        return [TopicPartition(at.topic, at.partition, self.end) for at in latest]

    def say(self, position: int, end: int) -> Any:
        said = {"next_offset": position, "fetch_state": "validate-epoch-wait"}
        self._keep(json.dumps({"topics": {AT[0]: {"partitions": {str(AT[1]): said}}}}))
        self.end = end
        return self


@pytest.fixture
def detector() -> StallDetector:
    return StallDetector(check_seconds=-1.0)


@pytest.fixture
def client(detector: StallDetector) -> Client:
    client = Client(detector)
    detector.reset(client.partitions)
    return client


def test_records_that_are_not_fetched_from_one_check_to_the_next(
    detector: StallDetector, client: Client
) -> None:
    """They are found at the second check, with the state that librdkafka's fetcher is in."""
    assert detector.stalled(client.say(position=7, end=9)) == {}
    assert detector.stalled(client.say(position=7, end=12)) == {
        AT: FetchPosition(7, 12, "validate-epoch-wait")
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((7, 9), (8, 12), id="it moves, if slowly"),
        pytest.param((9, 9), (9, 12), id="what waits came after the first check"),
        pytest.param((-1001, 0), (-1001, 0), id="not begun, and nothing there"),
    ],
)
def test_what_is_no_stall(
    detector: StallDetector, client: Client, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """A check sees one moment; only what was there, and has not come, is missing."""
    assert detector.stalled(client.say(*first)) == {}
    assert detector.stalled(client.say(*second)) == {}


def test_a_new_assignment_starts_over(detector: StallDetector, client: Client) -> None:
    """What was stalled before a rebalance may be another worker's now."""
    detector.stalled(client.say(position=7, end=9))
    detector.reset(client.partitions)
    assert detector.stalled(client.say(position=7, end=9)) == {}


def test_a_partition_that_the_broker_says_nothing_of(
    detector: StallDetector, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its leader may just be changing: nothing is known of it."""

    class Unknown(TopicPartition):
        error = "no leader"

    detector.stalled(client.say(position=7, end=9))
    monkeypatch.setattr(client, "offsets_for_times", lambda *_, **__: [Unknown(*AT, 12)])
    assert detector.stalled(client) == {}
    assert detector.positions == {}


def test_checks_are_some_seconds_apart() -> None:
    """Ten, unless it is told otherwise."""
    seconds = [100.0]
    detector = StallDetector(clock=lambda: seconds[-1])
    client = Client(detector)
    detector.reset(client.partitions)
    seconds.append(110.0)
    assert not detector.is_check_due
    seconds.append(110.1)
    assert detector.is_check_due
    detector.stalled(client)
    assert not detector.is_check_due
    assert detector.check_seconds == 10.0


def test_the_consumer_must_report_its_statistics(detector: StallDetector) -> None:
    """Often enough for two checks to differ."""
    assert detector.config["statistics.interval.ms"] == 1_000


def test_nothing_is_asked_without_partitions_or_statistics(
    detector: StallDetector, client: Client
) -> None:
    """Before the first statistics nothing is known; with no partition no check is due."""
    assert detector.stalled(client) == {}
    assert detector.is_check_due
    detector.reset([])
    assert not detector.is_check_due
