"""From a table to a pipeline: rows become a definition and the schema of an event.

`millrace replay data.csv --label y --model hoeffding_tree` needs no pipeline file: this module
infers the Avro schema and the task, and writes both down as a short file that the user may keep
and change.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pandas.api import types

from millrace.models.candidates.names import check_name
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.rows import Column, avro_type, field_names, free_event_id
from millrace.schemas import DefinitionError
from millrace.schemas.codec.avro import Schema

_SOURCE = '''\
"""Predict {label!r}: written by `millrace replay`. It is yours to keep and to change."""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="{name}",
    schema=Path(__file__).with_name("event.avsc"),
    event_id="{event_id}",
    label="{label}",
    task="{task}",
    models={{
        "{model}": catalogue.factory("{model}", "{task}", numeric={is_numeric}),
    }},
)
'''


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A pipeline for a table, as `infer` found it.

    Parameters
    ----------
    name, task, model, label, event_id
        As in `Pipeline`; `model` is a name of the catalogue.
    schema
        Avro schema of an event.
    is_numeric
        Whether every feature is a number or a boolean.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [1.5, 2.5], "is_big": [False, True]})
    >>> found = infer(frame, "is_big", "hoeffding_tree", name="sizes")
    >>> found.task.value, [field["name"] for field in found.schema["fields"]]
    ('binary', ['event_id', 'size', 'is_big'])
    """

    name: str
    task: Task
    model: str
    label: str
    event_id: str
    schema: Schema
    is_numeric: bool

    @property
    def source(self) -> str:
        """Text of the pipeline file."""
        return _SOURCE.format(**vars(self))

    def write_definition(self, directory: Path) -> str:
        """Write `pipeline.py` and `event.avsc`, and return what `load_pipeline` takes."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "event.avsc").write_text(json.dumps(self.schema, indent=2) + "\n")
        file = directory / "pipeline.py"
        file.write_text(self.source)
        return f"{file}:pipeline"


def infer(
    frame: pd.DataFrame, label: str, model: str, *, name: str, task: Task | str | None = None
) -> Inferred:
    """Return a pipeline that predicts column `label` from all others.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    label
        Name of the column.
    model
        One of the catalogue, see `catalogue.names`.
    name
        Of the pipeline. What a topic's prefix cannot hold is replaced by `-`.
    task
        If not given: `binary` for booleans and for 0 and 1; `regression` for floats, and for
        integers of more than 20 values that are more than a twentieth of the rows; else
        `multiclass`.

    Raises
    ------
    DefinitionError
        There is no such column or model, or nothing to predict from.
    """
    columns = [str(each) for each in frame.columns]
    if label not in columns:
        raise DefinitionError(f"label must be one of the columns {columns}; got {label!r}")
    if len(columns) == 1:
        raise DefinitionError(f"table must have a column beside the label; got only {label!r}")
    position = columns.index(label)
    chosen = infer_task(frame.iloc[:, position]) if task is None else Task(task)
    check_name(model, chosen)
    names, event_id = field_names(columns), free_event_id(columns)
    row_number: Schema = {"name": event_id, "type": "string", "doc": "Number of the row, from 0."}
    row = [_field(frame.iloc[:, i], names[i], i == position) for i in range(len(columns))]
    kinds = [avro_type(frame.iloc[:, i]) for i in range(len(columns)) if i != position]
    return Inferred(
        name=re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "table",
        task=chosen,
        model=model,
        label=names[position],
        event_id=event_id,
        schema={
            "type": "record",
            "name": "Row",
            "namespace": "table",
            "fields": [row_number, *row],
        },
        is_numeric="string" not in kinds,
    )


def infer_task(labels: Column) -> Task:
    """Return the task that a column of labels is for, by the rules of `infer`."""
    known = labels.dropna()
    if types.is_bool_dtype(labels.dtype):
        return Task.BINARY
    if types.is_float_dtype(labels.dtype):
        return Task.REGRESSION
    if types.is_integer_dtype(labels.dtype):
        distinct = known.nunique()
        if set(known.unique()) == {0, 1}:
            return Task.BINARY
        if distinct > 20 and distinct > len(known) / 20:
            return Task.REGRESSION
    return Task.MULTICLASS


def _field(column: Column, name: str, is_label: bool) -> Schema:
    kind = avro_type(column)
    field: Schema = {"name": name, "type": kind}
    if is_label or bool(column.isna().any()):
        field |= {"type": ["null", kind], "default": None}
    if name != str(column.name):
        field["doc"] = f"Column {str(column.name)!r}."
    return field
