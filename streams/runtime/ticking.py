"""Ticks: the log is told how much time passes while no events come.

What waits expires by the times of events. Where no more come, it would wait for ever. So the worker
that takes commands looks once in a while whether all agents, of whichever worker, have read their
inputs to the ends, and sends the command `tick` as long as they have and nothing new has come.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import MillraceError
from millrace.streams.control.commands import TICK
from millrace.streams.kafka.commands import Request, send
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.runtime.background import Background
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.engine import Engine
from millrace.streams.runtime.reading_progress import Reading, ReadingProgress
from millrace.streams.settings import Settings
from millrace.streams.topology.chain import CONTROL_AGENT, AgentSpec
from millrace.streams.topology.topics import topic_prefix

_PARTITION = 0  # of `commands`

_log = structlog.get_logger(__name__)


def ticker_of(
    settings: Settings,
    pipeline: Pipeline,
    clients: Clients,
    definitions: Definitions,
    engines: Iterable[Engine],
) -> Ticker | None:
    """Return what sends the ticks of a worker; None where time passes by events alone.

    An embedded broker ends with the worker, and what waits with it.

    Parameters
    ----------
    definitions, engines
        The worker's.
    """
    if not settings.tick_seconds or settings.is_embedded:
        return None
    prefix, key = topic_prefix(pipeline), settings.command_key.get_secret_value().encode()

    def agents() -> tuple[AgentSpec, ...]:
        return settings.agents_of(definitions.find(definitions.in_force))

    control = next(each for each in engines if each.name == CONTROL_AGENT.name)
    return Ticker(
        ReadingProgress(clients, prefix, agents),
        partial(send, clients, prefix, key=key),
        is_ours=lambda: control.has_partition(_PARTITION),
        seconds=settings.tick_seconds,
    )


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
