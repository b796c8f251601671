"""A monitor goes on under other settings, with all that it has noted."""

from __future__ import annotations

import random

from millrace.models.monitoring.drift_monitor import DriftMonitor


def test_a_shorter_cooldown_counts_from_the_next_report() -> None:
    """The values go on to be counted; another report may follow sooner."""
    rng = random.Random(1)
    steps = [float(rng.random() < (0.9 if i // 500 % 2 else 0.1)) for i in range(4_000)]
    plain, other = (DriftMonitor("adwin", cooldown=5_000) for _ in range(2))
    assert plain.update_many(steps[:400]) == other.update_many(steps[:400])
    other.go_on(cooldown=0, quiet=False)
    assert len(plain.update_many(steps[400:])) == 1
    assert len(other.update_many(steps[400:])) > 3


def test_a_monitor_may_become_quiet_and_loud_again() -> None:
    """A change among dependent values is reported by a loud one only."""
    cycle = [float(i // 50 % 2) for i in range(3_000)]
    quiet, loud = (DriftMonitor("adwin", cooldown=0) for _ in range(2))
    quiet.go_on(0, quiet=True)
    loud.go_on(0, quiet=True)
    loud.go_on(0, quiet=False)
    assert len(quiet.update_many(cycle)) < len(loud.update_many(cycle))
