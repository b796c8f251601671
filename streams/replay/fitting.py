"""A table for a pipeline that exists already: its cells become what the pipeline's schema has."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.columns import Column, as_numbers, as_times, is_text, span
from millrace.models.tables.labels import POSITIVE, as_labels
from millrace.models.tables.rows import field_names
from millrace.schemas import DefinitionError
from millrace.schemas.codec.avro import Schema
from millrace.streams.replay.source import Source

_NUMBERS = frozenset({"null", "int", "long", "float", "double"})


def fitted(source: Source, pipeline: Pipeline, positive: str | None) -> tuple[Source, str]:
    """Return a source whose cells are those of a pipeline, and which value of a label is true.

    Where the pipeline's labels are booleans, two values of any kind are false and true. Text is
    read as numbers where fields are numbers, and times as when a pipeline is made from the table.

    Raises
    ------
    DefinitionError
        There are more than two values, or `positive` is none of them.
    """
    source = _typed(source, pipeline)
    position = _positions(source).get(pipeline.label or "")
    is_boolean = "boolean" in pipeline.event_schema.types_of(pipeline.label or "")
    if position is None or not (is_boolean or positive is not None):
        return source, ""
    chosen = _kept_positive(pipeline) if positive is None else positive
    labels = as_labels(source.frame.iloc[:, position], Task(pipeline.task), chosen)
    return _with(source, position, labels.column), labels.positive


def _positions(source: Source) -> dict[str, int]:
    return {name: at for at, name in enumerate(field_names(map(str, source.frame.columns)))}


def _with(source: Source, position: int, column: Column) -> Source:
    return replace(source, frame=source.frame.assign(**{source.frame.columns[position]: column}))


def _kept_positive(pipeline: Pipeline) -> str | None:
    """Return the value that was true when the pipeline was made from a table."""
    fields = cast("list[Schema]", pipeline.event_schema.as_written.schema["fields"])
    label = next(each for each in fields if each["name"] == pipeline.label)
    return cast("str | None", label.get(POSITIVE))


def _typed(source: Source, pipeline: Pipeline) -> Source:
    for name, at in _positions(source).items():
        column = source.frame.iloc[:, at]
        made, note = column, ""
        if name == pipeline.event_time:
            made, note = _times(column, pipeline)
        elif name in pipeline.event_schema.field_names and is_text(column):
            made, note = _numbers(column, {*pipeline.event_schema.types_of(name)})
        if made is not column:
            source = replace(_with(source, at, made), notes=(*source.notes, note))
    return source


def _times(column: Column, pipeline: Pipeline) -> tuple[Column, str]:
    if "string" in pipeline.event_schema.types_of(str(pipeline.event_time)):
        return column, ""
    try:
        times = as_times(column)
    except DefinitionError:
        return column, ""  # the rows that have no time are rejected, one by one
    return times, f"The times in {str(column.name)!r} are {span(times)}."


def _numbers(column: Column, kinds: set[str]) -> tuple[Column, str]:
    numbers = as_numbers(column) if kinds <= _NUMBERS else column.iloc[:0]
    if not bool(numbers.notna().any()):
        return column, ""
    missing = int(column.notna().sum()) - int(numbers.notna().sum())
    rest = f"; cells that are none and so are missing: {missing:,}" if missing else ""
    return numbers, f"The text in {str(column.name)!r} is read as numbers{rest}."
