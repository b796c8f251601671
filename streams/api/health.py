"""The worker's pages: `/metrics` for Prometheus, `/healthz` and `/readyz` for its operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import faust
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST

from millrace.streams.observability.metrics import Metrics

_OK, _UNAVAILABLE = 200, 503


class Agent(Protocol):
    """What the pages show of an agent; `streams.runtime.engine.Engine` is one."""

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> str: ...

    @property
    def is_ready(self) -> bool: ...


def define_pages(app: faust.App, agents: Sequence[Agent], metrics: Metrics) -> None:
    """Add the pages to the app."""

    @app.page("/metrics")
    async def show_metrics(web: View, _request: Request) -> Response:
        """Return what Prometheus scrapes."""
        return web.bytes(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.page("/healthz")
    async def show_health(web: View, _request: Request) -> Response:
        """Return whether every agent works: 200, or 503 with those that fail, and why."""
        failing = {each.name: each.failure for each in agents if each.failure}
        status = _UNAVAILABLE if failing else _OK
        return web.json({"healthy": not failing, "failing": failing}, status=status)

    @app.page("/readyz")
    async def show_readiness(web: View, _request: Request) -> Response:
        """Return whether every agent has its partitions: 200, or 503 with those that wait."""
        waiting = [each.name for each in agents if not each.is_ready]
        status = _UNAVAILABLE if waiting else _OK
        return web.json({"ready": not waiting, "waiting": waiting}, status=status)
