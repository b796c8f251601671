"""From a table to a pipeline: a file of rows becomes a definition, a schema and events.

`millrace replay data.csv --label y --model hoeffding_tree` needs no pipeline file: this module
reads the table, infers the Avro schema and the task, and writes both down as a short file that
the user may keep and change. It also turns rows into events, for a table with a pipeline of its
own as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pandas.api import types

from millrace.models.candidates import catalogue
from millrace.models.candidates.tasks import Task
from millrace.schemas import DefinitionError
from millrace.schemas.codec.avro import Schema

EVENT_ID = "event_id"
"""Name of the field that is added to identify an event."""

Cell: TypeAlias = bool | int | float | str | None

_CHUNK_ROWS = 10_000
_TABLE = "a .csv, .csv.gz or .parquet file"

_SOURCE = '''\
"""Predict {label!r}: written by `millrace replay`. It is yours to keep and to change."""

from pathlib import Path

from millrace import Pipeline
from millrace.models.candidates import catalogue

pipeline = Pipeline(
    name="{name}",
    schema=Path(__file__).with_name("event.avsc"),
    event_id="{event_id}",
    label="{label}",
    task="{task}",
    models={{
        "{model}": catalogue.factory("{model}", "{task}", numeric={numeric}),
    }},
)
'''


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A pipeline for a table, as `infer` found it.

    Parameters
    ----------
    name, task, model, label, event_id
        As in `models.pipeline.definition.Pipeline`; label and event id are names of fields.
    schema
        Avro schema of an event.

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

    @cached_property
    def source(self) -> str:
        """Text of the pipeline file."""
        kinds = [f["type"] for f in self.schema["fields"][1:] if f["name"] != self.label]
        return _SOURCE.format(
            name=self.name,
            event_id=self.event_id,
            label=self.label,
            task=self.task.value,
            model=self.model,
            numeric=not any("string" in kind for kind in kinds),
        )

    def write_definition(self, directory: Path) -> str:
        """Write `pipeline.py` and `event.avsc`, and return what `load_pipeline` takes."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "event.avsc").write_text(json.dumps(self.schema, indent=2) + "\n")
        file = directory / "pipeline.py"
        file.write_text(self.source)
        return f"{file}:pipeline"


