"""Pipelines and models for the tests of candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model

_LABELS = {"multiclass": "string", "regression": "double"}


class MakePipeline(Protocol):
    def __call__(
        self, models: dict[str, Callable[[], Model]], task: str = "binary", **more: object
    ) -> Pipeline: ...


@pytest.fixture
def make_pipeline() -> MakePipeline:
    """Make a pipeline of events with the features `a` and `b`."""

    def make(
        models: dict[str, Callable[[], Model]], task: str = "binary", **more: object
    ) -> Pipeline:
        label = ["null", _LABELS.get(task, "boolean")]
        types = {"id": "string", "a": "double", "b": "double", "y": label}
        schema = {
            "type": "record",
            "name": "R",
            "fields": [{"name": name, "type": each} for name, each in types.items()],
        }
        return Pipeline(
            name="p",
            schema=schema,
            event_id="id",
            label="y",
            task=task,
            models=models,
            **more,  # type: ignore[arg-type]  # each test knows what it gives
        )

    return make
