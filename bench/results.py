"""Results on disk: `bench/results/<part>.json`, from which tables, plots and the guard are made.

The plots are drawn in an environment of their own, so this module imports only pandas.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

Result: TypeAlias = dict[str, Any]  # a run: what it is about, and its figures or its error
FOLDER = Path(__file__).with_name("results")
_PACKAGES = ("millrace", "river", "confluent-kafka", "faust-streaming")
_MAY_BE_ABSENT = ["error", "cpu_ratio_to_bare"]
_ABOUT: list[str | list[str]] = ["part", "broker", "data", "machine", "versions"]


def save(folder: Path, part: str, broker: str, data: str, runs: Sequence[Result]) -> None:
    """Write the runs of a part."""
    document = {
        "part": part,
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "broker": broker,
        "data": data,
        "machine": {
            "cpus": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in _PACKAGES},
        "runs": runs,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps(document, indent=1) + "\n")


def read(folder: Path = FOLDER) -> pd.DataFrame:
    """Return all runs of all parts, one per row, with what they were measured on."""
    documents = [json.loads(each.read_text()) for each in sorted(folder.glob("*.json"))]
    runs = pd.json_normalize(documents, "runs", meta=_ABOUT)
    return runs.reindex(columns=[*runs.columns.union(_MAY_BE_ABSENT, sort=False)])


def of_part(runs: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the runs of a part that succeeded."""
    return runs[(runs["part"] == part) & runs["error"].isna()]


def ratios(runs: pd.DataFrame, base: pd.Series[bool], figure: str) -> pd.Series[float]:
    """Return a figure of each run, divided by that of the base run of its model and round."""
    bases = runs[figure].where(base).groupby([runs["model"], runs["round"]])
    return runs[figure] / bases.transform("first")
