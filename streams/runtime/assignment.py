"""What a worker has of a partition that is its own: the task, its place in the log, its state.

On assignment, a partition's state is read back with the input offsets that it covers. Records
from there up to the group's committed offset are folded again in silence; from then on the task
is live. Who had the partition before is first kept from writing to it ever again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

import structlog
from confluent_kafka import TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin, SnapshotRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.state.input_order import InputOrder
from millrace.streams.state.log import Saved, StateLog, StateRecord
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

_log = structlog.get_logger(__name__)


@dataclass
class Assignment:
    """One partition's task at its place in the log.

    Attributes
    ----------
    next_offset
        Input topic to the next record to fold.
    live_from
        Input topic to the first record that has not been folded and committed before.
    order
        Where the task reads several topics: the order in which it takes them.
    """

    partition: int
    task: Task
    next_offset: dict[str, int]
    live_from: dict[str, int]
    order: InputOrder | None
    flushes: int = 0
    _committed: dict[str, int] = field(default_factory=dict)
    _saved: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._committed = dict(self.live_from)
        self._saved = dict(self.next_offset)

    def runs(self, arriving: list[Origin]) -> Iterable[tuple[bool, Iterable[Origin]]]:
        """Return the records whose turn it is, in order, in runs that are live or are not.

        A record is not live that was folded and committed before.
        """
        arranged = arriving if self.order is None else self.order.arrange(arriving)
        if all(self.next_offset[topic] >= at for topic, at in self.live_from.items()):
            return [(True, arranged)]
        return groupby(arranged, lambda origin: origin.offset >= self.live_from[origin.topic])

    @property
    def is_unsaved(self) -> bool:
        """Whether anything was folded since the state was last written."""
        return self._saved != self.next_offset

    @property
    def is_uncommitted(self) -> bool:
        """Whether anything was folded since the offsets were last committed."""
        return any(at > self._committed.get(topic, 0) for topic, at in self.next_offset.items())

    def take_uncommitted(self, again: bool) -> dict[str, int]:
        """Return the offsets that have moved since the last call; with `again`, the others too.

        Only with offsets in it is a transaction fenced by the group's generation. A zombie that
        has read nothing new must not get its state, or its farewell, past its heir.
        """
        moved = {
            topic: offset
            for topic, offset in self.next_offset.items()
            if offset > self._committed.get(topic, 0)
        }
        self._committed |= moved
        return {topic: at for topic, at in self._committed.items() if at} if again else moved

    def take_unwritten(self, state: StateLog, is_flushed: bool) -> Iterator[StateRecord]:
        """Return what a commit is to write of the state: with a flush all of it, else the order."""
        if is_flushed and self.is_unsaved:
            if any(True for _ in self.task.stores()):
                covers, self.flushes = dict(self.next_offset), self.flushes + 1
                yield from state.flush(self.partition, self.task, covers, self.flushes)
            self._saved = dict(self.next_offset)
        yield from self._take_order(state, is_flushed)

    def _take_order(self, state: StateLog, is_flushed: bool) -> Iterator[StateRecord]:
        """Return the order of what was folded since the last call, for it to be followed again.

        After a flush only what is still to follow counts: the rest is in the state.
        """
        if self.order is None:
            return
        runs = self.order.take_runs()
        if is_flushed:
            runs = self.order.runs_to_follow()
        if runs:
            yield state.order(self.partition, runs)


class Assignments:
    """Takes partitions over, and hands them on.

    Parameters
    ----------
    name
        The agent's.
    factory
        Makes the agent's tasks.
    inbox, outbox, state
        The agent's.
    metrics
        Where the time to restore, and gaps, are reported.
    accept_gaps
        Whether records that the broker no longer has may be done without.
    """

    def __init__(
        self,
        name: str,
        *,
        factory: TaskFactory,
        inbox: Inbox,
        outbox: Outbox,
        state: StateLog,
        metrics: Metrics,
        accept_gaps: bool,
    ) -> None:
        self._name = name
        self._factory = factory
        self._inbox = inbox
        self._outbox = outbox
        self._state = state
        self._metrics = metrics
        self._accept_gaps = accept_gaps

    def take(self, positions: list[TopicPartition]) -> dict[int, Assignment]:
        """Return the partitions' tasks as they were when they were last committed.

        Raises
        ------
        BrokerError
            Records that are needed are gone, and gaps are not accepted.
        SnapshotError
            The saved state may not be loaded.
        """
        started = time.perf_counter()
        partitions = sorted({each.partition for each in positions})
        saved = self._take_over(partitions)
        committed = self._inbox.committed(positions)
        taken = {each: self._assignment(each, committed, saved.get(each)) for each in partitions}
        self._load_published_models(taken)
        seconds = time.perf_counter() - started
        self._metrics.restore_seconds.labels(self._name).set(seconds)
        _log.info(
            "assigned",
            agent=self._name,
            partitions=partitions,
            restored=sorted(saved),
            restore_seconds=round(seconds, 3),
        )
        return taken

    def release(self, partitions: Iterable[int]) -> None:
        """Say that nothing of this worker is left open in the partitions."""
        owned = [*partitions]
        if self._outbox.is_transactional and owned:
            self._state.own(owned, None)

    def _take_over(self, partitions: list[int]) -> dict[int, Saved]:
        """Read the state of partitions, once nobody else can write it."""
        saved = self._state.read(partitions)
        if self._outbox.is_transactional and partitions:
            strangers = set(self._state.owners.values()) - {self._outbox.transactional_id}
            for each in strangers:
                _log.warning("ending what another worker left open", agent=self._name, worker=each)
                self._outbox.fence(each)
            self._state.own(partitions, self._outbox.transactional_id)
            if strangers:
                saved = self._state.read(partitions)
        return saved

    def _assignment(
        self, partition: int, committed: dict[tuple[str, int], int], saved: Saved | None
    ) -> Assignment:
        task = self._factory.make()
        if saved is not None:
            saved.restore(task)
        topics = self._inbox.topics
        live_from = {topic: committed.get((topic, partition), 0) for topic in topics}
        start = {topic: self._start(topic, partition, committed, saved, task) for topic in topics}
        self._metrics.watch(self._name, partition, task)
        return Assignment(
            partition=partition,
            task=task,
            next_offset=start,
            live_from=live_from,
            order=self._order(task, saved),
            flushes=0 if saved is None else saved.flush,
        )

    def _start(
        self,
        topic: str,
        partition: int,
        committed: dict[tuple[str, int], int],
        saved: Saved | None,
        task: Task,
    ) -> int:
        """Return where to begin: where the state ends, where the group was, or at the beginning."""
        earliest = self._inbox.earliest(topic, partition)
        is_stateless = not any(True for _ in task.stores())
        at = committed.get((topic, partition))
        if is_stateless and at is not None:
            wanted = at  # whatever an earlier definition, which had state, has left
        elif saved is not None and topic in saved.covers:
            wanted = saved.covers[topic]
        elif at is None or topic == "models":
            return earliest  # nothing of it has been read yet, or it is compacted
        else:
            wanted = 0
            _log.warning(
                "no saved state: rebuilding it from the log",
                agent=self._name,
                topic=topic,
                partition=partition,
                from_offset=earliest,
                to_offset=at,
            )
        if earliest > wanted:
            self._meet_gap(topic, partition, wanted, earliest)
        return max(earliest, wanted)

    def _meet_gap(self, topic: str, partition: int, wanted: int, earliest: int) -> None:
        """Refuse to go on without records that are gone, unless that is the user's will."""
        if not self._accept_gaps:
            raise BrokerError(
                f"agent {self._name} requires {topic}[{partition}] from offset {wanted}; got"
                f" {earliest}, the earliest there is: {earliest - wanted} records have expired."
                " To go on without them, set MILLRACE_ACCEPT_GAPS=true"
            )
        self._metrics.skipped.labels(self._name, topic).inc(earliest - wanted)
        _log.error(
            "went on without records that have expired",
            agent=self._name,
            topic=topic,
            partition=partition,
            from_offset=wanted,
            to_offset=earliest,
        )

    def _order(self, task: Task, saved: Saved | None) -> InputOrder | None:
        """Keep the order of several inputs, where state depends on it.

        Not with `models` among them: it is compacted, and cannot be read again in order.
        """
        topics = self._inbox.topics
        if len(topics) < 2 or "models" in topics or not any(True for _ in task.stores()):
            return None
        return InputOrder(() if saved is None else saved.runs)

    def _load_published_models(self, taken: dict[int, Assignment]) -> None:
        """Begin with the newest models, where they come over a topic."""
        if "models" in self._inbox.topics:
            for partition, published in self._state.models(taken):
                origin = Origin("models", partition, 0, 0, None, None)
                taken[partition].task.run(Slice([SnapshotRecord(published, origin)]))
