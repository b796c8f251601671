"""A broker in memory, and workers on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.kafka.fakes import FakeBroker
from tests.unit.streams.runtime.worker import FakeWorker


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def make_worker(
    broker: FakeBroker, make_pipeline: Callable[..., Pipeline]
) -> Callable[..., FakeWorker]:
    """Make a worker on the broker, with settings besides the defaults."""

    def make(agent: str = "ingest", **settings: Any) -> FakeWorker:
        return FakeWorker(broker, make_pipeline(), agent, **settings)

    return make
