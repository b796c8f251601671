"""Ticks: the log is told how much time passes while no events come.

What waits expires by the times of events. Where no more come, it would wait for ever. So the worker
that takes commands looks once in a while whether all agents, of whichever worker, have read their
inputs to the ends, and sends the command `tick` as long as they have and nothing new has come.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import structlog

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import MillraceError
from millrace.streams.control.commands import TICK
from millrace.streams.kafka.commands import Request, send
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.reading import committed_offsets, watermarks
from millrace.streams.runtime.background import Background
from millrace.streams.runtime.engine import Engine
from millrace.streams.settings import Settings
from millrace.streams.topology.chain import CONTROL_AGENT, AgentSpec
from millrace.streams.topology.topics import INPUTS, topic_prefix

_PARTITION = 0  # of `commands`

_log = structlog.get_logger(__name__)


def ticker_of(
    settings: Settings,
    pipeline: Pipeline,
    clients: Clients,
    partitions: Mapping[str, int],
    engines: Iterable[Engine],
) -> Ticker | None:
    """Return what sends the ticks of a worker; None where time passes by events alone.

    An embedded broker ends with the worker, and what waits with it.

    Parameters
    ----------
    partitions
        Topic, with prefix, to its number of partitions.
    engines
        The worker's.
    """
    if not settings.tick_seconds or settings.is_embedded:
        return None
    prefix, key = topic_prefix(pipeline), settings.command_key.get_secret_value().encode()
    control = next(each for each in engines if each.name == CONTROL_AGENT.name)
    return Ticker(
        ReadingProgress(clients, prefix, settings.agents, partitions),
        partial(send, clients, prefix, key=key),
        is_ours=lambda: control.has_partition(_PARTITION),
        seconds=settings.tick_seconds,
    )


class Reading(NamedTuple):
    """How far a pipeline has read.

    Attributes
    ----------
    inputs
        Where the topics end that users produce to.
    is_drained
        Whether each agent has read all that it reads.
    """

    inputs: Mapping[Place, int]
    is_drained: bool


@dataclass(frozen=True)
class ReadingProgress:
    """Looks how far a pipeline has read.

    Parameters
    ----------
    clients
        Of the broker.
    prefix
        Of the pipeline's topics and groups.
    agents
        The agents of the pipeline.
    partitions
        Topic, with prefix, to its number of partitions.
    """

    clients: Clients
    prefix: str
    agents: Collection[AgentSpec]
    partitions: Mapping[str, int]

    def __call__(self) -> Reading:
        """Return how far it has read by now.

        Raises
        ------
        BrokerError
            The broker does not answer.
        """
        topics = frozenset().union(*(each.reads for each in self.agents))
        marks = watermarks(self.clients, self._places(topics))
        inputs = {place: marks[place].high for place in self._places(topics & INPUTS)}
        ends = {place: each.high for place, each in marks.items()}
        return Reading(inputs, all(self._has_read(each, ends) for each in self.agents))

    def _has_read(self, agent: AgentSpec, ends: Mapping[Place, int]) -> bool:
        """Whether an agent has committed that it has read what there is."""
        places = self._places(agent.reads)
        offsets = committed_offsets(self.clients, f"{self.prefix}{agent.name}", places)
        return all(max(offset, 0) >= ends[place] for place, offset in offsets.items())

    def _places(self, topics: Iterable[str]) -> list[Place]:
        full = (f"{self.prefix}{each}" for each in sorted(topics))
        return [(topic, each) for topic in full for each in range(self.partitions[topic])]


class Ticker(Background):
    """Sends a `tick` once in a while, as long as everything is read and nothing comes.

    Parameters
    ----------
    read
        Returns how far the pipeline has read.
    send
        Sends a command.
    is_ours
        Whether this worker is the one that takes commands.
    seconds
        Between two looks.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        send: Callable[[Request], object],
        is_ours: Callable[[], bool],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("ticks")
        self._read = read
        self._send = send
        self._is_ours = is_ours
        self._seconds = seconds
        self._clock = clock
        self._inputs: Mapping[Place, int] = {}
        self._since: float | None = None  # when nothing was left to read, and nothing has come

    def look(self) -> None:
        """Send a tick for the time since the last look, if nothing has come and all is read.

        Where it is not known whether that is so, no time counts.
        """
        since, self._since = self._since, None
        if not self._is_ours():
            return
        now, reading = self._clock(), self._read()
        is_quiet = reading.is_drained and reading.inputs == self._inputs
        self._inputs = reading.inputs
        if is_quiet and since is not None:
            self._send(_tick(now - since))
        self._since = now if reading.is_drained else None

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self.look()
            except MillraceError as error:
                _log.warning("no tick was sent: time passes by events alone", reason=str(error))


def _tick(seconds: float) -> Request:
    return Request(
        id=str(uuid.uuid4()),
        command=TICK,
        arguments={"seconds": f"{seconds:.3f}"},
        who=socket.gethostname(),
        why="no events come",
    )
