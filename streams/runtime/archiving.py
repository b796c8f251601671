"""The archive is written beside the agent that learns, in a thread of its own.

Each period it writes the version of that time, for the partitions that the agent has. A command can
ask for one, too: until that is read, the agent's state is not saved again, so that it is the state
at the place of the command. Where the archive fails, this is said, and predictions go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from threading import Condition, Thread

import structlog

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import MillraceError
from millrace.streams.kafka.errors import public_reason
from millrace.streams.kafka.protocols import Clients
from millrace.streams.observability.metrics import Metrics
from millrace.streams.settings import Settings
from millrace.streams.state.archive.store import open_archive
from millrace.streams.state.archive.writing import ArchiveWriter
from millrace.streams.state.log import StateLog
from millrace.streams.topology.topics import topic_prefix

_LOOK_SECONDS = 15.0
_AGAIN_SECONDS = 1.0  # where a snapshot is waited for
_MOST_HELD_SECONDS = 60.0
_STOP_SECONDS = 5.0

_log = structlog.get_logger(__name__)


def archiver_of(
    settings: Settings,
    pipeline: Pipeline,
    clients: Clients,
    key: bytes,
    metrics: Metrics,
) -> Archiver | None:
    """Return what writes the archive that settings name; None where they name none.

    Raises
    ------
    SettingsError
        See `state.archive.store.ArchiveStore`.
    """
    if not settings.archive:
        return None
    if settings.is_embedded:
        _log.warning("the embedded broker keeps no state to archive: nothing is archived")
        return None
    agent = next(each for each in settings.agents_of(pipeline) if "learning" in each)
    prefix = topic_prefix(pipeline)
    state = StateLog(pipeline, agent, clients, prefix, key)
    writer = ArchiveWriter(
        open_archive(settings, prefix), agent, state, prefix, key, settings.retention, _now_ms
    )
    return Archiver(writer, agent.name, metrics)


class Archiver:
    """Writes versions of the state of the partitions that an agent has.

    Parameters
    ----------
    writer
        Writes them.
    agent
        Its name.
    metrics
        Where it is shown.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    failure
        Why it could not be written the last time, in public words; empty if it was.
    """

    def __init__(
        self,
        writer: ArchiveWriter,
        agent: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._agent = agent
        self._metrics = metrics
        metrics.archive_failures.labels(agent)  # begins at 0
        self._clock = clock
        self._changed = Condition()
        self._is_stopping = False
        self._partitions: frozenset[int] = frozenset()
        self._asked: dict[tuple[str, int], Mapping[str, int]] = {}
        self._held_until = 0.0
        self._written: set[tuple[str, int]] = set()
        self.failure = ""
        self._thread = Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End once the file that is being written is there, or after some seconds."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def assign(self, partitions: Iterable[int]) -> None:
        """Write the versions of these partitions from now on, and of no others."""
        with self._changed:
            self._partitions = frozenset(partitions)
            self._asked = {each: to for each, to in self._asked.items() if each[1] in partitions}
            self._changed.notify()

    def ask(self, version: str, partition: int, covers: Mapping[str, int]) -> None:
        """Write a version of a partition as soon as possible, unless it is there.

        Parameters
        ----------
        covers
            Input topic to the offset of the place at which it was asked for.
        """
        with self._changed:
            self._asked[version, partition] = dict(covers)
            self._held_until = self._clock() + _MOST_HELD_SECONDS
            self._changed.notify()

    @property
    def is_holding(self) -> bool:
        """Whether the state is not to be saved again yet, for a while."""
        with self._changed:
            return bool(self._asked) and self._clock() < self._held_until

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self.work()
                self.failure = ""
            except Exception as error:
                self._fail(error)
            with self._changed:
                if not self._is_stopping:
                    self._changed.wait(_AGAIN_SECONDS if self.is_holding else _LOOK_SECONDS)

    def work(self) -> None:
        """Write what is asked for and what is due.

        Raises
        ------
        MillraceError
            The state cannot be read, or a file not be written: it is tried again later.
        """
        with self._changed:
            asked, due = dict(self._asked), self._writer.due
            by_time = [(due, each) for each in sorted(self._partitions)]
        for (version, partition), covers in asked.items():
            if self._write(version, partition, covers):
                with self._changed:
                    self._asked.pop((version, partition), None)
        waiting = [each for each in by_time if each not in self._written]
        done = {each for each in waiting if self._write(*each, {})}
        if done:
            self._written = {each for each in self._written if each[0] == due} | done
            self._writer.thin()

    def _write(self, version: str, partition: int, covers: Mapping[str, int]) -> bool:
        if not self._writer.write(version, partition, covers):
            return False
        self._metrics.archive_timestamp.labels(self._agent).set(time.time())
        return True

    def _fail(self, error: Exception) -> None:
        self.failure = public_reason(error)
        self._metrics.archive_failures.labels(self._agent).inc()
        is_known = isinstance(error, MillraceError)
        reason = str(error) if is_known else f"{type(error).__name__}: {error}"
        _log.error("the archive is not written; predictions go on", reason=reason)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
