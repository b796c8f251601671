"""The worker's pages say whether every agent works and has its partitions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from millrace.streams.api.health import define_pages

from millrace.streams.observability.metrics import Metrics


@dataclass
class FakeAgent:
    """An agent in the state that a test sets."""

    name: str
    failure: str = ""
    is_ready: bool = True


class FakeApp:
    """Collects the pages that are defined, and calls them."""

    def __init__(self):
        self.pages = {}

    def page(self, path):
        return lambda function: self.pages.setdefault(path, function)

    def get(self, path):
        return asyncio.run(self.pages[path](FakeWeb(), object()))


class FakeWeb:
    """Returns what a response is made of."""

    def bytes(self, value, *, headers):
        return 200, value, headers

    def json(self, value, *, status):
        return status, value


@pytest.fixture
def agents():
    return [FakeAgent("ingest"), FakeAgent("drift")]


@pytest.fixture
def app(agents):
    app = FakeApp()
    define_pages(app, agents, Metrics("loans"))
    return app


def test_metrics_are_what_prometheus_scrapes(app):
    """The exposition, with the type that Prometheus expects."""
    status, value, headers = app.get("/metrics")
    assert status == 200
    assert b"# TYPE millrace_predictions_total counter" in value
    assert headers["Content-Type"].startswith("text/plain; version=")


def test_a_worker_is_healthy_if_every_agent_works(app):
    """200 and no agent."""
    assert app.get("/healthz") == (200, {"healthy": True, "failing": {}})


def test_an_agent_that_fails_is_named_with_its_error(app, agents):
    """503, so that an orchestrator notices."""
    agents[1].failure = "BrokerError: gone"
    expected = {"healthy": False, "failing": {"drift": "BrokerError: gone"}}
    assert app.get("/healthz") == (503, expected)
    agents[1].failure = ""
    assert app.get("/healthz")[0] == 200


def test_a_worker_is_ready_if_every_agent_has_its_partitions(app, agents):
    """200, or 503 with the agents that wait."""
    assert app.get("/readyz") == (200, {"ready": True, "waiting": []})
    agents[0].is_ready = False
    assert app.get("/readyz") == (503, {"ready": False, "waiting": ["ingest"]})
