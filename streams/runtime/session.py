"""One connection of an agent to Kafka: its consumer, its producer, the tasks of its partitions.

A session lives until the first error. Then the open transaction is aborted, the session is closed
without a commit, and the engine connects again: the next session begins from the last commit.
Between batches nothing is in flight, so a rebalance, which librdkafka announces only while it is
polled, finds every task at rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

import structlog
from confluent_kafka import KafkaException, TopicPartition

from millrace.schemas import BrokerError, SnapshotError
from millrace.streams.control.in_force import Skipped
from millrace.streams.interval import Interval
from millrace.streams.kafka.protocols import Place
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin, place_of
from millrace.streams.runtime.archiving import Archiver
from millrace.streams.runtime.assignment import Assignment
from millrace.streams.runtime.batching import Pace
from millrace.streams.runtime.definitions import AgentDefinitions
from millrace.streams.runtime.folding import FoldingNote
from millrace.streams.runtime.inbox import Inbox, RebalanceListener
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.runtime.saving import Saving
from millrace.streams.runtime.takeover import Takeover
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import StateRecord

_SAVE_SECONDS = 0.04  # of a save, between two batches

_log = structlog.get_logger(__name__)

InThread: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]


async def _at_once(call: Callable[[], None]) -> None:
    call()


class Session:
    """Polls, folds and commits. All of it but `fold` runs in the agent's Kafka thread.

    Parameters
    ----------
    agent
        The agent's name.
    outbox
        What the agent writes and commits.
    state_outbox
        Where it writes its state, in commits of their own.
    open_inbox
        Joins the group, whose rebalances the session is told of.
    definitions
        What the agent makes of each definition.
    state
        Where the agent's state is kept.
    takeover
        Makes the tasks of partitions, with the state that they had.
    metrics
        Where what happens is counted.
    flush, offsets
        When the state is due, and offsets of batches without output.
    clock
        Seconds, monotonic: measures how long slices and commits take.
    note
        Where it is said what is being folded.
    archiver
        Keeps versions of the state; None: nobody does.
    is_outdated
        Returns whether the definition in force has other sources than this session reads.

    Attributes
    ----------
    assignments
        Partition to its task.
    is_ready
        Whether the agent has been given its partitions.
    is_broken
        Whether an error has occurred: then nothing is committed any more.
    unsaved
        Why the state could not be saved the last time; empty if it was.
    """

    def __init__(
        self,
        agent: str,
        *,
        outbox: Outbox,
        state_outbox: Outbox,
        open_inbox: Callable[[RebalanceListener], Inbox],
        definitions: AgentDefinitions,
        state: StateLog,
        takeover: Takeover,
        metrics: Metrics,
        flush: Interval,
        offsets: Interval,
        clock: Callable[[], float],
        note: FoldingNote,
        archiver: Archiver | None = None,
        is_outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self._agent = agent
        self._note = note
        self._one_by_one = note.before
        self._archiver = archiver
        self._definitions = definitions
        self._state = state
        self._takeover = takeover
        self._metrics = metrics
        self._flush = flush
        self._offsets = offsets
        self._clock = clock
        self._pace = Pace()
        self._rest: list[Origin] = []
        self._saving: Saving | None = None
        self.is_ready = self.is_broken = False
        self.unsaved = ""
        self.assignments: dict[int, Assignment] = {}
        self.outbox = outbox
        self._state_outbox = state_outbox
        self.is_outdated = is_outdated
        self.inbox = open_inbox(self)

    def poll(self, most_records: int) -> list[Origin]:
        """Return the records to fold: first those that the last batch had no time for.

        Where there are none, use the moment to commit.
        """
        self.inbox.hold(self._held_back())
        ahead = self._pace.records_ahead(most_records)
        more = self.inbox.poll(ahead, held=len(self._rest))
        origins, self._rest = self._rest + more, []
        if not origins or self._begins_elsewhere:
            self._commit_leftovers()
        self._follow_definitions()
        return origins

    def _follow_definitions(self) -> None:
        """Let tasks that read no commands take the definition in force, between two batches.

        Only ingest does. It has no state, and each record that it writes names its schema: so where
        it goes over to another definition changes nothing that is learned.
        """
        if not self._definitions.agent.routes:
            return
        for each in self.assignments.values():
            each.live.follow(self._definitions.in_force)
            self.outbox.codec = each.live.definition.codec

    async def fold(self, origins: list[Origin], in_thread: InThread = _at_once) -> int:
        """Pass records through the tasks for as long as a batch may take; return how many.

        A command that asks for a snapshot is saved at its place, by `in_thread`: it makes a call
        in the agent's Kafka thread.

        Other agents have their turn after every slice. The records that are left are the first of
        the next batch.
        """
        started, folded = self._clock(), 0
        for partition, batch in groupby(origins, attrgetter("partition")):
            for part in self._pace.slices(batch):
                if folded and self._clock() - started >= self._pace.batch_seconds:
                    self._rest = origins[folded:]
                    return folded
                folded += len(part)
                await self._fold_part(partition, part, in_thread)
        return folded

    async def _fold_part(self, partition: int, part: list[Origin], in_thread: InThread) -> None:
        assignment = self.assignments.get(partition)
        if assignment is None:
            return  # revoked while the batch was polled, and not committed
        for is_live, run in assignment.runs(part):
            for slice_ in self._slices(partition, run):
                rest: Sequence[Origin] = slice_
                while rest:
                    self._fold_slice(assignment, rest, is_live)
                    rest = assignment.rest
                    if assignment.can_stop:  # else what is arranged is folded first
                        await self._keep_version(assignment, in_thread)
                await asyncio.sleep(0)
        await self._keep_version(assignment, in_thread)

    def _fold_slice(self, assignment: Assignment, slice_: Sequence[Origin], is_live: bool) -> None:
        started = self._clock()
        task = assignment.task
        self._note.begin(self._agent, slice_)
        outputs, tally = assignment.fold(slice_)
        self._note.end()
        if task is not assignment.task:
            self._metrics.watch(self._agent, assignment.partition, assignment.task)
        if is_live:  # else they were written and counted before
            self.outbox.put_all(outputs)
            self.outbox.tally += tally
        self._pace.note_slice(len(slice_), self._clock() - started)

    async def _keep_version(self, assignment: Assignment, in_thread: InThread) -> None:
        """Save the state at once, and have it archived, where a command asks for it."""
        version = assignment.take_version()
        if not version:
            return
        if self._archiver is None:
            event = "a snapshot is asked for, and this worker has no archive: set MILLRACE_ARCHIVE"
            _log.warning(event, version=version, partition=assignment.partition)
            return
        await in_thread(partial(self.commit, only=assignment))
        self._archiver.ask(version, assignment.partition, assignment.next_offset)

    def _slices(self, partition: int, run: Iterable[Origin]) -> Iterator[list[Origin]]:
        """Cut records into slices: of one record where the process before has ended."""
        ended = self._one_by_one
        if ended is None or (self._agent, partition) != (ended.agent, ended.last[1]):
            yield from self._pace.slices(run)
            return
        for origin in run:
            yield [origin]
            if ended.includes_end(origin):
                self._one_by_one = None

    def is_folding(self, record: Skipped) -> bool:
        """Whether a record is being folded. Any thread may ask."""
        folding = [each.live.folding for each in [*self.assignments.values()]]
        return any(place_of(origin) == record for origins in folding for origin in origins)

    def commit(self, is_last: bool = False, only: Assignment | None = None) -> None:
        """Commit outputs with their offsets; then, when it is due, begin to save the state.

        A save goes on with the next commits; the last one saves all at once, and so does that of
        `only` one partition.

        Offsets of batches without output may wait: to fold those again would repeat nothing. A
        task that begins elsewhere than the one before it saves its state with its first offsets.
        """
        started = self._clock()
        self._pass_markers()
        is_moved = any(each.is_moved for each in self.assignments.values())
        at_once = is_last or only is not None
        is_due = at_once or is_moved or self._flush.is_due
        for partition, assignment in self.assignments.items():
            self._put_state(partition, assignment.take_order(self._state))
        unsaved = self._unsaved() if is_moved else []
        for each in unsaved:
            self._put_state(each.partition, each.unsaved_state(self._state))
        with_offsets = is_due or self.outbox.is_in_transaction or self._offsets.is_due
        offsets = self._take_offsets(again=is_due) if with_offsets else {}
        self.outbox.commit(self.inbox.consumer, self._positions(offsets))
        for each in unsaved:
            each.mark_saved(self._state)
        if with_offsets:
            self._offsets.restart()
        self._pace.note_commit(self._clock() - started)
        is_held = self._archiver is not None and self._archiver.is_holding
        if at_once or ((is_due or self.is_saving) and not is_held):
            self._save(at_once, only)
        self.inbox.report_lag(self._next_offsets())

    def close(self) -> None:
        """Leave the group: with a last commit, or, where the session is broken, without any."""
        if self.is_broken:
            self._abort()
        try:
            with closing(self.inbox):  # which revokes, and so commits
                if not self.is_broken:
                    self.inbox.reach_ends()
        finally:
            self._abort()  # where the last commit failed
            self._drop()
            self.outbox.close()
            self._state_outbox.close()

    def on_assign(self, partitions: list[TopicPartition]) -> None:
        """Take partitions over from their previous owners."""
        self._state_outbox.renew()
        self.outbox.renew()
        self._pace, self._rest = Pace(), []
        self.assignments = self._takeover.take(self.inbox, self._transactional_ids, partitions)
        for each in self.assignments.values():
            each.live.before_change = self._give_up_save
        self.inbox.start(self._next_offsets())
        self._metrics.up.labels(self._agent).set(1)
        self._flush.restart()
        self._show_to_archiver()
        self.is_ready = True

    def on_revoke(self, _partitions: list[TopicPartition]) -> None:
        """Commit, and hand the partitions on; a broken session commits nothing."""
        if not self.is_broken:
            self.commit(is_last=True)
            self._takeover.release(self._transactional_ids)
        self._drop()

    def on_lost(self, partitions: list[TopicPartition]) -> None:
        """Abort: another worker has the partitions already."""
        _log.warning(
            "lost partitions: the group gave them to others, or ended the session",
            agent=self._agent,
            lost=len(partitions),
        )
        self._abort()
        self._drop()

    def _save(self, at_once: bool, only: Assignment | None) -> None:
        """Go on with writing the state, for a moment or, at once, from begin to end.

        It is in a commit of its own, which may be refused while predictions go on. It says up to
        which offset it goes. So it may lag behind the outputs, and a restart folds what lies
        between without writing it again; but it must never be ahead of them.
        """
        if at_once:  # it is behind what is to be saved now
            self._give_up_save()
        if self._saving is None:
            self._flush.restart()
            unsaved = self._unsaved() if only is None else [only]
            self._saving = Saving(unsaved, self._state, self._state_outbox)
        saving, started = self._saving, self._clock()
        seconds = math.inf if at_once else _SAVE_SECONDS
        try:
            is_done = saving.go_on(lambda: self._clock() - started >= seconds)
            if is_done and not saving.is_empty:
                offsets = self._take_offsets(again=True)
                self._state_outbox.commit(self.inbox.consumer, self._positions(offsets))
        except (BrokerError, KafkaException, SnapshotError) as error:
            self.unsaved = self._state_outbox.refusal(error)
            if not self.unsaved:
                raise
            self._state_outbox.take_back()
            self._metrics.state_refused.labels(self._agent).inc()
            _log.error("state is not saved", agent=self._agent, reason=f"{self.unsaved}: {error}")
            saving.give_up()
        else:
            self._metrics.save_pause_seconds.labels(self._agent).observe(self._clock() - started)
            if not is_done:
                return
            saving.end()
            self.unsaved = ""
            self._metrics.flush_timestamp.labels(self._agent).set(time.time())
        self._saving = None
        self._flush.restart()

    def _give_up_save(self) -> None:
        """Take back what has been written of a save that goes on."""
        if self._saving is not None:
            self._saving.give_up()
            self._state_outbox.take_back()
            self._saving = None

    def _show_to_archiver(self) -> None:
        for each in self.assignments.values():
            each.take_version()  # which an owner before was asked for
        if self._archiver is not None:
            self._archiver.assign(self.assignments)

    @property
    def warning(self) -> str:
        """What is wrong although events are predicted; empty while nothing is."""
        if self.unsaved:
            return f"state is not saved: {self.unsaved}"
        failure = "" if self._archiver is None else self._archiver.failure
        return failure and f"the archive is not written: {failure}"

    @property
    def is_saving(self) -> bool:
        """Whether a save has begun that goes on with the next commits."""
        return self._saving is not None

    @property
    def _begins_elsewhere(self) -> bool:
        """Whether a task without state begins where no commit says so: it is kept before it folds.

        Else one that begins with what comes from now on would begin later, after a failure.
        """
        is_moved = any(each.is_moved for each in self.assignments.values())
        return is_moved and self._definitions.agent.routes

    @property
    def _transactional_ids(self) -> str:
        """What this worker writes under, separated by spaces; empty without transactions."""
        ids = (self.outbox.transactional_id, self._state_outbox.transactional_id)
        return " ".join(ids).strip()

    def _abort(self) -> None:
        self.outbox.abort()
        self._state_outbox.abort()

    def _unsaved(self) -> list[Assignment]:
        return [each for each in self.assignments.values() if each.is_unsaved]

    def _put_state(self, partition: int, entries: Iterable[StateRecord]) -> int:
        """Write entries of the state as part of the next commit; return how many."""
        count = 0
        for count, entry in enumerate(entries, 1):  # noqa: B007 - the last one is their number
            self.outbox.put_state(partition, entry)
        return count

    def _commit_leftovers(self) -> None:
        self._pass_markers()
        assignments = self.assignments.values()
        is_unsaved = self._flush.is_due and any(each.is_unsaved for each in assignments)
        if (
            is_unsaved
            or self._saving
            or any(each.is_uncommitted or each.is_moved for each in assignments)
        ):
            self.commit()
        self.inbox.report_lag(self._next_offsets())

    def _pass_markers(self) -> None:
        """Count what is never handed out as read: else, once it expires, it would be missed."""
        for partition, assignment in self.assignments.items():
            for topic, offset in assignment.next_offset.items():
                assignment.next_offset[topic] = self.inbox.behind((topic, partition), offset)

    def _positions(self, offsets: dict[Place, int]) -> list[TopicPartition]:
        digests = {p: each.live.definition.digest for p, each in self.assignments.items()}
        return self.inbox.positions(offsets, digests)

    def _take_offsets(self, again: bool) -> dict[Place, int]:
        return {
            (topic, partition): offset
            for partition, assignment in self.assignments.items()
            for topic, offset in assignment.take_uncommitted(again).items()
        }

    def _held_back(self) -> frozenset[Place]:
        """Return the inputs of which many records wait for their turn."""
        return frozenset(
            (topic, partition)
            for partition, each in self.assignments.items()
            if each.order is not None
            for topic in each.order.ahead
        )

    def _next_offsets(self) -> dict[Place, int]:
        return {
            (topic, partition): offset
            for partition, assignment in self.assignments.items()
            for topic, offset in assignment.next_offset.items()
        }

    def _drop(self) -> None:
        self.assignments, self._rest, self._saving = {}, [], None
        self._show_to_archiver()
        self._metrics.forget(self._agent)
