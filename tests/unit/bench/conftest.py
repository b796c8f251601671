"""What the tests of the benchmark share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.job import Job
from bench.results import Result

RunOf = Callable[..., Result]


@pytest.fixture
def job() -> Job:
    """Give the job of one contestant."""
    return Job(
        name="bench-1",
        model="hoeffding_tree",
        events=3,
        features=["x0", "x1"],
        bootstrap="127.0.0.1:9092",
        embedded=False,
    )


@pytest.fixture
def run_of() -> RunOf:
    """Make runs as the part `throughput` has them."""

    def make(contestant: str, number: int, ratio: float, **more: Any) -> Result:
        return {
            "contestant": contestant,
            "model": "logistic_regression",
            "round": number,
            "events_per_second": ratio * 1000,
            "cpu_seconds_per_million": 20.0,
            "peak_rss_bytes": 100_000_000,
            "ratio_to_bare": ratio,
            "cpu_ratio_to_bare": ratio / 2,
            **more,
        }

    return make


@pytest.fixture
def runs(run_of: RunOf) -> list[Result]:
    """Give two rounds of two contestants and the bare loop, and one that failed."""
    return [
        run_of("bare", 0, 1.0),
        run_of("full", 0, 0.5),
        run_of("bytewax", 0, 0.4),
        run_of("bare", 1, 1.0),
        run_of("full", 1, 0.6),
        run_of("bytewax", 1, 0.2),
        {"contestant": "quix", "model": "logistic_regression", "round": 1, "error": "no wheel"},
    ]
