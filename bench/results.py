"""Results on disk: `bench/results/<part>.json`, which tables, plot and guard are made from."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.session import Result

FOLDER = Path(__file__).with_name("results")
_PACKAGES = ("millrace", "river", "confluent-kafka", "faust-streaming")


def save(folder: Path, part: str, broker: str, data: str, runs: list[Result], append: bool) -> Path:
    """Write the runs of a part, beside those that are there where they are to be kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}.json"
    kept: list[Result] = json.loads(path.read_text())["runs"] if append and path.exists() else []
    moved = 1 + max((run.get("round", 0) for run in kept), default=-1)
    later = [{**run, "round": run["round"] + moved} if "round" in run else run for run in runs]
    document = {
        "part": part,
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "broker": broker,
        "data": data,
        "machine": machine(),
        "versions": {name: version(name) for name in _PACKAGES},
        "runs": kept + later,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def read(folder: Path, part: str) -> dict[str, Any] | None:
    """Return what was saved of a part; None if nothing was."""
    path = folder / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def machine() -> dict[str, Any]:
    """Return what matters of the machine, and no name of it."""
    return {
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def good(runs: Iterable[Result], **about: Any) -> list[Result]:
    """Return the runs that came to an end, and are about this."""
    return [
        run
        for run in runs
        if "error" not in run and all(run.get(name) == value for name, value in about.items())
    ]


def ratios(
    runs: list[Result], above: dict[str, Any], below: dict[str, Any], figure: str, **about: Any
) -> list[float]:
    """Return one ratio for each round in which both were measured.

    Examples
    --------
    >>> runs = [{"keys": 1, "round": 0, "rate": 6.0}, {"keys": 9, "round": 0, "rate": 2.0}]
    >>> ratios(runs, {"keys": 1}, {"keys": 9}, "rate")
    [3.0]
    """
    tops = {run["round"]: run[figure] for run in good(runs, **above, **about)}
    bottoms = {run["round"]: run[figure] for run in good(runs, **below, **about)}
    return [tops[number] / bottoms[number] for number in sorted(tops.keys() & bottoms.keys())]


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median and, where there are several, the least and the most.

    Examples
    --------
    >>> spread([0.5, 0.25, 1.0]), spread([0.5]), spread([])
    ('0.50 (0.25 to 1.00)', '0.50', '-')
    """
    if not values:
        return "-"
    median = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
