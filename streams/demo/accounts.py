"""The accounts of a demo: every record that was sent must have come out somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.streams.demo.script import EXPECTED_REJECTS, PREFIX, Kind
from millrace.streams.demo.state import DemoState


def discrepancies(state: DemoState) -> list[str]:
    """Return what does not add up once everything is sent and done; empty if all does."""
    events_done = state.predicted + state.rejected
    labels_done = state.learned + sum(state.rejected_labels.values())
    accounts = [
        (state.events_sent, "events sent", events_done, "predicted or rejected"),
        (state.sent[Kind.LABEL], "labels sent", labels_done, "learned or rejected"),
        (state.predicted, "events predicted", state.predictions_read, f"on {PREFIX}predictions"),
        (state.alerts_raised, "alerts raised", len(state.alerts), f"on {PREFIX}alerts"),
    ]
    found = [
        f"{count:,} {what} but {arrived:,} {outcome}"
        for count, what, arrived, outcome in accounts
        if count != arrived
    ]
    for what, expected, rejected in (
        ("events", EXPECTED_REJECTS, state.rejected_events),
        ("labels", {}, state.rejected_labels),
    ):
        if rejected != expected:
            found.append(f"{what} rejected: {listed(rejected)}; expected: {listed(expected)}")
    return found


def listed(counts: Mapping[str, int]) -> str:
    """Return counts by name as text.

    Examples
    --------
    >>> listed({"malformed": 2, "missing_id": 1})
    '2 malformed, 1 missing_id'
    """
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"
