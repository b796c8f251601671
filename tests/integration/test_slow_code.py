"""User code that is slow, or that hangs, on a real Kafka."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from millrace.streams.settings import Settings
from tests.integration import slow_code
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, run_command, settings, wait_for

POLL_INTERVAL_SECONDS = 3
COUNT = 15
PAGES = ("/livez", "/readyz", "/healthz", "/metrics")


def slow_settings(pipeline: str, name: str, broker: str, **more: Any) -> Settings:
    given = settings(pipeline, name, broker, partitions=1, **more)
    return given.model_copy(update={"pipeline": f"{slow_code.__file__}:{pipeline}"})


def produce(topics: Topics, readings: list[dict[str, Any]]) -> None:
    topics.produce("events", [{"value": as_json(each)} for each in readings])


def slowest_page(worker: Worker) -> float:
    """Return how many seconds the slowest page took."""
    longest = 0.0
    for page in PAGES:
        started = time.monotonic()
        status, _ = worker._get(page)
        assert status in (200, 503)
        longest = max(longest, time.monotonic() - started)
    return longest


def test_a_slow_model_keeps_predicting(kafka: str, unique_name: Callable[[str], str]) -> None:
    """It takes twice the poll interval for all that waits, and is not given it again.

    Nothing is rebalanced, and the pages answer meanwhile.
    """
    name = unique_name("slow")
    topics = Topics(kafka, name)
    interval = {"max.poll.interval.ms": str(1000 * POLL_INTERVAL_SECONDS)}
    with Worker(slow_settings("slow", name, kafka, kafka=interval)) as worker:
        worker.wait_ready()
        produce(topics, slow_code.readings(*(n / COUNT for n in range(COUNT))))
        started = time.monotonic()
        slowest = 0.0
        while worker.metrics().total("millrace_predictions_total") < COUNT:
            slowest = max(slowest, slowest_page(worker))
            assert time.monotonic() - started < 3 * COUNT * slow_code.SECONDS, worker.log()
            time.sleep(0.2)
        assigned = [each["agent"] for each in worker.events_logged("assigned")]
        restarts = worker.metrics().total("millrace_agent_restarts_total")
    assert slowest < 1
    assert (restarts, len(assigned)) == (0, len({*assigned})), "each agent is assigned once"
    predictions = topics.records("predictions")
    assert [each["event_id"] for each in predictions] == [str(n) for n in range(COUNT)]
    assert [each["model_version"] for each in predictions] == [*range(COUNT)]


def test_code_that_hangs_stops_neither_the_pages_nor_sigterm(
    kafka: str, unique_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say that it hangs; the worker ends, and what was read is predicted by the next one."""
    name = unique_name("slow")
    topics = Topics(kafka, name)
    given = slow_settings("hanging", name, kafka, stall_seconds=2)
    monkeypatch.setenv(slow_code.HANGS, "1")
    with Worker(given) as worker:
        worker.wait_ready()
        produce(topics, slow_code.readings(1.0, 0.0, 0.2))
        wait_for("process that hangs", lambda: "process 1" in worker.failing())
        assert slowest_page(worker) < 1
        status, page = worker.page("/healthz")
        code, seconds = worker.terminate()
    assert (status, page["healthy"]) == (503, False)
    assert "has not reported for" in page["failing"]["process 1"]
    assert page["processes"][0]["report_age_seconds"] > 2
    assert (code, 14 < seconds < 20) == (1, True), seconds

    monkeypatch.delenv(slow_code.HANGS)
    with Worker(given) as worker:
        worker.wait_ready()
        worker.wait_total(2, "millrace_predictions_total")
    assert [each["event_id"] for each in topics.records("predictions")] == ["0", "1", "2"]


@pytest.mark.platform
def test_a_record_at_which_code_hangs_is_skipped(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """The pages name it; once it is skipped the process ends, and the next one goes on behind it.

    What has been folded cannot be skipped any more.
    """
    name = unique_name("slow")
    topics = Topics(kafka, name)
    given = slow_settings("looping", name, kafka, stall_seconds=2)
    with Worker(given) as worker:
        worker.wait_ready()
        produce(topics, slow_code.readings(1.0, 0.7))
        topics.messages("predictions", at_least=2)
        produce(topics, slow_code.readings(1.0, 0.7, 0.0, 0.2)[2:])
        wait_for("process that hangs", lambda: "process 1" in worker.failing())
        found = re.search(r"(\S+)\[(\d+)\]@(\d+) ", worker.failing()["process 1"])
        assert found is not None, worker.failing()
        topic, partition, offset = found.groups()
        assert topic == f"{name}.features"
        code, said = run_command(given, "skip", topic, partition, offset, "--reason", "it hangs")
        assert code == 0, said
        topics.messages("predictions", at_least=3)
        code, said = run_command(given, "skip", topic, partition, "0", "--reason", "too late")
    assert (code, "not folded yet" in said) == (2, True), said
    (reject,) = topics.records("rejects")
    assert (reject["reason"], reject["offset"]) == ("skipped", int(offset))
    ids = [each["event_id"] for each in topics.records("predictions")]
    assert ids == ["0", "1", "3"]
