"""Pipelines: the model behind transformers, its features mapped back to those in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import compose

from millrace.models.candidates.accelerated import Instance, linear
from millrace.models.reasons import front
from millrace.models.reasons.family import Family, Find, Question, checked
from millrace.models.reasons.reasons import Reasons


def _explain(pipeline: Any, x: Instance, question: Question) -> Reasons:
    *transformers, model = pipeline.steps.values()
    x, origins = front.traced(transformers, x)
    return question.ask(model, x).renamed(origins)


def _check(pipeline: Any, find: Find) -> None:
    *transformers, model = pipeline.steps.values()
    checked(model, find)
    front.check(transformers)


_PIPELINE = Family(_explain, _check)

MODELS: Mapping[type, Family] = {compose.Pipeline: _PIPELINE, linear.Pipeline: _PIPELINE}
