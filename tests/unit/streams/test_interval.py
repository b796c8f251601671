"""What is due again after some seconds."""

from __future__ import annotations

from millrace.streams.interval import Interval


def test_an_interval_is_due_after_its_time() -> None:
    """And not again until that time is over once more."""
    now = 5.0
    interval = Interval(2.0, clock=lambda: now)
    assert not interval.is_due
    now = 7.5
    assert interval.is_due

    interval.restart()

    assert not interval.is_due
