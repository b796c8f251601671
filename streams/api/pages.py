"""The worker's pages: `/metrics` for Prometheus, `/livez`, `/readyz`, `/healthz` for operators.

They show what each process last reported, and its age: a process whose user code holds Python's
lock reports nothing for as long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST

from millrace.streams.api.report import Report
from millrace.streams.observability import names
from millrace.streams.observability.exposition import labelled, merge, render

_JSON = "application/json"


class Page(NamedTuple):
    """What a request is answered with."""

    status: HTTPStatus
    content_type: str
    body: bytes


@dataclass(frozen=True)
class ProcessState:
    """What is known of one of the processes that fold.

    Attributes
    ----------
    number
        From 1.
    report
        The last one; None before the first.
    age_seconds
        Of that report; 0 without one.
    restarts
        How often the process was started again.
    problem
        What is wrong with the process as a whole.
    """

    number: int
    report: Report | None
    age_seconds: float = 0.0
    restarts: int = 0
    problem: str = ""


Look = Callable[[], Sequence[ProcessState]]
"""Returns the state of all processes, within a second."""


class Pages:
    """Answers requests for pages.

    Parameters
    ----------
    look
        Returns the state of all processes.
    """

    def __init__(self, look: Look) -> None:
        self._pages: Mapping[str, Callable[[], Page]] = {
            "/metrics": lambda: _metrics(look()),
            "/livez": _liveness,
            "/readyz": lambda: _readiness(look()),
            "/healthz": lambda: _health(look()),
        }

    def answer(self, path: str) -> Page:
        """Return the page at a path, without query."""
        page = self._pages.get(path)
        if page is None:
            found = {"error": f"there is no page {path}", "pages": [*self._pages]}
            return _json(HTTPStatus.NOT_FOUND, found)
        return page()


def _metrics(processes: Sequence[ProcessState]) -> Page:
    """Return what Prometheus scrapes: all processes, told apart where there are several."""
    reported = {each.number: each.report for each in processes if each.report is not None}
    if len(processes) == 1:
        pages = [report.metrics for report in reported.values()]
    else:
        pages = [labelled(each.metrics, "process", str(n)) for n, each in reported.items()]
    ages, restarts = [], []
    for each in processes:
        if each.report is not None:
            labels = {"pipeline": each.report.pipeline, "process": str(each.number)}
            ages.append((labels, each.age_seconds))
            restarts.append((labels, each.restarts))
    pages.append(render(names.REPORT_AGE_SECONDS, ages))
    pages.append(render(names.PROCESS_RESTARTS, restarts))
    body = merge(pages)
    return Page(HTTPStatus.OK, CONTENT_TYPE_LATEST, body.encode())


def _liveness() -> Page:
    """Return that this process answers: whoever restarts workers need ask no more."""
    return _json(HTTPStatus.OK, {"live": True})


def _readiness(processes: Sequence[ProcessState]) -> Page:
    """Return whether every agent has its partitions: 200, or 503 with those that wait."""
    waiting = [
        name
        for each in processes
        for name in (["start of the process"] if each.report is None else each.report.waiting)
    ]
    return _status(not waiting, processes, ready=not waiting, waiting=_once(waiting))


def _health(processes: Sequence[ProcessState]) -> Page:
    """Return whether every agent works: 200, or 503 with those that fail, and why."""
    failing: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for each in processes:
        where = "" if len(processes) == 1 else f" (process {each.number})"
        found, warned = (
            ({}, {}) if each.report is None else (each.report.failing, each.report.warnings)
        )
        failing |= {f"{name}{where}": why for name, why in found.items()}
        warnings |= {f"{name}{where}": why for name, why in warned.items()}
        if each.problem:
            failing[f"process {each.number}"] = each.problem
    said = {"warnings": warnings} if warnings else {}
    return _status(not failing, processes, healthy=not failing, failing=failing, **said)


def _status(is_well: bool, processes: Sequence[ProcessState], **found: object) -> Page:
    ages = [
        {"process": each.number, "report_age_seconds": each.report and round(each.age_seconds, 3)}
        for each in processes
    ]
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    return _json(status, {**found, "processes": ages})


def _json(status: HTTPStatus, found: Mapping[str, object]) -> Page:
    return Page(status, _JSON, json.dumps(found).encode())


def _once(texts: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(texts)]
