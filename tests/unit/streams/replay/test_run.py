"""A replay from end to end, in memory; `tests/e2e` has replays through a worker."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from millrace import run
from millrace.streams.replay.run import own_name, replay_in_memory
from millrace.streams.replay.source import Source


@pytest.fixture
def rows(make_rows):
    return [{"id": str(i), **x, "y": y} for i, (x, y) in enumerate(make_rows("binary", 450))]


@pytest.mark.parametrize("label_delay", [0, 30])
def test_a_replay_reports_what_run_returns(make_pipeline, rows, label_delay):
    """The same fold: the report has the same metrics, and counts the same records."""
    pipeline = make_pipeline()
    source = Source(pd.DataFrame(rows), "table")
    report = replay_in_memory(source, pipeline, label_delay)
    result = run(pipeline, rows, label_delay=label_delay)
    assert report["metrics"] == result.metrics
    assert (report["events"], report["predictions"], report["learned"]) == (450, 450, 450)
    assert report["chain"] == "in memory"
    assert report["latency_seconds"] == {"p50": None, "p99": None}
    assert report["seconds"] > 0


def test_progress_is_reported(make_pipeline, rows):
    """Every 200 predictions."""
    seen = []
    source = Source(pd.DataFrame(rows), "table")
    replay_in_memory(source, make_pipeline(), 0, on_progress=seen.append)
    assert {200, 400} <= {*seen}
    assert {each % 200 for each in seen} == {0}


def test_replays_on_a_broker_have_names_of_their_own(make_pipeline):
    """From the pipeline's name and the time, so that their topics do not mix."""
    assert own_name(make_pipeline(), datetime(2025, 3, 3, 9, 30, 5, tzinfo=UTC)) == (
        "p-replay-20250303t093005"
    )
    assert own_name(make_pipeline()).startswith("p-replay-20")
