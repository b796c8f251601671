"""What was made of a table is shown before the run, with what changes it."""

from __future__ import annotations

from io import StringIO

import pandas as pd
from rich.console import Console

from millrace.streams.replay.description import print_inferred
from millrace.streams.replay.source import Source, define


def shown(frame: pd.DataFrame, notes: tuple[str, ...] = (), **choices: str) -> str:
    source = Source(frame, "table", notes=notes)
    out = StringIO()
    found = define(source, label="y", model="hoeffding_tree", **choices)
    print_inferred(source, found, Console(file=out, width=200))
    return out.getvalue()


def test_everything_that_was_inferred_is_shown():
    """Task, id, time and features, each with its option; then what looks wrong."""
    frame = pd.DataFrame({"order_id": range(30), "size": [1.5] * 30, "y": ["no", "yes"] * 15})
    lines = shown(frame, ("Between the cells of the file is a tab.",)).splitlines()
    assert lines[0] == "table: 30 rows, 3 columns"
    assert lines[1:5] == [
        "  task      binary, y is true where it is 'yes' (--task, --positive)",
        "  id        the number of the row (--id)",
        "  time      the time of the replay (--time)",
        "  features  order_id (number), size (number) (--exclude)",
    ]
    assert lines[5] == "Note: Between the cells of the file is a tab."
    assert lines[6].startswith("Note: 'order_id' looks like an id")


def test_columns_that_were_chosen_are_shown():
    """As the id and the time; of many features, the first."""
    frame = pd.DataFrame({f"x{i}": ["a", "b"] for i in range(10)})
    frame = frame.assign(at=["2025-01-01", "2025-01-02"], y=[True, False])
    text = shown(frame, event_id="x0", event_time="at")
    assert "id        x0 (" in text
    assert "time      at, from 2025-01-01 00:00:00 to 2025-01-02 00:00:00 in UTC (" in text
    assert "x8 (text) and 1 more" in text
