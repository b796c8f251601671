"""While the broker is away, a worker says so once a minute, and can be stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from dev.kafka import KafkaBroker, free_port
from tests.integration.workers import Worker, settings, wait_for

AWAY_SECONDS = 20.0
STOP_SECONDS = 15.0
UNREACHABLE = "the broker cannot be reached"


@pytest.fixture
def broker(
    kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """Give a broker that no other test needs."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), free_port())
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.mark.platform
def test_an_outage(broker: KafkaBroker, unique_name: Callable[[str], str]) -> None:
    """One line of it in twenty seconds, one when it is over; a stop in the next one takes 15 s."""
    with Worker(settings("every_sensor", unique_name("outage"), broker.bootstrap)) as worker:
        worker.wait_ready()
        before = len(worker.log().splitlines())
        broker.kill()
        time.sleep(AWAY_SECONDS)
        lines = [json.loads(line) for line in worker.log().splitlines()[before:]]
        said = [line["event"] for line in lines if line["level"] in {"warning", "error"}]
        assert said.count(UNREACHABLE) == 1
        assert len([each for each in said if "lost partitions" not in each]) <= 2, said
        status, page = worker.page("/healthz")
        assert status == 503
        assert {*page["failing"].values()} == {UNREACHABLE}
        broker.start()
        wait_for("recovery", lambda: worker.events_logged("the broker is reached again"))
        wait_for("health", lambda: worker.page("/healthz")[0] == 200)
        broker.kill()
        code, seconds = worker.terminate()
        assert (code, seconds < STOP_SECONDS) == (0, True), worker.log()[-3000:]
