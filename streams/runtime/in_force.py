"""What is in force, for a worker that has to know it: a fold of its own over all commands.

The operator `control` is pure, and its log has one order. So whoever reads that log comes to the
same as the agent that accepts and refuses, without asking it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from math import inf

import structlog
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import MillraceError
from millrace.streams.control.in_force import InForce, Skipped
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import TopicReader, committed_offset
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.context import CommandTopic
from millrace.streams.operators.control import ControlOperator
from millrace.streams.operators.record import RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.background import Background
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateLog
from millrace.streams.state.signing import keys_of
from millrace.streams.topology.chain import CONTROL_AGENT
from millrace.streams.topology.topics import topic_prefix

_POLL_SECONDS = 0.1
_FOLLOW_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_HANGING_SECONDS = 5.0
_PARTITION = 0
_NOWHERE = CommandTopic("clean", 0)  # what is accepted is written by the agent alone

_log = structlog.get_logger(__name__)


class InForceReader:
    """Reads what is in force.

    Parameters
    ----------
    clients
        Of the broker.
    pipeline
        What is in force before the first command.
    settings
        Of the worker.
    key
        Signs state.

    Raises
    ------
    BrokerError, SnapshotError
        The topics cannot be read.
    """

    def __init__(
        self, clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes
    ) -> None:
        self._prefix = topic_prefix(pipeline)
        command_key = settings.command_key.get_secret_value().encode()
        self._control = ControlOperator(pipeline, _NOWHERE, command_key, keys_of(key))
        state = StateLog(pipeline, CONTROL_AGENT, clients, self._prefix, key)
        saved = state.read([_PARTITION]).get(_PARTITION)
        begin = OFFSET_BEGINNING
        if saved is not None:
            begin = saved.covers["commands"]
            for name, store in self._control.stores.items():
                store.restore(saved.entries.get(f"{self._control.name}/{name}", []))
        place = TopicPartition(f"{self._prefix}commands", _PARTITION, begin)
        self._reader = TopicReader(clients, [place])

    @property
    def in_force(self) -> InForce:
        """What is in force after the commands that have been read."""
        return self._control.in_force

    def read_to_end(self, end: float = inf) -> InForce:
        """Read the commands that there are, up to an offset; return what is in force then."""
        while self._reader.unfinished:
            self.read_on(_POLL_SECONDS, end)
        return self.in_force

    def read_on(self, timeout_seconds: float, end: float = inf) -> None:
        """Read the commands that come within the timeout, up to an offset."""
        messages = self._reader.take(timeout_seconds)
        found = (origin_of(message, self._prefix) for message in messages)
        origins = [each for each in found if each.offset < end]
        self._control.fold(Slice([RawRecord.of(origin) for origin in origins]))

    def close(self) -> None:
        """Free the client."""
        self._reader.close()


def end_this_process() -> None:
    """End at once, whatever hangs: what was not committed is folded again."""
    os._exit(1)


def read_in_force(clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes) -> InForce:
    """Return what is in force now.

    Raises
    ------
    BrokerError, SnapshotError
        The topics cannot be read.
    """
    with closing(InForceReader(clients, pipeline, settings, key)) as reader:
        return reader.read_to_end()


def read_accepted(
    clients: Clients, pipeline: Pipeline, settings: Settings, key: bytes
) -> InForce | None:
    """Return what is in force by the commands that `control` has read; None for none.

    Raises
    ------
    BrokerError, SnapshotError
        The topics cannot be read.
    """
    prefix = topic_prefix(pipeline)
    group = f"{prefix}{CONTROL_AGENT.name}"
    end = committed_offset(clients, group, f"{prefix}commands", _PARTITION)
    if end <= 0:
        return None
    with closing(InForceReader(clients, pipeline, settings, key)) as reader:
        return reader.read_to_end(end)


class InForceFollower(Background):
    """Keeps a worker's definitions up to date with what is in force.

    A definition is imported as soon as it is in force: so no record waits for that. Where user code
    hangs at a record that is to be skipped, the process ends; its supervisor starts another one.

    Parameters
    ----------
    connect
        Returns a reader.
    definitions
        Those of the worker.
    is_folding
        Whether a record is being folded.
    end
        Ends the process.
    """

    def __init__(
        self,
        connect: Callable[[], InForceReader],
        definitions: Definitions,
        is_folding: Callable[[Skipped], bool],
        end: Callable[[], object] = end_this_process,
    ) -> None:
        super().__init__("in-force")
        self._connect = connect
        self._definitions = definitions
        self._is_folding = is_folding
        self._end = end

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(self._connect()) as reader:
                    reader.read_to_end()
                    while not self._stopping.is_set():
                        self._note(reader.in_force)
                        reader.read_on(_FOLLOW_SECONDS)
            except MillraceError as error:
                _log.warning("cannot follow what is in force", reason=str(error))
                self._stopping.wait(_RETRY_SECONDS)

    def _note(self, in_force: InForce) -> None:
        self._skip({*in_force.skipped} - self._definitions.skipped)
        if not self._definitions.can_change:
            return
        history = tuple(reference for _, reference in in_force.history)
        if history == self._definitions.history:
            return
        try:
            self._definitions.find(history[-1])
        except MillraceError as error:
            _log.error(
                "a definition that is in force cannot be loaded: agents halt where it begins",
                definition=history[-1],
                reason=str(error),
            )
            self._stopping.wait(_RETRY_SECONDS)
            return
        self._definitions.history = history

    def _skip(self, records: Iterable[Skipped]) -> None:
        self._definitions.skipped.update(records)
        hanging = [each for each in records if self._is_folding(each)]
        if not hanging:
            return
        self._stopping.wait(_HANGING_SECONDS)
        for each in filter(self._is_folding, hanging):
            _log.error("user code hangs at a record that is skipped: the process ends", record=each)
            self._end()
