"""The worker's pages say how its processes are, and how old that is."""

from __future__ import annotations

import json

import pytest

from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report

UP = "# HELP up u\n# TYPE up gauge\nup 1.0\n"


def get(path: str, *processes: ProcessState) -> tuple[int, dict]:
    page = Pages(lambda: processes).answer(path)
    return page.status, json.loads(page.body)


def metrics(*processes: ProcessState) -> list[str]:
    page = Pages(lambda: processes).answer("/metrics")
    assert (page.status, page.content_type[:10]) == (200, "text/plain")
    return [line for line in page.body.decode().splitlines() if not line.startswith("# HELP")]


def test_all_is_well():
    """Every page says so, with the age of what it knows."""
    process = ProcessState(1, Report("loans"), 0.25)
    ages = [{"process": 1, "report_age_seconds": 0.25}]

    assert get("/livez", process) == (200, {"live": True})
    assert get("/readyz", process) == (200, {"ready": True, "waiting": [], "processes": ages})
    assert get("/healthz", process) == (200, {"healthy": True, "failing": {}, "processes": ages})


def test_a_worker_is_ready_when_every_agent_has_its_partitions():
    """Those that wait are named, each once."""
    one = ProcessState(1, Report("loans", waiting=["drift"]), 0.0)
    two = ProcessState(2, Report("loans", waiting=["drift", "ingest"]), 0.0)

    status, page = get("/readyz", one, two)

    assert (status, page["ready"], page["waiting"]) == (503, False, ["drift", "ingest"])


def test_a_process_that_starts_is_not_ready():
    """It is no failure, either."""
    process = ProcessState(1, None)

    status, page = get("/readyz", process)

    assert (status, page["waiting"]) == (503, ["start of the process"])
    assert page["processes"] == [{"process": 1, "report_age_seconds": None}]
    assert get("/healthz", process)[0] == 200


def test_agents_that_fail_are_named_with_the_reason():
    """And with their process, where there are several."""
    failing = ProcessState(1, Report("loans", failing={"drift": "why"}), 0.0)

    assert get("/healthz", failing)[1]["failing"] == {"drift": "why"}
    status, page = get("/healthz", failing, ProcessState(2, Report("loans")))
    assert (status, page["healthy"]) == (503, False)
    assert page["failing"] == {"drift (process 1)": "why"}


def test_a_process_that_is_silent_or_has_ended_fails():
    """Whatever it last reported."""
    process = ProcessState(2, Report("loans"), 70.0, problem="has not reported for 70 s")

    status, page = get("/healthz", process)

    assert (status, page["failing"]) == (503, {"process 2": "has not reported for 70 s"})
    assert get("/livez", process)[0] == 200, "the supervisor is well"


def test_metrics_are_what_the_process_exposes():
    """Followed by what the supervisor knows of it."""
    assert metrics(ProcessState(1, Report("loans", UP), 0.5, restarts=2)) == [
        "# TYPE up gauge",
        "up 1.0",
        "# TYPE millrace_report_age_seconds gauge",
        'millrace_report_age_seconds{pipeline="loans",process="1"} 0.5',
        "# TYPE millrace_process_restarts_total counter",
        'millrace_process_restarts_total{pipeline="loans",process="1"} 2.0',
    ]


def test_metrics_of_several_processes_are_told_apart():
    """The samples of a metric stand together; a process that has not reported has none."""
    found = metrics(
        ProcessState(1, Report("loans", UP), 0.0),
        ProcessState(2, None),
        ProcessState(3, Report("loans", UP.replace("1.0", "0.0")), 0.0),
    )
    assert found[:3] == ["# TYPE up gauge", 'up{process="1"} 1.0', 'up{process="3"} 0.0']


@pytest.mark.parametrize("path", ["/", "/metrics/", "/agents"])
def test_other_pages_do_not_exist(path):
    """The answer names those that do."""
    status, page = get(path, ProcessState(1, None))
    assert status == 404
    assert page["pages"] == ["/metrics", "/livez", "/readyz", "/healthz"]


def test_what_is_wrong_without_stopping_an_agent_is_a_warning():
    """The worker is healthy, and the page says what is wrong with it."""
    report = Report("loans", UP, {}, [], {"learning": "state is not saved: too large"})
    status, page = get("/healthz", ProcessState(1, report, 0.1))
    assert (status, page["healthy"]) == (200, True)
    assert page["warnings"] == {"learning": "state is not saved: too large"}
