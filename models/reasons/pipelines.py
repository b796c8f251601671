"""Pipelines: the model behind transformers, its features mapped back to those in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import compose

from millrace.models.candidates.accelerated import linear
from millrace.models.reasons import front
from millrace.models.reasons.family import Family, Find, Question, Seen, checked
from millrace.models.reasons.reasons import Reasons, Scale


def _explain(pipeline: Any, x: Seen, question: Question) -> Reasons:
    *transformers, model = pipeline.steps.values()
    x, origins = front.traced(transformers, x)
    return question.ask(model, x).renamed(origins)


def _check(pipeline: Any, find: Find) -> Scale:
    *transformers, model = pipeline.steps.values()
    scale = checked(model, find)
    front.check(transformers)
    return scale


_PIPELINE = Family(_explain, _check)

MODELS: Mapping[type, Family] = {compose.Pipeline: _PIPELINE, linear.Pipeline: _PIPELINE}
