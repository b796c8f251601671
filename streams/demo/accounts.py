"""The accounts of a demo: every record that was sent must have come out somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.streams.demo.script import EXPECTED_REJECTS
from millrace.streams.demo.state import DemoState


def discrepancies(state: DemoState) -> list[str]:
    """Say what does not add up after everything was sent and done; empty when all does."""
    sums = {
        "events sent": (state.events_sent, state.predictions + sum(state.rejected_events.values())),
        "labels sent": (state.labels_sent, state.learned + sum(state.rejected_labels.values())),
        "predictions made": (state.predictions, state.predictions_read),
        "alerts raised": (state.alerts_counted, len(state.alerts)),
    }
    fates = {
        "events sent": "predicted or rejected",
        "labels sent": "learned or rejected",
        "predictions made": f"read from {state.pipeline.name}.predictions",
        "alerts raised": f"read from {state.pipeline.name}.alerts",
    }
    found = [
        f"{given:,} {what} but {arrived:,} {fates[what]}"
        for what, (given, arrived) in sums.items()
        if given != arrived
    ]
    if state.rejected_events != EXPECTED_REJECTS:
        found.append(
            f"bad records sent to be rejected as {listed(EXPECTED_REJECTS)}"
            f" but events rejected as {listed(state.rejected_events)}"
        )
    if state.rejected_labels:
        found.append(f"only good labels sent but rejected {listed(state.rejected_labels)}")
    return found


def listed(counts: Mapping[str, int]) -> str:
    """Return counts by name as text.

    Examples
    --------
    >>> listed({"malformed": 2, "missing_id": 1})
    '2 malformed, 1 missing_id'
    """
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"
