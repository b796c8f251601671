"""From an agent's description to its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SettingsError
from millrace.streams.operators.context import (
    CommandTopic,
    Context,
    LoadModels,
    LoadVersion,
    no_version,
)
from millrace.streams.operators.registry import operator_class
from millrace.streams.sources.confluent import WrittenSchema, no_registry
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.sources import sources_of
from millrace.streams.topology.task import Task


def _read_no_models(_record: object) -> Mapping[str, ModelSet]:
    raise SettingsError("outside a worker there is no topic of models to read")


@dataclass(frozen=True)
class TaskFactory:
    """Makes the tasks of one agent, with empty state.

    Parameters
    ----------
    pipeline
        The definition.
    agent
        Which operators are chained.
    clean_partitions
        Partitions of the topic `clean`.
    commands_to
        Where accepted commands go; by default to `clean`.
    command_key
        What commands must be signed with; by default they need no signature.
    bundle_keys
        What definitions that are deployed must be signed with; by default nothing.
    definition
        Its reference; by default none.
    topic_names
        What topics of sources are called where the pipeline runs, if it is something else.
    max_event_bytes
        A larger record is rejected.
    written_schema
        Looks a schema up by its registry id; by default there is no registry.
    load_models
        Reads what comes over the topic `models`; by default nothing does.
    load_version
        Reads the models of an archived version; by default nothing does.
    clock_ms
        Milliseconds since the Unix epoch; by default 0.
    """

    pipeline: Pipeline
    agent: AgentSpec
    clean_partitions: int
    max_event_bytes: int
    written_schema: WrittenSchema = no_registry
    load_models: LoadModels = _read_no_models
    clock_ms: Callable[[], int] = lambda: 0
    load_version: LoadVersion = no_version
    commands_to: CommandTopic | None = None
    command_key: bytes = b""
    bundle_keys: Sequence[bytes] = ()
    definition: str = ""
    topic_names: Mapping[str, str] = field(default_factory=dict)

    def make(self) -> Task:
        """Return the task of one partition."""
        context = Context(
            pipeline=self.pipeline,
            definition=self.definition,
            agent=self.agent.operators,
            clean_partitions=self.clean_partitions,
            commands_to=self.commands_to or CommandTopic("clean", self.clean_partitions),
            max_event_bytes=self.max_event_bytes,
            written_schema=self.written_schema,
            sources=sources_of(self.pipeline, self.topic_names),
            load_models=self.load_models,
            load_version=self.load_version,
            command_key=self.command_key,
            bundle_keys=self.bundle_keys,
        )
        chain = [operator_class(name) for name in self.agent.operators]
        operators = [each.make(context) for each in chain if each.runs_within not in self.agent]
        return Task(operators, self.clock_ms, self.definition)
