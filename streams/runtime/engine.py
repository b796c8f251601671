"""The engine of one agent: a batch in, a fold, a commit, again and again.

The agent asks for a batch, folds it through the tasks of its partitions, and commits outputs,
input offsets and, when due, state together. After an error the engine connects again and begins
from the last commit, with clients and tasks made anew, later each time that it fails in a row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import structlog

from millrace.schemas import SnapshotError, TopicError
from millrace.streams.control.in_force import Skipped
from millrace.streams.kafka.bounded import DaemonExecutor
from millrace.streams.kafka.errors import STALLED, UNREACHABLE, is_outage, public_reason
from millrace.streams.kafka.outage import Outage
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin
from millrace.streams.runtime.session import Session

_MAX_BACKOFF_SECONDS = 30.0
_MAX_DOUBLINGS = 16
_CLOSE_SECONDS = 12.0  # the supervisor kills what has not stopped after 15

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Batch(NamedTuple):
    """Records that were read together, and the session that has read them."""

    session: Session
    origins: list[Origin]


class _Failure(NamedTuple):
    """What is kept of an exception; the exception itself would keep clients alive."""

    kind: str
    reason: str
    is_outage: bool
    is_of_a_topic: bool


class Engine:
    """Runs one agent on Kafka.

    Parameters
    ----------
    name
        The agent's.
    connect
        Opens a session; called in the engine's Kafka thread.
    metrics
        Where what happens is counted.
    most_records
        In a batch.
    stall_seconds
        Without progress while records wait, until it is called a stall.
    backoff_seconds
        Before the first restart; doubled with every failure in a row.
    outage
        Told of failures that are the broker's, and of batches that succeed.
    on_refused
        Called where saved state cannot be loaded, with the reason: only the user can help.
    clock
        Seconds, monotonic: measures how long batches take.
    """

    def __init__(
        self,
        name: str,
        *,
        connect: Callable[[], Session],
        metrics: Metrics,
        most_records: int,
        stall_seconds: float,
        backoff_seconds: float,
        outage: Outage,
        on_refused: Callable[[SnapshotError], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._connect = connect
        self._metrics = metrics
        self._most_records = most_records
        self._stall_seconds = stall_seconds
        self._backoff_seconds = backoff_seconds
        self._clock = clock
        self._session: Session | None = None
        self._failure: _Failure | None = None
        self._outage = outage
        self._on_refused = on_refused
        self._failures = 0
        self._is_restart_due = self._is_stalled = False
        self._stopping = asyncio.Event()
        self._batch: asyncio.Task[None] | None = None
        self._thread = DaemonExecutor(f"kafka-{name}")
        metrics.up.labels(name).set(0)

    async def next_batch(self) -> Batch | None:
        """Wait for records; return None when it is time to stop, or saved state is refused.

        Raises
        ------
        BrokerError
            The consumer met an error that is not transient.
        """
        await self._finish_batch()
        while not self._stopping.is_set():
            try:
                if self._is_restart_due:
                    await self._restart()
                elif batch := await self._in_thread(self._poll):
                    return batch
            except asyncio.CancelledError:
                self._is_restart_due = True  # what was just polled is lost; it is read again
                raise
            except SnapshotError as error:
                self.stop()
                self._on_refused(error)
        return None

    def stop(self) -> None:
        """Begin no other batch."""
        self._stopping.set()

    async def process(self, batch: Batch) -> None:
        """Fold a batch and commit it, to the end even when the caller is cancelled."""
        self._batch = asyncio.ensure_future(self._process(batch))
        await asyncio.shield(self._batch)

    async def close(self) -> None:
        """Finish the batch, commit, save the state and leave the group.

        Where the last commit fails, in the middle of a rebalance perhaps, or the broker does not
        answer in time, nothing is lost: the next owner of the partitions begins from the commit
        before. So nothing is raised, and the other agents can close, too.
        """
        try:
            await asyncio.wait_for(self._close(), _CLOSE_SECONDS)
        except Exception:
            reason = self._reason if self._failure else f"no answer within {_CLOSE_SECONDS:.0f} s"
            _log.error("closed without a last commit", agent=self.name, reason=reason)
        self._thread.shutdown()

    async def _close(self) -> None:
        await self._finish_batch()
        await self._in_thread(self._disconnect)

    @property
    def is_ready(self) -> bool:
        """Whether the agent has been given its partitions."""
        session = self._session
        return session is not None and session.is_ready and not session.is_broken

    def has_partition(self, partition: int) -> bool:
        """Whether the agent has been given this partition."""
        session = self._session
        return self.is_ready and session is not None and partition in session.assignments

    @property
    def failure(self) -> str:
        """What kind of failure there is, until a batch succeeds again; empty while all is well.

        In public words: the details are in the log.
        """
        if self._failure is not None:
            return self._failure.kind
        if self._outage.is_long:
            return UNREACHABLE
        return STALLED if self._stall() else ""

    @property
    def warning(self) -> str:
        """What is wrong although events are predicted; empty while nothing is."""
        return "" if self._session is None else self._session.warning

    def is_folding(self, record: Skipped) -> bool:
        """Whether a record is being folded. Any thread may ask."""
        session = self._session
        return session is not None and session.is_folding(record)

    def check_progress(self) -> None:
        """Log a stall, once."""
        stall = self._stall()
        if stall and not self._is_stalled:
            _log.error(stall, agent=self.name)
        self._is_stalled = bool(stall)

    def _stall(self) -> str:
        return "" if self._session is None else self._session.inbox.stall(self._stall_seconds)

    def _poll(self) -> Batch | None:
        if self._session is not None and self._session.is_outdated():
            self._disconnect()
        if self._session is None:
            self._session = self._connect()
        origins = self._session.poll(self._most_records)
        return Batch(self._session, origins) if origins else None

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    async def _process(self, batch: Batch) -> None:
        started = self._clock()
        try:
            records = await batch.session.fold(batch.origins, self._in_thread)
        except BaseException as error:
            self._break(error)
            raise
        await self._in_thread(batch.session.commit)
        self._failures, self._failure = 0, None
        self._outage.end()
        self._metrics.batch_seconds.labels(self.name).observe(self._clock() - started)
        self._metrics.batch_records.labels(self.name).observe(records)

    async def _finish_batch(self) -> None:
        if self._batch is not None and not self._batch.done():
            await asyncio.wait([self._batch])

    async def _restart(self) -> None:
        """Begin again from the last commit, later each time it fails in a row."""
        doublings = min(self._failures, _MAX_DOUBLINGS)
        backoff_seconds = min(self._backoff_seconds * 2**doublings, _MAX_BACKOFF_SECONDS)
        self._failures += 1
        self._metrics.restarts.labels(self.name).inc()
        if self._failure is not None and self._failure.is_outage:
            self._outage.note(f"agent {self.name}: {self._reason}")
        else:
            is_of_a_topic = self._failure is not None and self._failure.is_of_a_topic
            log = _log.error if is_of_a_topic else _log.warning  # Faust logs the others as errors
            log(
                "restarting from the last commit",
                agent=self.name,
                reason=self._reason,
                backoff_seconds=backoff_seconds,
            )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), backoff_seconds)
            return
        self._is_restart_due = False
        await self._in_thread(self._disconnect)

    def _break(self, error: BaseException) -> None:
        if self._session is not None:
            self._session.is_broken = True
        self._is_restart_due = True
        reason = f"{type(error).__name__}: {error}"
        is_of_a_topic = isinstance(error, TopicError)
        self._failure = _Failure(public_reason(error), reason, is_outage(error), is_of_a_topic)

    @property
    def _reason(self) -> str:
        return "interrupted" if self._failure is None else self._failure.reason

    def _guarded(self, call: Callable[[], T]) -> T:
        """Make a call; its error breaks the session, whether somebody still waits for it or not."""
        try:
            return call()
        except BaseException as error:
            self._break(error)
            raise

    async def _in_thread(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._guarded, call)
