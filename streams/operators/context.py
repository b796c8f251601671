"""What operators are made from: the definition, and what a worker knows beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import TopicSource
from millrace.schemas import ArchiveError
from millrace.streams.operators.record import AcceptedRecord, SnapshotRecord, TombstoneRecord
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.sources.confluent import WrittenSchema

LoadVersion: TypeAlias = Callable[[AcceptedRecord], Mapping[str, ModelSet] | None]
"""From a command `restore` to scope keys and their models; None for none of the partition."""

LoadModels: TypeAlias = Callable[[SnapshotRecord | TombstoneRecord], Mapping[str, ModelSet | None]]
"""From a record of `models` to the scope keys that it changes, with their models; None for gone."""


def no_version(command: AcceptedRecord) -> None:
    """Read the models of an archived version where there is no archive.

    Raises
    ------
    ArchiveError
        Always.
    """
    version = command.value["arguments"]["version"]
    raise ArchiveError(
        f"the version {version} is to be restored, and there is no archive: set MILLRACE_ARCHIVE"
    )


class CommandTopic(NamedTuple):
    """Where accepted commands go: a topic, without prefix, to each of its partitions."""

    name: str
    partitions: int


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the operators of one task are made from.

    Parameters
    ----------
    pipeline
        The definition.
    definition
        Its reference.
    agent
        Names of the operators that share the agent.
    clean_partitions
        Partitions of the topic `clean`.
    sources
        Topic to what is read from it, of the user's own topics.
    commands_to
        Where accepted commands go.
    command_key
        What commands must be signed with; empty: they need no signature.
    bundle_keys
        What definitions that are deployed must be signed with; without any, they need no signature.
    max_event_bytes
        A larger record is rejected.
    written_schema
        Looks a schema up by its registry id.
    load_models
        Reads what comes over the topic `models`.
    load_version
        Reads the models of an archived version.
    """

    pipeline: Pipeline
    definition: str = ""
    agent: tuple[str, ...]
    clean_partitions: int
    commands_to: CommandTopic
    max_event_bytes: int
    written_schema: WrittenSchema
    sources: Mapping[str, TopicSource] = field(default_factory=dict)
    load_models: LoadModels
    command_key: bytes = b""
    bundle_keys: Sequence[bytes] = ()
    load_version: LoadVersion = no_version

    @cached_property
    def models(self) -> ScopedModels:
        """The models of the task, which prediction and learning share."""
        return ScopedModels(self.pipeline)
