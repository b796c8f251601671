"""The accounts."""

from __future__ import annotations

import pytest

from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.state import DemoState


def test_a_demo_that_adds_up_has_no_discrepancy(finished: DemoState) -> None:
    """Events are predicted or rejected, labels learned, topics hold what metrics count."""
    assert discrepancies(finished) == []


@pytest.mark.parametrize(
    ("attribute", "value", "found"),
    [
        ("predicted", 999, "1,005 events sent but 1,004 predicted or rejected"),
        ("learned", 998, "1,000 labels sent but 998 learned or rejected"),
        ("predictions_read", 1_001, "1,000 events predicted but 1,001 on loans.predictions"),
        ("alerts", [], "1 alerts raised but 0 on loans.alerts"),
        (
            "rejected_events",
            {"malformed": 5},
            "events rejected: 5 malformed;"
            " expected: 2 malformed, 1 missing_field, 1 missing_id, 1 not_finite",
        ),
        ("rejected_labels", {"orphan_label": 2}, "labels rejected: 2 orphan_label; expected: none"),
    ],
)
def test_each_discrepancy_is_named(
    finished: DemoState, attribute: str, value: object, found: str
) -> None:
    """The message has both numbers of the account."""
    setattr(finished, attribute, value)
    assert found in discrepancies(finished)


def test_rejected_labels_are_accounted_for(finished: DemoState) -> None:
    """A label that was rejected was not lost, though none should be rejected."""
    finished.learned, finished.rejected_labels = 998, {"late_label": 2}
    assert discrepancies(finished) == ["labels rejected: 2 late_label; expected: none"]
