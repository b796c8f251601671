"""`millrace skip`: reject a record at which user code hangs or halts, without folding it."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.streams.cli.asking import command_of
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings


def _check(settings: Settings, prefix: str, arguments: Mapping[str, str]) -> None:
    from millrace.streams.tools.skipping import check_not_folded

    check_not_folded(KafkaClients(settings), settings.agents, prefix, arguments)


skip = command_of("skip", _check)
