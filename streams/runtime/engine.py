"""The engine of one agent: a batch in, a fold, a commit.

The agent asks for a batch, folds it through the tasks of its partitions, and commits outputs,
input offsets and, when due, state together. Between batches nothing is in flight, so that a
rebalance, which librdkafka announces only while it is polled, finds every task at rest.

An error leaves the engine broken: the open transaction is aborted, and the next batch begins
from the last commit, with clients and tasks made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog
from confluent_kafka import TopicPartition

from millrace.schemas import RecordError
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin, Record, reject
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.assignment import Assignment, Assignments
from millrace.streams.runtime.batching import Interval, Pace, slices
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.state.log import StateLog
from millrace.streams.topology.codec import TopicCodec

_MAX_BACKOFF_SECONDS = 30.0
_OFFSETS_SECONDS = 0.1  # where no transaction has to hold them: a broker is slow to store them

_log = structlog.get_logger(__name__)


class Engine:
    """Runs one agent on Kafka.

    Parameters
    ----------
    name
        The agent's.
    inbox, outbox
        What it reads, and what it writes and commits.
    codec
        Bytes to records and back.
    state
        Where the agent's state is kept.
    assignments
        Makes the tasks of partitions, with the state that they had.
    metrics
        Where what happens is counted.
    pace, flush
        How many records it takes at once, and when it writes the state.
    stall_seconds
        Without progress while records wait, until it is called a stall.

    Attributes
    ----------
    is_ready
        Whether the agent has been given its partitions.
    """

    def __init__(
        self,
        name: str,
        *,
        inbox: Inbox,
        outbox: Outbox,
        codec: TopicCodec,
        state: StateLog,
        assignments: Assignments,
        metrics: Metrics,
        pace: Pace,
        flush: Interval,
        stall_seconds: float,
    ) -> None:
        self.name = name
        self.is_ready = False
        self._error = ""
        self._inbox, self._outbox = inbox, outbox
        self._codec = codec
        self._state = state
        self._assignments = assignments
        self._metrics = metrics
        self._pace, self._flush = pace, flush
        self._offsets = Interval(_OFFSETS_SECONDS)
        self._stall_seconds = stall_seconds
        self._assigned: dict[int, Assignment] = {}
        self._is_broken = self._is_interrupted = self._is_stalled = False
        self._failures = 0
        self._stopping = asyncio.Event()
        self._batch: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{name}")
        metrics.up.labels(name).set(0)

    async def next_batch(self) -> list[Origin]:
        """Wait for records; return at least one, and none only when it is time to stop.

        Raises
        ------
        BrokerError
            The consumer met an error that it cannot go on from.
        """
        while not self._stopping.is_set():
            try:
                if self._is_broken or self._is_interrupted:
                    await self._recover()
                    continue
                batch: list[Origin] = await self._in_thread(self._poll)
                if batch:
                    return batch
                await self._in_thread(self._rest)
            except asyncio.CancelledError:
                self._is_interrupted = True  # what was just polled is lost; what was folded is not
                raise
            except BaseException as error:
                self._break(error)
                raise
        return []

    def stop(self) -> None:
        """Let no batch begin any more."""
        self._stopping.set()

    async def process(self, batch: list[Origin]) -> None:
        """Fold a batch and commit it, to the end even when the caller is cancelled."""
        self._batch = asyncio.ensure_future(self._process(batch))
        await asyncio.shield(self._batch)

    async def close(self) -> None:
        """Finish the batch, commit, save the state and leave the group.

        Where the last commit fails, in the middle of a rebalance perhaps, nothing is lost: whoever
        has the partitions next begins from the one before. So it keeps no other agent from closing.
        """
        if self._batch is not None and not self._batch.done():
            await asyncio.wait([self._batch])
        try:
            await self._in_thread(self._close)
        except Exception as error:
            self._break(error)
            _log.error("left without a last commit", agent=self.name, reason=self._error)
            await self._in_thread(self._close)
        self._thread.shutdown()

    @property
    def failure(self) -> str:
        """What went wrong, until a batch succeeds again, or a stall; empty while all is well."""
        return self._error or self._inbox.stall(self._stall_seconds)

    def check_progress(self) -> None:
        """Log a stall, once."""
        stall = self._inbox.stall(self._stall_seconds)
        if stall and not self._is_stalled:
            _log.error(stall, agent=self.name)
        self._is_stalled = bool(stall)

    async def _process(self, batch: list[Origin]) -> None:
        started = time.perf_counter()
        try:
            await self._fold(batch)
            folded = time.perf_counter()
            await self._in_thread(self._commit)
        except BaseException as error:
            self._break(error)
            raise
        self._failures, self._error = 0, ""
        committed = time.perf_counter()
        self._pace.note(len(batch), folded - started, committed - folded)
        self._metrics.batch_seconds.labels(self.name).observe(committed - started)
        self._metrics.batch_records.labels(self.name).observe(len(batch))

    async def _fold(self, batch: list[Origin]) -> None:
        """Pass a batch through the tasks, giving way to other agents after every slice."""
        for partition, origins in groupby(batch, attrgetter("partition")):
            assignment = self._assigned.get(partition)
            if assignment is None:
                continue  # gone to another worker while the batch was taken, and not committed
            for is_live, run in assignment.runs([*origins]):
                for part in slices(run):
                    self._fold_slice(assignment, part, is_live)
                    await asyncio.sleep(0)

    def _fold_slice(self, assignment: Assignment, origins: list[Origin], is_live: bool) -> None:
        records, undecodable = [], []
        for origin in origins:
            if origin.offset < assignment.next_offset[origin.topic]:
                continue  # a rebalance while the batch was taken: it comes, or came, once more
            assignment.next_offset[origin.topic] = origin.offset + 1
            try:
                records.append(self._codec.decode(origin))
            except RecordError as error:
                undecodable.append(reject(origin, error.reason, error.detail))
        outputs = [*assignment.task.run(Slice(records)), *undecodable]
        tally = assignment.task.take_tally()
        if is_live:  # otherwise it was written and counted when it was first folded
            for record in outputs:
                self._put(record)
            for record in undecodable:
                tally["rejected_event", record.value["reason"]] += 1
            self._outbox.tally += tally

    def _put(self, record: Record) -> None:
        try:
            self._outbox.put(record)
        except RecordError as error:  # a value that no Avro type holds, such as text cut in half
            self._outbox.put(reject(record.origin, error.reason, error.detail))
            self._outbox.tally["rejected_event", error.reason.value] += 1

    def _poll(self) -> list[Origin]:
        if not self._inbox.is_open:
            self._outbox.open()
            self._inbox.open(self._on_assign, self._on_revoke, self._on_lost)
        return self._inbox.poll(self._pace.records)

    def _rest(self) -> None:
        """Use a moment without records: commit what is due, and see whether any wait."""
        assigned = self._assigned.values()
        is_unsaved = self._flush.is_due and any(each.is_unsaved for each in assigned)
        if is_unsaved or any(each.is_uncommitted for each in assigned):
            self._commit()
        self._inbox.report_lag(self._positions())

    def _on_assign(self, partitions: list[TopicPartition]) -> None:
        if not self._outbox.is_open:  # it was given up with what was lost
            self._outbox.open()
        self._assigned = self._assignments.take(partitions)
        self._inbox.start(self._positions())
        self._metrics.up.labels(self.name).set(1)
        self._flush.restart()
        self.is_ready = True

    def _on_revoke(self, _partitions: list[TopicPartition]) -> None:
        if not self._is_broken:
            self._commit(is_last=True)
            self._assignments.release(self._assigned)
        self._drop()

    def _on_lost(self, partitions: list[TopicPartition]) -> None:
        _log.warning("lost partitions to another worker", agent=self.name, lost=len(partitions))
        self._outbox.abort()
        self._drop()

    def _drop(self) -> None:
        self._assigned = {}
        self._metrics.forget(self.name)

    def _positions(self) -> dict[tuple[str, int], int]:
        return {
            (topic, partition): offset
            for partition, assignment in self._assigned.items()
            for topic, offset in assignment.next_offset.items()
        }

    def _commit(self, is_last: bool = False) -> None:
        """Commit outputs with their offsets and, when it is due, state; at last, all of it.

        Offsets of a batch that led to no output may wait: to fold it again would repeat nothing.
        """
        is_flushed = is_last or self._flush.is_due
        for partition, assignment in self._assigned.items():
            for entry in assignment.take_unwritten(self._state, is_flushed):
                self._outbox.put_state(partition, entry)
        with_offsets = is_flushed or self._outbox.is_in_transaction or self._offsets.is_due
        offsets = {
            (topic, partition): offset
            for partition, assignment in self._assigned.items()
            if with_offsets
            for topic, offset in assignment.take_uncommitted(is_flushed).items()
        }
        self._outbox.commit(self._inbox.consumer, self._inbox.positions(offsets))
        if is_flushed:
            self._flush.restart()
            self._metrics.flush_timestamp.labels(self.name).set(time.time())
        if with_offsets:
            self._offsets.restart()
        self._inbox.report_lag(self._positions())

    def _break(self, error: BaseException) -> None:
        self._is_broken = True
        self.is_ready = False
        self._error = f"{type(error).__name__}: {error}"

    async def _recover(self) -> None:
        """Begin again from the last commit, later each time it fails in a row."""
        backoff_seconds = min(0.1 * 2**self._failures, _MAX_BACKOFF_SECONDS)
        self._failures += 1
        self._metrics.restarts.labels(self.name).inc()
        _log.warning(
            "restarting from state",
            agent=self.name,
            reason=self._error,
            backoff_seconds=backoff_seconds,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), backoff_seconds)
            return
        await self._in_thread(self._close)
        self._is_broken = self._is_interrupted = False

    def _close(self) -> None:
        if self._is_broken:
            self._outbox.abort()
        self._inbox.close()  # which revokes, and so commits, where nothing is broken
        self._drop()
        self._outbox.close()

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
