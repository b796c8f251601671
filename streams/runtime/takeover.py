"""Taking partitions over: the previous owner is fenced, the state is read, gaps are refused.

Where a task begins: at the group's committed offsets, if it has no state to keep; else at the
offsets that its saved state covers, or at the beginning of the log, from which it is rebuilt.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import structlog
from confluent_kafka import TopicPartition

from millrace.schemas import BrokerError
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.transactions import fence
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import Origin, SnapshotRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.assignment import Assignment, has_state
from millrace.streams.runtime.inbox import Inbox
from millrace.streams.state.input_order import InputOrder
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

_log = structlog.get_logger(__name__)


class Takeover:
    """Makes the tasks of partitions that are assigned to an agent.

    Parameters
    ----------
    agent
        The agent's name.
    clients
        Makes the producers that fence others.
    factory
        Makes the agent's tasks.
    state
        The agent's.
    metrics
        Where the time to restore, and gaps, are reported.
    accept_gaps
        Whether to continue without records that the broker no longer has.
    """

    def __init__(
        self,
        agent: str,
        *,
        clients: Clients,
        factory: TaskFactory,
        state: StateLog,
        metrics: Metrics,
        accept_gaps: bool,
    ) -> None:
        self._agent = agent
        self._clients = clients
        self._factory = factory
        self._state = state
        self._metrics = metrics
        self._accept_gaps = accept_gaps

    def take(
        self, inbox: Inbox, transactional_id: str, assigned: list[TopicPartition]
    ) -> dict[int, Assignment]:
        """Return the partitions' tasks as they were when they were last committed.

        Parameters
        ----------
        inbox
            Has been assigned the partitions.
        transactional_id
            What this worker writes under; empty without transactions.

        Raises
        ------
        BrokerError
            Records that are needed have expired, and gaps are not accepted.
        SnapshotError
            The saved state may not be loaded.
        """
        started = time.perf_counter()
        partitions = sorted({each.partition for each in assigned})
        saved = self._read_as_owner(partitions, transactional_id)
        committed = inbox.committed(assigned)
        taken = {p: self._assignment(inbox, p, committed, saved.get(p)) for p in partitions}
        self._load_published_models(inbox, taken)
        seconds = time.perf_counter() - started
        self._metrics.restore_seconds.labels(self._agent).set(seconds)
        _log.info(
            "assigned",
            agent=self._agent,
            partitions=partitions,
            restored=sorted(saved),
            restore_seconds=round(seconds, 3),
        )
        return taken

    def release(self, transactional_id: str, partitions: Iterable[int]) -> None:
        """Record that this worker has left nothing open in the partitions."""
        owned = [*partitions]
        if transactional_id and owned:
            self._state.own(owned, None)

    def _read_as_owner(self, partitions: list[int], transactional_id: str) -> dict[int, Saved]:
        """Read the state of partitions, once no other worker can write it."""
        saved = self._state.read(partitions)
        if not transactional_id or not partitions:
            return saved
        others = {*self._state.owners.values()} - {transactional_id}
        for other in sorted(others):
            _log.warning("fencing another worker's transaction", agent=self._agent, worker=other)
            fence(self._clients, other)
        self._state.own(partitions, transactional_id)
        return self._state.read(partitions) if others else saved

    def _assignment(
        self, inbox: Inbox, partition: int, committed: Mapping[Place, int], saved: Saved | None
    ) -> Assignment:
        task = self._factory.make()
        if saved is not None:
            saved.restore(task)
        start = {
            topic: self._start(inbox, (topic, partition), committed, saved, task)
            for topic in inbox.topics
        }
        self._metrics.watch(self._agent, partition, task)
        return Assignment(
            partition=partition,
            task=task,
            next_offset=start,
            committed={topic: at for (topic, each), at in committed.items() if each == partition},
            order=_order(start, task, saved),
            flushes=0 if saved is None else saved.flush,
        )

    def _start(
        self,
        inbox: Inbox,
        place: Place,
        committed: Mapping[Place, int],
        saved: Saved | None,
        task: Task,
    ) -> int:
        """Return where to begin: where the group was, where the state ends, or at the beginning."""
        topic, partition = place
        earliest = inbox.earliest(topic, partition)
        at = committed.get(place)
        if at is not None and not has_state(task):
            wanted = at  # whatever an earlier definition, which had state, has left
        elif saved is not None and topic in saved.covers:
            wanted = saved.covers[topic]
        elif at is None or topic == "models":
            return earliest  # nothing of it has been read yet, or it is compacted
        else:
            wanted = 0
            if at:
                _log.warning(
                    "no saved state: rebuilding it from the log",
                    agent=self._agent,
                    topic=topic,
                    partition=partition,
                    from_offset=earliest,
                    to_offset=at,
                )
        if earliest > wanted:
            self._accept_gap(topic, partition, wanted, earliest)
        return max(earliest, wanted)

    def _accept_gap(self, topic: str, partition: int, wanted: int, earliest: int) -> None:
        """Refuse to continue without records that have expired, unless the user accepts gaps."""
        if not self._accept_gaps:
            raise BrokerError(
                f"agent {self._agent} needs {topic}[{partition}] from offset {wanted} on, but the"
                f" earliest on the broker is {earliest}: up to {earliest - wanted} records have"
                " expired, fewer where transactions were among them (their markers take up"
                " offsets). To continue without them, set MILLRACE_ACCEPT_GAPS=true"
            )
        self._metrics.skipped.labels(self._agent, topic).inc(earliest - wanted)
        _log.error(
            "continuing without records that have expired",
            agent=self._agent,
            topic=topic,
            partition=partition,
            from_offset=wanted,
            to_offset=earliest,
        )

    def _load_published_models(self, inbox: Inbox, taken: dict[int, Assignment]) -> None:
        """Begin with the newest models, where they come over a topic."""
        if "models" in inbox.topics:
            for partition, published in self._state.models(taken):
                origin = Origin("models", partition, 0, 0, None, None)
                taken[partition].task.run(Slice([SnapshotRecord(published, origin)]))


def _order(start: Mapping[str, int], task: Task, saved: Saved | None) -> InputOrder | None:
    """Return the order of several inputs, where state depends on it.

    Not with `models` among them: it is compacted, and cannot be read again in order.
    """
    if len(start) < 2 or "models" in start or not has_state(task):
        return None
    return InputOrder(() if saved is None else saved.runs, start)
