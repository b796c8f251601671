"""From a table to a pipeline: rows become a definition and the schema of an event.

`millrace replay data.csv --label y --model hoeffding_tree` needs no pipeline file: this module
infers the Avro schema and the task, and writes both down as a short file that the user may keep
and change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from millrace.models.candidates.names import check_name
from millrace.models.candidates.names import names as models_of
from millrace.models.parameters import suggestion
from millrace.models.pipeline.definition import LONGEST_NAME, MAX_CLASSES, Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.columns import Column, as_numbers, as_times, avro_type
from millrace.models.tables.labels import POSITIVE, Labels, as_labels, infer_task
from millrace.models.tables.oddities import oddities
from millrace.models.tables.rows import field_names, free_event_id
from millrace.schemas import DefinitionError
from millrace.schemas.codec.avro import Schema

_SOURCE = '''\
"""Predict {label!r}: written by `millrace replay`. It is yours to keep and to change."""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="{name}",
    schema=Path(__file__).with_name("event.avsc"),
    event_id="{event_id}",{event_time_line}
    label="{label}",
    task="{task}",{max_classes_line}
    models={{
        "{model}": catalogue.factory("{model}", "{task}", numeric={is_numeric}),
    }},
)
'''


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the user says of a table, where it is not to be inferred.

    Parameters
    ----------
    label
        The column to predict.
    model
        One of the catalogue, see `catalogue.names`.
    task
        See `millrace.models.tables.labels.infer_task`.
    positive
        Of two classes, the one that is true.
    event_id, event_time
        The columns that identify an event, and say when it happened.
    exclude
        Columns that are no features.
    numeric
        Columns of text that are read as numbers: cells that are none are missing.
    """

    label: str
    model: str
    task: Task | str | None = None
    positive: str | None = None
    event_id: str | None = None
    event_time: str | None = None
    exclude: Collection[str] = ()
    numeric: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A pipeline for a table, as `infer` found it.

    Parameters
    ----------
    name, task, model, label, event_id, event_time
        As in `Pipeline`; `model` is a name of the catalogue.
    schema
        Avro schema of an event.
    is_numeric
        Whether every feature is a number or a boolean.
    frame
        The table, as its rows become events of that schema.
    positive
        The value of the table's labels that is true; empty where they are no two classes.
    max_classes
        As many as the table has, or as a pipeline has by default.
    kinds
        Column to what it is, of the features.
    notes
        What looks wrong about the table.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [1.5, 2.5], "is_big": [False, True]})
    >>> found = infer(frame, Choices(label="is_big", model="hoeffding_tree"), name="sizes")
    >>> found.task.value, [field["name"] for field in found.schema["fields"]]
    ('binary', ['event_id', 'size', 'is_big'])
    """

    name: str
    task: Task
    model: str
    label: str
    event_id: str
    event_time: str | None
    schema: Schema
    is_numeric: bool
    frame: pd.DataFrame
    positive: str
    max_classes: int
    kinds: dict[str, str]
    notes: tuple[str, ...]

    @property
    def pipeline(self) -> Pipeline:
        """The definition."""
        from millrace.models.candidates import catalogue  # noqa: PLC0415 - River: 2 s

        return Pipeline(
            name=self.name,
            schema=self.schema,
            event_id=self.event_id,
            event_time=self.event_time,
            label=self.label,
            task=self.task,
            max_classes=self.max_classes,
            models={self.model: catalogue.factory(self.model, self.task, numeric=self.is_numeric)},
        )

    @property
    def source(self) -> str:
        """Text of the pipeline file."""
        time = "" if self.event_time is None else f'\n    event_time="{self.event_time}",'
        many = f"\n    max_classes={self.max_classes}," if self.max_classes > MAX_CLASSES else ""
        return _SOURCE.format(**vars(self), event_time_line=time, max_classes_line=many)

    def write_definition(self, directory: Path) -> str:
        """Write `pipeline.py` and `event.avsc`, and return what `load_pipeline` takes."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "event.avsc").write_text(json.dumps(self.schema, indent=2) + "\n")
        file = directory / "pipeline.py"
        file.write_text(self.source)
        return f"{file}:pipeline"


