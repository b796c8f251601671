"""Exactly-once learning, proved on a real Kafka: a short run of `make chaos`, and its own proof."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev.kafka import KafkaBroker, free_port
from tests.chaos.broken import KINDS as BROKEN
from tests.chaos.runner import Plan, Report, Run

FAULTS = ("kill", "pause", "restart_broker", "command", "deploy")
ODDITIES = ("slow_model", "garbage", "registry_outage", "add", "remove")
CHANGES = ("command", "deploy", "kill", "command", "deploy")
RATE = 50.0


@pytest.fixture(scope="module")
def broken(
    kafka: str, tmp_path_factory: pytest.TempPathFactory, unique_name: Callable[[str], str]
) -> dict[str, Report]:
    """Kill workers of each broken kind, side by side on one broker, which stays whole."""
    broker = KafkaBroker(tmp_path_factory.mktemp("unused"), int(kafka.rpartition(":")[2]))

    def run(kind: str) -> Report:
        plan = Plan(
            name=unique_name(kind),
            broken=kind,
            seed=2,
            faults=3,  # each hits the window in nine of ten cases
            kinds=("kill",),
            workers=1,
            events_per_second=RATE,
            warm_up_seconds=1,
        )
        return Run(plan, tmp_path_factory.mktemp(kind), broker, lambda _: None).run()

    with ThreadPoolExecutor() as pool:
        return dict(zip(BROKEN, pool.map(run, BROKEN), strict=True))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kinds", "seed", "rounds", "scope"),
    [
        pytest.param(FAULTS, 7, 1, "partition", id="faults"),
        pytest.param(ODDITIES, 7, 1, "partition", id="oddities", marks=pytest.mark.platform),
        *(
            pytest.param(CHANGES, seed, 3, scope, id=f"{scope}-{seed}", marks=pytest.mark.platform)
            for seed, scope in [(1, "partition"), (2, "key"), (3, "partition")]
        ),
    ],
)
def test_learns_exactly_once_whatever_happens(
    kafka_runs_here: None,
    tmp_path: Path,
    kinds: tuple[str, ...],
    seed: int,
    rounds: int,
    scope: str,
) -> None:
    """Topics, models, thresholds and audit are what a fold gives, whatever has happened."""
    plan = Plan(
        seed=seed,
        faults=rounds * len(kinds),
        kinds=kinds,
        scope=scope,
        events_per_second=RATE,
        warm_up_seconds=1,
        recovery_seconds=60,  # other tests run at the same time
    )
    broker = KafkaBroker(tmp_path / "kafka", free_port())
    try:
        broker.start()
        report = Run(plan, tmp_path, broker, lambda _: None).run()
    finally:
        broker.stop()

    assert report.problems == []
    assert report.findings.lines == []
    assert report.findings.total == 0
    assert sum(report.faults.values()) == rounds * len(kinds)
    assert report.findings.counts["labels learned"] > 500
    assert report.findings.counts["promote by the rule, accepted"] > 0
    assert report.findings.counts["predictions with a set"] > 500
    assert report.findings.counts["predictions with reasons"] > 0
    assert report.findings.counts["blocks of which the coverage is known"] > 5
    if scope == "key":
        assert report.findings.counts["predictions without a value, as the set says"] > 0
    if "command" in kinds:
        assert report.findings.counts["commands refused"] > 2


@pytest.mark.platform
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", BROKEN)
def test_sees_that_a_broken_engine_does_not(broken: dict[str, Report], kind: str) -> None:
    """The same checks fail where offsets go before outputs, or state outside the transaction."""
    differences = broken[kind].findings.differences

    assert differences["records produced"] == 0
    assert differences["predictions equal the fold's"] > 0
    assert differences["version, metrics, digest"] > 0
