"""Where a replay's rows come from, and its pipeline: given, shipped or inferred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from millrace.models.pipeline.inference import infer
from millrace.models.pipeline.tables import Cell, read_table, records
from millrace.models.pipeline.tasks import Task
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
        What a pipeline inferred from it is called.
    label
        The column of the labels, where the source itself says it.
    task
        The same.
    shipped
        Spec of the pipeline that Millrace ships for it; empty for none.
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
        There is neither, or it cannot be read.
    """
    path = Path(text)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return Source(read_table(path), path.name.partition(".")[0])
    from millrace.models.pipeline.datasets import load_bundled  # noqa: PLC0415 - imports River

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
    """Return the spec of the pipeline for a source, written to `directory` where it is inferred.

    Parameters
    ----------
    source
        The table.
    directory
        Where an inferred definition goes.
    pipeline
        Spec of a pipeline that exists; then none of the following may be given.
    label, model, task
        See `models.pipeline.inference.infer`.

    Raises
    ------
    SettingsError
        What is given is too much or not enough.
    DefinitionError
        Nothing can be inferred from it.
    """
    if pipeline is not None:
        if label or model or task:
            raise SettingsError("--label, --model and --task cannot be combined with --pipeline")
        return pipeline
    if source.shipped and not (label or model or task):
        return source.shipped
    label = label or source.label
    if label is None or model is None:
        raise SettingsError(
            "a replay needs --pipeline, or --label and --model to make one from the table;"
            f" got --label {label}, --model {model}, and the columns {[*map(str, source.frame)]}"
        )
    found = infer(source.frame, label, model, name=source.name, task=task or source.task)
    return found.write_definition(directory)
