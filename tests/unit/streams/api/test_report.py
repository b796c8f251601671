"""What a process says of itself passes between processes as it was made."""

from __future__ import annotations

from dataclasses import dataclass

from millrace.streams.api.report import Report


@dataclass
class FakeAgent:
    """An agent in the state that a test sets."""

    name: str
    failure: str = ""
    is_ready: bool = True
    warning: str = ""


def test_a_report_names_the_agents_that_fail_and_those_that_wait():
    """The others are not mentioned."""
    agents = [FakeAgent("ingest"), FakeAgent("feature", "why"), FakeAgent("drift", is_ready=False)]

    report = Report.of("loans", agents, b"up 1.0\n")

    assert report == Report("loans", "up 1.0\n", {"feature": "why"}, ["drift"])
    assert Report.from_bytes(report.to_bytes()) == report
