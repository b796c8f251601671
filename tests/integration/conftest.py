"""A real Kafka for the integration tests: one broker a session, on a free loopback port.

These tests are about what only a broker can show, so there is no fake to fall back to. Where
Java or Maven are missing they skip, and the end of the run says so in a section of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.kafka import KafkaBroker, free_port, missing_requirements

MISSING = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def kafka_runs_here(request: pytest.FixtureRequest) -> None:
    """Skip, and have the summary say it, where a real Kafka cannot run."""
    reason = missing_requirements()
    if reason is not None:
        request.config.stash[MISSING] = reason
        pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the bootstrap address of a running broker that the whole session shares."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), free_port())
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.stop()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say at the end of the run that the tests against a real Kafka did not run."""
    reason = config.stash.get(MISSING, None)
    if reason is not None:
        terminalreporter.section("NOT TESTED AGAINST A REAL KAFKA", red=True, bold=True)
        terminalreporter.line(reason)
