"""A broker in memory and its clients."""

from __future__ import annotations

import pytest

from millrace.streams.kafka.fakes import FakeBroker, FakeClients


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({"t": 2, "u": 1})


@pytest.fixture
def clients(broker: FakeBroker) -> FakeClients:
    return FakeClients(broker)
