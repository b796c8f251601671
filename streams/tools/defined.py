"""The tasks of an agent outside a worker, under each definition that was in force."""

from __future__ import annotations

from dataclasses import replace

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.registry import read_outputs, written_schema
from millrace.streams.runtime.definitions import AgentDefinitions, Definitions
from millrace.streams.runtime.deployment import known_definitions
from millrace.streams.settings import Settings
from millrace.streams.state.archive.restoring import version_loader
from millrace.streams.state.keys import state_key_if_any
from millrace.streams.state.signing import keys_of
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory


def agent_definitions(
    clients: Clients, pipeline: Pipeline, settings: Settings, agent: AgentSpec, partitions: int
) -> AgentDefinitions:
    """Return what an agent makes of each definition that was deployed.

    Without a state key there is only the pipeline that is given: others are signed.

    Raises
    ------
    BrokerError
        The broker does not answer.
    """
    key = state_key_if_any(settings)
    definitions = (
        Definitions(pipeline)
        if key is None
        else known_definitions(clients, pipeline, settings, key)
    )
    factory = task_factory(pipeline, settings, agent, partitions)
    if key is not None:
        found = definitions.find, definitions.renamed
        load = version_loader(settings, pipeline, clients, key, *found)
        factory = replace(factory, load_version=load, bundle_keys=keys_of(key))
    return AgentDefinitions(definitions, factory, read_outputs(settings))


def task_factory(
    pipeline: Pipeline, settings: Settings, agent: AgentSpec, partitions: int
) -> TaskFactory:
    """Return what makes an agent's tasks outside a worker: its predictions carry no time."""
    return TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=partitions,
        max_event_bytes=settings.max_event_bytes,
        topic_names=settings.topics,
        written_schema=written_schema(settings),
    )
