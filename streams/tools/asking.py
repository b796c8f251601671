"""Asking something of a running pipeline, and waiting until each partition has done it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from confluent_kafka import OFFSET_END, TopicPartition

from millrace.schemas import CommandError, RecordError
from millrace.schemas.records import Audit
from millrace.streams.control.commands import check_form
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.commands import Request, send
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.operators.registry import CONTROL
from millrace.streams.tools.audit import read_audit

_POLL_SECONDS = 0.1


@dataclass
class Answer:
    """What has become of a command.

    Attributes
    ----------
    partitions
        How many are to apply it; None until it is accepted.
    effects
        Partition to what was done there.
    """

    partitions: int | None = None
    effects: dict[int, list[Audit]] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        """The partitions that have not applied it yet."""
        return [each for each in range(self.partitions or 0) if each not in self.effects]

    @property
    def is_complete(self) -> bool:
        """Whether each partition has applied it."""
        return self.partitions is not None and not self.missing


def ask(
    clients: Clients,
    prefix: str,
    request: Request,
    *,
    key: bytes,
    wait_seconds: float,
    progress: Callable[[Answer], None] = lambda _: None,
    outputs: Outputs | None = None,
) -> Answer:
    """Send a command, and wait until each partition has applied it, or time is up.

    Parameters
    ----------
    clients
        Of the broker.
    prefix
        Of the pipeline's topics.
    request
        What is asked for.
    key
        Signs it; empty: it is not signed.
    wait_seconds
        0 to wait for nothing.
    progress
        Called when there is more of an answer.
    outputs
        How the answers are read.

    Raises
    ------
    CommandError
        It is refused.
    BrokerError
        The broker does not answer, or has no such topics.
    """
    check_form(request.command, request.arguments)
    audit, commands = f"{prefix}audit", f"{prefix}commands"
    count_partitions(clients, commands)
    places = [TopicPartition(audit, p, OFFSET_END) for p in range(count_partitions(clients, audit))]
    with closing(TopicReader(clients, places)) as reader:
        while reader.unfinished:  # else what comes next might be missed
            reader.take(_POLL_SECONDS)
        send(clients, prefix, request, key)
        answer, deadline = Answer(), time.monotonic() + wait_seconds
        while not answer.is_complete and time.monotonic() < deadline:
            for message in reader.take(_POLL_SECONDS):
                entry = _entry(message.value() or b"", outputs)
                if entry is not None and entry["command_id"] == request.id:
                    _note(answer, entry, message.partition() or 0)
                    progress(answer)
    return answer


def _note(answer: Answer, entry: Audit, partition: int) -> None:
    if entry["writer"] != CONTROL:
        answer.effects.setdefault(partition, []).append(entry)
    elif entry["action"] == "refused":
        raise CommandError(entry["evidence"]["reason"])
    else:
        answer.partitions = int(entry["evidence"]["partitions"])


def _entry(value: bytes, outputs: Outputs | None) -> Audit | None:
    """Return an audit record, in whichever format it is; None for what is none."""
    try:
        return read_audit(value, outputs)
    except RecordError:
        return None
