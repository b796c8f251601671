"""Exactly-once learning, proved on a real Kafka: a short run of `make chaos`, and its own proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.kafka import KafkaBroker, free_port
from tests.chaos.broken import KINDS
from tests.chaos.runner import RECOVERY_TARGET_SECONDS, Plan, Report, Run


def run(plan: Plan, directory: Path) -> Report:
    broker = KafkaBroker(directory / "kafka", free_port())
    try:
        broker.start()
        return Run(plan, directory, broker, lambda _: None).run()
    finally:
        broker.stop()


@pytest.mark.timeout(300)
def test_learns_exactly_once_whatever_is_killed(kafka_runs_here: None, tmp_path: Path) -> None:
    """After faults of every kind, topics and saved models are what a fold of the log gives."""
    kinds = ("kill", "pause", "add", "remove", "restart_broker")

    report = run(Plan(seed=7, faults=len(kinds), kinds=kinds), tmp_path)

    assert report.problems == []
    assert report.findings.lines == []
    assert sum(report.faults.values()) == len(kinds)
    assert report.findings.counts["labels learned"] > 500
    assert report.slowest_recovery_seconds < RECOVERY_TARGET_SECONDS


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", KINDS)
def test_sees_that_a_broken_engine_does_not(
    kafka_runs_here: None, tmp_path: Path, kind: str
) -> None:
    """The same checks fail where offsets go before outputs, or state outside the transaction."""
    plan = Plan(seed=2, faults=3, kinds=("kill",), workers=1, broken=kind, warm_up_seconds=2)

    report = run(plan, tmp_path)

    differences = report.findings.differences
    assert differences["records produced"] == 0
    assert differences["predictions equal the fold's"] > 0
    assert differences["one prediction for each good event"] > 0
