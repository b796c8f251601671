"""The rows of a replay, and its pipeline: given, shipped or inferred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from millrace.models.pipeline.tasks import Task
from millrace.models.tables.inference import infer
from millrace.models.tables.rows import Cell, read_table, records
from millrace.schemas import SettingsError

_SHIPPED = "millrace.models.pipelines"


@dataclass(frozen=True)
class Source:
    """A table, and what is known of it.

    Parameters
    ----------
    frame
        One row per event.
    name
        Name of a pipeline that is inferred from it.
    label, task
        The column of the labels and the task, where the source declares them.
    shipped
        Spec of the pipeline that comes with Millrace for it; empty for none.
    """

    frame: pd.DataFrame
    name: str
    label: str | None = None
    task: Task | None = None
    shipped: str = ""

    def head(self, limit: int | None) -> Source:
        """Return the first rows only."""
        return self if limit is None else replace(self, frame=self.frame.head(limit))

    def events(self, event_id: str) -> Iterator[dict[str, Cell]]:
        """Return one event per row."""
        return records(self.frame, event_id)


def read_source(text: str) -> Source:
    """Return the table that `text` names: a CSV or Parquet file, or one of River's data sets.

    Raises
    ------
    DefinitionError
        There is no such file or data set, or it cannot be read.
    """
    path = Path(text)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return Source(read_table(path), path.name.partition(".")[0])
    from millrace.models.tables.datasets import load_bundled  # noqa: PLC0415 - imports River

    frame, label, task = load_bundled(text)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    shipped = f"{_SHIPPED}.{name}"
    return Source(frame, name, label, task, shipped if find_spec(shipped) else "")


def define(
    source: Source,
    directory: Path,
    *,
    pipeline: str | None = None,
    label: str | None = None,
    model: str | None = None,
    task: str | None = None,
) -> str:
    """Return the spec of the pipeline for a source. An inferred one is written to `directory`.

    Parameters
    ----------
    source
        The table.
    directory
        Of an inferred definition.
    pipeline
        Spec of a pipeline; cannot be combined with what follows.
    label, model, task
        See `millrace.models.tables.inference.infer`.

    Raises
    ------
    SettingsError
        Too much is given, or not enough.
    DefinitionError
        No pipeline can be inferred.
    """
    if pipeline is not None:
        if label or model or task:
            raise SettingsError(
                "--label, --model and --task cannot be combined with --pipeline, which has its own"
            )
        return pipeline
    if source.shipped and not (label or model or task):
        return source.shipped
    label = label or source.label
    if label is None or model is None:
        raise SettingsError(
            "no pipeline: add --pipeline, or --label and --model to make one from the table. Its"
            f" columns are {[*map(str, source.frame)]}; got --label {label}, --model {model}"
        )
    found = infer(source.frame, label, model, name=source.name, task=task or source.task)
    return found.write_definition(directory)