def infer(frame: pd.DataFrame, choices: Choices, *, name: str) -> Inferred:
    """Return a pipeline that predicts one column from all others.

    Parameters
    ----------
    frame
        As `read_table` gives it.
    choices
        What is not to be inferred.
    name
        Of the pipeline. What a topic's prefix cannot hold is replaced by `-`.

    Raises
    ------
    DefinitionError
        There is no such column or model, or nothing to predict from.
    """
    frame = _prepared(frame, choices)
    labels = frame[choices.label]
    task = _task(labels, choices)
    check_name(choices.model, task)
    found = as_labels(labels, task, choices.positive)
    frame = frame.assign(**{choices.label: found.column})
    columns = [*frame.columns]
    fields = dict(zip(columns, field_names(columns), strict=True))
    roles = {choices.label, choices.event_id, choices.event_time}
    features = [each for each in columns if each not in roles]
    if not features:
        raise DefinitionError(
            f"table must have a column beside the label; got only {choices.label!r}"
        )
    event_id = free_event_id(columns) if choices.event_id is None else fields[choices.event_id]
    return Inferred(
        name=re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:LONGEST_NAME] or "table",
        task=found.task,
        model=choices.model,
        label=fields[choices.label],
        event_id=event_id,
        event_time=None if choices.event_time is None else fields[choices.event_time],
        schema=_schema(frame, fields, found, None if choices.event_id else event_id),
        is_numeric=all(avro_type(frame[each]) != "string" for each in features),
        frame=frame,
        positive=found.positive,
        max_classes=max(_classes(found), MAX_CLASSES),
        kinds={each: _kind(frame[each]) for each in features},
        notes=tuple(oddities(frame, features, choices.label)),
    )


def _classes(labels: Labels) -> int:
    return int(labels.column.nunique()) if labels.task is Task.MULTICLASS else 0


def _task(labels: Column, choices: Choices) -> Task:
    """Return the task as chosen, as the labels look, or else the only one of the model."""
    if choices.task is not None:
        return Task(choices.task)
    task = infer_task(labels)
    possible = [each for each in Task if choices.model in models_of(each)]
    return possible[0] if task not in possible and len(possible) == 1 else task


def _prepared(frame: pd.DataFrame, choices: Choices) -> pd.DataFrame:
    """Return the columns that are events' fields, in the types that the user has chosen."""
    frame = frame.set_axis([str(each) for each in frame.columns], axis="columns")
    columns = [*frame.columns]
    given = {
        "label": [choices.label],
        "--id": [choices.event_id] if choices.event_id else [],
        "--time": [choices.event_time] if choices.event_time else [],
        "--exclude": choices.exclude,
        "--numeric": choices.numeric,
    }
    for parameter, names in given.items():
        for name in {*names} - {*columns}:
            raise DefinitionError(
                f"{parameter} must be one of the columns {columns}; got {name!r}"
                + suggestion(name, columns)
            )
    if choices.label in {choices.event_id, choices.event_time, *choices.exclude}:
        raise DefinitionError(
            f"label must be another column than --id, --time and --exclude; got {choices.label!r}"
        )
    changed = {each: _numbers(frame[each]) for each in choices.numeric}
    if choices.event_time:
        changed[choices.event_time] = as_times(frame[choices.event_time])
    if choices.event_id:
        _check_id(frame[choices.event_id])
    excluded = {*choices.exclude} - {choices.event_id, choices.event_time}
    return frame.assign(**changed).drop(columns=[*excluded])


def _numbers(column: Column) -> Column:
    found = as_numbers(column)
    if not bool(found.notna().any()):
        raise DefinitionError(
            f"--numeric must be a column in which numbers are; {column.name!r} has none, but"
            f" {str(column.dropna().iloc[0])!r} for example. Write numbers as 1234.5 in the table"
            if bool(column.notna().any())
            else f"--numeric must be a column in which numbers are; {column.name!r} is empty"
        )
    return found


def _check_id(column: Column) -> None:
    is_whole = avro_type(column) in ("string", "long") and not bool(column.isna().any())
    if not is_whole:
        raise DefinitionError(
            "--id must be a column of text or whole numbers without missing cells; got"
            f" {column.name!r}"
        )


def _schema(
    frame: pd.DataFrame, fields: dict[str, str], labels: Labels, row_number: str | None
) -> Schema:
    number = {"name": row_number, "type": "string", "doc": "Number of the row, from 0."}
    return {
        "type": "record",
        "name": "Row",
        "namespace": "table",
        "fields": [
            *([] if row_number is None else [number]),
            *(_field(frame[each], name, labels) for each, name in fields.items()),
        ],
    }


def _field(column: Column, name: str, labels: Labels) -> Schema:
    kind = avro_type(column)
    field: Schema = {"name": name, "type": kind}
    is_label = column.name == labels.column.name
    if is_label or bool(column.isna().any()):
        field |= {"type": ["null", kind], "default": None}
    docs = [] if name == str(column.name) else [f"Column {str(column.name)!r}."]
    if is_label and kind == "boolean" and labels.positive not in ("", "True"):
        docs.append(f"True is {labels.positive!r}.")
        field[POSITIVE] = labels.positive
    return field | ({"doc": " ".join(docs)} if docs else {})


def _kind(column: Column) -> str:
    kind = avro_type(column)
    if isinstance(kind, dict):
        return "time"
    return {"boolean": "boolean", "string": "text"}.get(kind, "number")
