"""The data sets that come with River: something to stream without data of one's own.

`millrace replay Phishing` takes its rows from here. Only those that are part of River's package
are offered, so that nothing is downloaded, and only those with one label.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TypeAlias, cast

import pandas as pd
from river import datasets
from river.datasets.base import FileDataset, RemoteDataset

from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

_Make: TypeAlias = Callable[[], FileDataset]

# River keeps the name of a label inside each set's reader.
_LABELS = {
    "AirlinePassengers": "passengers",
    "ChickWeights": "weight",
    "ImageSegments": "category",
    "Phishing": "is_phishing",
    "SP500Stocks": "next_day_return",
    "Shuttle": "anomaly",
    "TrumpApproval": "five_thirty_eight",
    "WaterFlow": "water_flow",
}
_ANOMALIES = frozenset({"Shuttle"})
_TASKS = {
    "Regression": Task.REGRESSION,
    "Binary classification": Task.BINARY,
    "Multi-class classification": Task.MULTICLASS,
}


def bundled_names() -> tuple[str, ...]:
    """Return the names of the sets, as River has them, in alphabetical order.

    Examples
    --------
    >>> [name for name in bundled_names() if name.startswith(("I", "P", "T"))]
    ['ImageSegments', 'Phishing', 'TrumpApproval']
    """
    return tuple(_bundled())


def load_bundled(name: str) -> tuple[pd.DataFrame, str, Task]:
    """Return the rows of a set, the name of its label column, and its task.

    Rows and features are in River's order, the label comes last. Dates are UTC.

    Parameters
    ----------
    name
        River's name or the same in snake case: `ImageSegments`, `image_segments`.

    Raises
    ------
    DefinitionError
        There is no such set; the message lists those there are.

    Examples
    --------
    >>> frame, label, task = load_bundled("trump_approval")
    >>> frame.shape, label, task.value
    ((1001, 7), 'five_thirty_eight', 'regression')
    """
    sets = {_plain(each): each for each in bundled_names()}
    if _plain(name) not in sets:
        raise DefinitionError(f"data set must be one of {', '.join(bundled_names())}; got {name!r}")
    chosen = sets[_plain(name)]
    source, label = _bundled()[chosen](), _LABELS.get(chosen, "label")
    task = Task.ANOMALY if chosen in _ANOMALIES else _TASKS[source.task]
    return pd.DataFrame([_row(x, label, y) for x, y in source]), label, task


@cache
def _bundled() -> dict[str, _Make]:
    classes = inspect.getmembers(datasets, inspect.isclass)
    return {name: cast(_Make, each) for name, each in classes if _is_bundled(each)}


def _is_bundled(kind: type) -> bool:
    if issubclass(kind, RemoteDataset):
        return False
    return cast(_Make, kind)().task in _TASKS


def _row(x: dict[str, object], label: str, y: object) -> dict[str, object]:
    return {**{name: _in_utc(value) for name, value in x.items()}, label: y}


def _in_utc(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
