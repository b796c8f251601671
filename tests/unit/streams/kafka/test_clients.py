"""How long a group waits for a member follows from its session, unless somebody says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.streams.kafka.clients import consumer_config
from millrace.streams.settings import Settings


@pytest.mark.parametrize(
    ("given", "interval_ms"),
    [
        ({"broker": "b:9092"}, 225_000),
        ({"broker": "b:9092", "session_timeout_seconds": 6}, 45_000),
        ({"broker": "b:9092", "kafka": {"max.poll.interval.ms": "600000"}}, "600000"),
        ({}, 300_000),
    ],
)
def test_longest_batch(given: dict[str, Any], interval_ms: Any) -> None:
    """Five sessions, and 45 s at the least; Kafka's default on the embedded broker."""
    assert consumer_config(Settings(**given), "g")["max.poll.interval.ms"] == interval_ms
