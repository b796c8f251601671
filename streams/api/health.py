"""The worker's pages: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever runs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faust
from prometheus_client import CONTENT_TYPE_LATEST

from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.engine import Engine

_OK, _UNAVAILABLE = 200, 503


def define_pages(app: faust.App, engines: Iterable[Engine], metrics: Metrics) -> None:
    """Add the pages to the app."""
    everyone = tuple(engines)

    @app.page("/metrics")
    async def show_metrics(web: Any, _request: Any) -> Any:
        """Render what Prometheus scrapes."""
        return web.bytes(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.page("/healthz")
    async def show_health(web: Any, _request: Any) -> Any:
        """Say whether every agent does its work: 200, or 503 with those that do not."""
        failing = {each.name: each.failure for each in everyone if each.failure}
        status = _UNAVAILABLE if failing else _OK
        return web.json({"healthy": not failing, "failing": failing}, status=status)

    @app.page("/readyz")
    async def show_readiness(web: Any, _request: Any) -> Any:
        """Say whether every agent has its partitions: 200, or 503 with those that wait."""
        waiting = [each.name for each in everyone if not each.is_ready]
        status = _UNAVAILABLE if waiting else _OK
        return web.json({"ready": not waiting, "waiting": waiting}, status=status)
