"""The rows of a replay, and its pipeline: given, shipped or inferred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from millrace.models.pipeline.record_parts import EventId, id_field
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.columns import Cell, TimeUnit
from millrace.models.tables.inference import Choices, Inferred, infer
from millrace.models.tables.reading import read_table
from millrace.models.tables.rows import records
from millrace.schemas import EventSchema, SettingsError

_UNITS: dict[int, TimeUnit] = {1: "ms", 1_000: "us", 1_000_000: "ns"}
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
    notes
        What was made of the file that its author may not expect.
    """

    frame: pd.DataFrame
    name: str
    label: str | None = None
    task: Task | None = None
    shipped: str = ""
    notes: tuple[str, ...] = ()

    def events(
        self, event_id: EventId, schema: EventSchema | None = None
    ) -> Iterator[dict[str, Cell]]:
        """Return one event per row; times are in the units of the schema, by default in ms."""
        units = {} if schema is None else _units(schema)
        return records(self.frame, id_field(event_id), units)


def _units(schema: EventSchema) -> dict[str, TimeUnit]:
    return {
        name: "text" if "string" in schema.types_of(name) else _UNITS[schema.units_per_ms(name)]
        for name in schema.field_names
    }


def read_source(text: str, limit: int | None = None) -> Source:
    """Return the table that `text` names: a CSV or Parquet file, or one of River's data sets.

    With a limit, of the first rows only.

    Raises
    ------
    DefinitionError
        There is no such file or data set, or it cannot be read.
    """
    path = Path(text)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        frame, notes = read_table(path, limit)
        return Source(frame, path.name.partition(".")[0], notes=notes)
    from millrace.models.tables.datasets import load_bundled  # noqa: PLC0415 - imports River

    frame, label, task = load_bundled(text)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    shipped = f"{_SHIPPED}.{name}"
    return Source(frame.iloc[:limit], name, label, task, shipped if find_spec(shipped) else "")


def define(
    source: Source,
    *,
    label: str | None,
    model: str | None,
    task: str | None = None,
    **choices: Any,
) -> Inferred:
    """Return a pipeline for a source.

    Parameters
    ----------
    source
        The table.
    label, model, task, choices
        See `millrace.models.tables.inference.Choices`.

    Raises
    ------
    SettingsError
        Not enough is given.
    DefinitionError
        No pipeline can be inferred.
    """
    label = label or source.label
    if label is None or model is None:
        raise SettingsError(
            "no pipeline: add --pipeline, or --label and --model to make one from the table. Its"
            f" columns are {[*map(str, source.frame)]}; got --label {label}, --model {model}"
        )
    given = Choices(label=label, model=model, task=task or source.task, **choices)
    return infer(source.frame, given, name=source.name)
