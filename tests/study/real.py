"""Real streams: River's data sets that need no download, and a table of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from millrace.models.candidates import catalogue
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.tables.columns import Cell
from millrace.models.tables.datasets import bundled_names
from millrace.models.tables.labels import infer_task
from millrace.streams.replay.source import define, read_source
from tests.study.served import PROMOTION, Served, serve

_CLASSIFIERS = ("logistic_regression", "gaussian_naive_bayes", "hoeffding_tree")
CANDIDATES = {
    Task.BINARY: _CLASSIFIERS,
    Task.MULTICLASS: _CLASSIFIERS,
    Task.REGRESSION: ("linear_regression", "hoeffding_tree_regressor"),
}
"""Task to the names of the catalogue that compete. For anomalies the catalogue has one alone."""


class Stream(NamedTuple):
    """Events with labels, and a pipeline for them.

    Attributes
    ----------
    name
        Of the data set.
    rows
        An event each.
    pipeline
        Its candidates are those of the task, in the order of `CANDIDATES`.
    """

    name: str
    rows: list[dict[str, Cell]]
    pipeline: Pipeline


def streams(table: str | None = None, label: str | None = None) -> Iterator[Stream]:
    """Yield the streams on which candidates compete: a table alone, or River's.

    What has fewer rows than a decision takes is left out, and what has anomalies for labels.

    Parameters
    ----------
    table
        A CSV or Parquet file, or one of River's names.
    label
        The column of its labels; by default the last one.
    """
    for name in [table] if table else bundled_names():
        source = read_source(name)
        column = label or source.label or str(source.frame.columns[-1])
        task = source.task or infer_task(source.frame[column])
        if task not in CANDIDATES or len(source.frame) < PROMOTION.min_labels:
            continue
        names = CANDIDATES[task]
        found = define(source, label=column, model=names[0], task=task)
        models = {each: catalogue.factory(each, task, numeric=found.is_numeric) for each in names}
        pipeline = replace(found.pipeline, models=models)
        rows = replace(source, frame=found.frame).events(found.event_id, pipeline.event_schema)
        yield Stream(source.name, [*rows], pipeline)


def begun_with(first: str, stream: Stream) -> Served:
    """Let a stream be served where this candidate is the first that serves."""
    models = stream.pipeline.models
    ordered = {first: models[first], **models}
    return serve(replace(stream.pipeline, models=ordered), stream.rows)