def read_table(path: Path | str) -> pd.DataFrame:
    """Return the rows of a file, whole numbers and missing cells kept apart as such.

    Numbers are read to the nearest float, so that a model sees what Python's `float` gives.

    Raises
    ------
    DefinitionError
        The file is missing, of another kind, empty, or broken.

    Examples
    --------
    >>> read_table("data.xlsx")
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: a table requires ...; got ...
    """
    path = Path(path)
    is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
    if not is_csv and path.suffix.lower() != ".parquet":
        raise DefinitionError(f"a table requires {_TABLE}; got {str(path)!r}")
    if not path.is_file():
        raise DefinitionError(f"a table requires a file that exists; got {str(path)!r}")
    try:
        frame = _read_csv(path) if is_csv else pd.read_parquet(path, dtype_backend="numpy_nullable")
    except Exception as error:  # pandas and pyarrow raise whatever a broken file leads them into
        raise DefinitionError(
            f"a table requires {_TABLE} that can be read; got {str(path)!r}:"
            f" {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if frame.empty:
        raise DefinitionError(f"a table requires at least one row; got {str(path)!r}")
    return frame


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
        One of the catalogue, see `models.candidates.catalogue.names`.
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
        raise DefinitionError(f"label requires one of the columns {columns}; got {label!r}")
    if len(columns) == 1:
        raise DefinitionError(f"a table requires a column beside the label; got only {label!r}")
    chosen = infer_task(frame.iloc[:, columns.index(label)]) if task is None else Task(task)
    catalogue.factory(model, chosen)
    fields, event_id = field_names(columns), free_event_id(columns)
    row_number = {"name": event_id, "type": "string", "doc": "Number of the row, from 0."}
    row = [
        _field(frame.iloc[:, i], fields[i], is_optional=column == label)
        for i, column in enumerate(columns)
    ]
    return Inferred(
        name=re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "table",
        task=chosen,
        model=model,
        label=fields[columns.index(label)],
        event_id=event_id,
        schema={
            "type": "record",
            "name": "Row",
            "namespace": "table",
            "fields": [row_number, *row],
        },
    )


def infer_task(labels: pd.Series[Any]) -> Task:
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


def field_names(columns: Iterable[str]) -> list[str]:
    """Return an Avro name for each column, unique and as near to the column's own as can be.

    Examples
    --------
    >>> field_names(["region-centroid-col", "1", "a b", "a_b"])
    ['region_centroid_col', '_1', 'a_b_2', 'a_b']
    """
    columns = [*columns]
    taken = {each for each in columns if _avro_name(each) == each}
    names = []
    for column in columns:
        name = _avro_name(column)
        if name != column:
            name = next(n for n in _numbered(name) if n not in taken)
            taken.add(name)
        names.append(name)
    return names


def free_event_id(columns: Iterable[str]) -> str:
    """Return `event_id`, with underscores appended until no column has that name."""
    taken = {*field_names(columns)}
    return next(name for name in (EVENT_ID + "_" * n for n in count()) if name not in taken)


def records(frame: pd.DataFrame, event_id: str) -> Iterator[dict[str, Cell]]:
    """Return one event per row, of plain Python values: fields in the order of the columns.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    event_id
        Name of the field that identifies an event. If no column gives it, it is added, and
        holds the number of the row from 0, as text.

    Examples
    --------
    >>> next(records(pd.DataFrame({"a-b": [1, 2], "c": [0.5, None]}), "event_id"))
    {'event_id': '0', 'a_b': 1, 'c': 0.5}
    """
    names = field_names(str(each) for each in frame.columns)
    kinds = [_avro_type(frame.iloc[:, i]) for i in range(len(names))]
    is_added = event_id not in names
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        columns = [_cells(chunk.iloc[:, i], kind) for i, kind in enumerate(kinds)]
        for row, values in enumerate(zip(*columns, strict=True), start):
            event: dict[str, Cell] = {event_id: str(row)} if is_added else {}
            event.update(zip(names, values, strict=True))
            yield event


def _read_csv(path: Path) -> pd.DataFrame:
    # Since 3.1 pandas reads the nearest float unasked, and says that one should not ask.
    is_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    precision: Any = {} if is_exact else {"float_precision": "round_trip"}
    frame: pd.DataFrame = pd.read_csv(path, dtype_backend="numpy_nullable", **precision)
    return frame


def _field(column: pd.Series[Any], name: str, is_optional: bool) -> Schema:
    kind: Any = _avro_type(column)
    field: Schema = {"name": name, "type": kind}
    if is_optional or bool(column.isna().any()):
        field |= {"type": ["null", kind], "default": None}
    if name != str(column.name):
        field["doc"] = f"Column {str(column.name)!r}."
    return field


def _avro_type(column: pd.Series[Any]) -> str | dict[str, str]:
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_integer_dtype(column.dtype):
        is_too_large = types.is_unsigned_integer_dtype(column.dtype) and column.max() >= 2**63
        return "string" if is_too_large else "long"
    if types.is_float_dtype(column.dtype):
        return "double"
    if types.is_datetime64_any_dtype(column.dtype):
        return {"type": "long", "logicalType": "timestamp-millis"}
    return "string"


def _cells(column: pd.Series[Any], kind: str | dict[str, str]) -> list[Cell]:
    """Return a column's cells as plain Python values of the Avro type `kind`, None if missing."""
    is_missing = column.isna()
    if isinstance(kind, dict):
        column = pd.to_datetime(column, utc=True).dt.as_unit("ms").astype("int64")
    cells = column.tolist()
    if kind == "string":
        cells = [str(each) for each in cells]
    if is_missing.any():
        return [None if gone else each for each, gone in zip(cells, is_missing, strict=True)]
    return cells


def _avro_name(column: str) -> str:
    """Avro 1.12 specification, section "Names"."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column) or "_"
    return f"_{name}" if name[0].isdigit() else name


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{n}" for n in count(2))
