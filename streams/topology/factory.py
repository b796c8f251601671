"""From an agent's description to its operators: the one place that knows how they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.streams.operators.base import Operator
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.ingest import IngestOperator, WrittenSchema
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task


@dataclass(frozen=True)
class TaskFactory:
    """Makes the task of one agent for one partition, with empty state.

    Parameters
    ----------
    pipeline
        The definition.
    agent
        Which operators are chained.
    clean_partitions
        Partitions of the topic `clean`.
    max_event_bytes
        A larger record is rejected.
    written_schema
        Looks a schema up by its registry id.
    load_models
        Reads the payload of a model snapshot.
    clock_ms
        Milliseconds since the Unix epoch.
    """

    pipeline: Pipeline
    agent: AgentSpec
    clean_partitions: int
    max_event_bytes: int
    written_schema: WrittenSchema
    load_models: Callable[[bytes], ModelSet]
    clock_ms: Callable[[], int]

    def make(self) -> Task:
        """Return a task with empty state."""
        models = ScopedModels(self.pipeline)
        chain = [
            self._operator(name, models)
            for name in self.agent.operators
            if name != "learning" or "prediction" not in self.agent  # which calls it otherwise
        ]
        return Task(chain, self.clock_ms)

    def reads(self) -> list[str]:
        """Return the topics, without prefix, that come from outside the agent."""
        operators = self.make().operators
        written = {topic for each in operators for topic in each.writes}
        return sorted({topic for each in operators for topic in each.reads} - written)

    def _operator(self, name: str, models: ScopedModels) -> Operator:
        pipeline = self.pipeline
        if name == "ingest":
            routed_to = None if "feature" in self.agent else self.clean_partitions
            return IngestOperator(pipeline, routed_to, self.written_schema, self.max_event_bytes)
        if name == "feature":
            return FeatureOperator(pipeline)
        if name == "prediction":
            if "learning" in self.agent:
                return PredictionOperator(pipeline, models, LearningOperator(pipeline, models))
            return PredictionOperator(pipeline, models, load_models=self.load_models)
        if name == "learning":
            return LearningOperator(pipeline, models)
        return DriftOperator(pipeline)
