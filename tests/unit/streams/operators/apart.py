"""A prediction operator as it is in the chain `split`, for tests of prediction and label join."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Outcome
from millrace.streams.operators.context import LoadModels
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import EvaluationRecord, OutcomeRecord, Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice


class Apart:
    """A prediction operator whose learning has an agent of its own; outcomes are kept aside."""

    def __init__(
        self,
        pipeline: Pipeline,
        models: ScopedModels | None = None,
        load_models: LoadModels = lambda _: pytest.fail("there are no models"),
    ) -> None:
        models = models or ScopedModels(pipeline)
        training = ExampleWriter(pipeline, models)
        self.operator = PredictionOperator(pipeline, models, training, load_models)
        self.tally = self.operator.tally
        self.outcomes: list[Outcome] = []

    def process(self, record: Record) -> list[Record]:
        made = self.operator.run(Slice([record]))
        self.outcomes += [each.value for each in made if isinstance(each, OutcomeRecord)]
        return [each for each in made if not isinstance(each, OutcomeRecord | EvaluationRecord)]

    @property
    def waiting(self) -> list[str]:
        """The events that wait, in order of arrival."""
        return [each.vector["event_id"] for each in self.operator._join._waiting]

    def store(self, name: str) -> KeyedState[Any]:
        return self.operator.stores[name]  # type: ignore[return-value]


def made_by(operator: Apart, *records: Record) -> list[tuple[str, Any]]:
    """Return (topic, what the record is about) of all that an operator makes but outcomes."""
    made: list[Any] = [each for record in records for each in operator.process(record)]
    return [
        (each.topic, each.value["reason"] if each.topic == "rejects" else each.value["event_id"])
        for each in made
    ]
