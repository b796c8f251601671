"""`millrace skip`: reject a record at which user code hangs or halts, without folding it."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.cli.asking import command_of
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topic_prefix


def _check(settings: Settings, pipeline: Pipeline, arguments: Mapping[str, str]) -> None:
    from millrace.streams.tools.skipping import check_not_folded

    agents, prefix = settings.agents_of(pipeline), topic_prefix(pipeline)
    check_not_folded(KafkaClients(settings), agents, prefix, arguments)


skip = command_of("skip", _check)
