"""The accounts."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.state import DemoState


def test_when_all_adds_up_there_is_nothing_to_say(finished: DemoState) -> None:
    """Events are predicted or rejected, labels learned, topics hold what metrics count."""
    assert discrepancies(finished) == []


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("predictions", 999, "1,005 events sent but 1,004 predicted or rejected"),
        ("learned", 998, "1,000 labels sent but 998 learned or rejected"),
        ("predictions_read", 1_001, "1,000 predictions made but 1,001 read from loans.predictions"),
        ("alerts", [], "1 alerts raised but 0 read from loans.alerts"),
        ("rejected_events", {"malformed": 5}, "but events rejected as 5 malformed"),
        (
            "rejected_labels",
            {"orphan_label": 2},
            "only good labels sent but rejected 2 orphan_label",
        ),
    ],
)
def test_whatever_does_not_add_up_is_said(
    finished: DemoState, attribute: str, value: Any, said: str
) -> None:
    """Each account is checked, and named with both of its numbers."""
    setattr(finished, attribute, value)
    assert said in "; ".join(discrepancies(finished))
