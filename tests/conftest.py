"""What every test can rely on, wherever the tests are run from."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from millrace.streams.redaction import forget_secrets

collect_ignore = ["clients"]  # programs that have an environment of their own

NOT_TESTED = "NOT TESTED"
"""What the reason of a skip begins with that the end of the run shall say in a section."""

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> Iterator[None]:
    """Hear Ctrl-C, and let child processes hear it: a shell's background jobs begin without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _no_known_secrets() -> Iterator[None]:
    """Hide no other test's secrets."""
    yield
    forget_secrets()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of the run what could not be tested here, whichever process tried it."""
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = {each.longrepr[2] for each in skipped if isinstance(each.longrepr, tuple)}
    for reason in sorted(each.removeprefix("Skipped: ") for each in reasons):
        if reason.startswith(NOT_TESTED):
            title, _, why = reason.partition(": ")
            terminalreporter.section(title, red=True, bold=True)
            terminalreporter.line(why)
