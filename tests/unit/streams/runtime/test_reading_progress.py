"""A pipeline has read everything once each agent has committed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.runtime.reading_progress import Reading, ReadingProgress
from tests.unit.streams.runtime.worker import FakeWorker, work


@pytest.fixture
def worker(make_pipeline: Callable[..., Pipeline]) -> FakeWorker:
    return FakeWorker(FakeBroker(), make_pipeline())


def progress(worker: FakeWorker, *agents: Any) -> ReadingProgress:
    return ReadingProgress(worker.clients, "p.", lambda: agents or (worker.agent,))


def test_a_pipeline_has_read_when_each_agent_has_committed_it(
    worker: FakeWorker, make_pipeline: Callable[..., Pipeline]
) -> None:
    """Up to the ends, behind the markers of transactions; of topics without records, nothing."""
    control = FakeWorker(worker.broker, make_pipeline(), "control")
    read = progress(worker, worker.agent, control.agent)
    assert read() == Reading({("p.events", 0): 0, ("p.labels", 0): 0}, is_drained=True)
    worker.broker.put("p.events", b'{"id": "e1", "a": 1.0, "b": 1.0, "y": true}')
    assert read() == Reading({("p.events", 0): 1, ("p.labels", 0): 0}, is_drained=False)
    sessions = worker.start(), control.start()
    work(sessions[0])
    assert read().is_drained
    worker.broker.put("p.commands", b'{"command": "pause"}')
    assert not read().is_drained
    work(sessions[1])
    assert not read().is_drained  # the command is in `control`
    work(sessions[0])
    assert read() == Reading({("p.events", 0): 1, ("p.labels", 0): 0}, is_drained=True)


def test_partitions_that_are_added_count(worker: FakeWorker) -> None:
    """Nobody may have been given them yet."""
    read = progress(worker)
    assert read().is_drained
    worker.broker.widen("p.labels", 2)
    worker.broker.put("p.labels", b"{}", partition=1)
    assert not read().is_drained


def test_a_broker_that_does_not_answer(worker: FakeWorker) -> None:
    """It is not taken for silence."""
    worker.broker.fail_next("committed", KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(BrokerError, match=r"p\.ingest"):
        progress(worker)()
