"""Taking partitions over: the previous owner is fenced, the state is read, gaps are refused.

Where a task begins: at the group's committed offsets, if it has no state to keep; else at the
offsets that its saved state covers, or at the beginning of the log, from which it is rebuilt.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import structlog
from confluent_kafka import TopicPartition

from millrace.models.pipeline.definition import Scope
from millrace.models.pipeline.sources import Start
from millrace.streams.kafka.admin import widen_topics
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Clients, Place
from millrace.streams.kafka.reading import Watermarks
from millrace.streams.kafka.transactions import fence
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.slice import Slice
from millrace.streams.runtime.assignment import Assignment, has_state
from millrace.streams.runtime.definitions import AgentDefinitions
from millrace.streams.runtime.gaps import Gap, Position, find_gap
from millrace.streams.runtime.inbox import Committed, Inbox
from millrace.streams.runtime.orders import Orders
from millrace.streams.runtime.topic_watch import TopicWatch
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved
from millrace.streams.topology.live_task import LiveTask
from millrace.streams.topology.names import full_name
from millrace.streams.topology.partitions import check_inputs, check_keys, is_widened
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import shown_name, topic_prefix, topics_beside

_log = structlog.get_logger(__name__)


class Takeover:
    """Makes the tasks of partitions that are assigned to an agent.

    Parameters
    ----------
    agent
        The agent's name.
    clients
        Makes the producers that fence others.
    definitions
        What the agent makes of each definition.
    state
        The agent's.
    watch
        Knows which topics the agent's are.
    metrics
        Where the time to restore, and gaps, are reported.
    accept_gaps
        Whether to continue without records that the broker no longer has.
    starts
        Topic to where it is read from for the first time, if it is not its beginning.
    seen
        Topic to which one it was when this process took partitions of it over the last time.
    """

    def __init__(
        self,
        agent: str,
        *,
        clients: Clients,
        definitions: AgentDefinitions,
        state: StateLog,
        watch: TopicWatch,
        metrics: Metrics,
        accept_gaps: bool,
        starts: Mapping[str, Start | str | datetime] = MappingProxyType({}),
        seen: dict[str, Identity] | None = None,
    ) -> None:
        self._agent = agent
        self._clients = clients
        self._definitions = definitions
        self._spec = definitions.agent
        self._state = state
        self._watch = watch
        self._metrics = metrics
        self._accept_gaps = accept_gaps
        self._starts = {topic: at for topic, at in starts.items() if at != Start.EARLIEST}
        self._seen = {} if seen is None else seen
        self._prefix = topic_prefix(definitions.own)
        self._orders = Orders(self._spec, state.order, watch)
        self._owned: list[int] = []

    def take(
        self, inbox: Inbox, transactional_ids: str, assigned: list[TopicPartition]
    ) -> dict[int, Assignment]:
        """Return the partitions' tasks as they were when they were last committed.

        Parameters
        ----------
        inbox
            Has been assigned the partitions.
        transactional_ids
            What this worker writes under, separated by spaces; empty without transactions.

        Raises
        ------
        BrokerError
            Records that are needed are not there any more, and gaps are not accepted.
        SnapshotError
            The saved state may not be loaded.
        """
        started = time.perf_counter()
        self._watch.identify()
        self._fit_topics()
        places = inbox.places(assigned)
        partitions = sorted(places)
        self._owned = self._partitions_to_own(places)
        saved = self._read_as_owner(partitions, transactional_ids)
        committed = inbox.committed(assigned)
        inbox.first_partitions = self._first_partitions(inbox)
        known_before = {partition for _, partition in committed} | {*saved}
        self._check_keys(saved, known_before.issuperset(partitions))
        self._orders.read(saved)  # after what is committed, which waits for it to be final
        taken = {}
        for partition, topics in sorted(places.items()):
            known = {topic: each for (topic, at), each in committed.items() if at == partition}
            taken[partition] = self._assignment(
                inbox, topics, partition, known, saved.get(partition)
            )
        self._load_published_models(inbox, taken)
        self._seen |= self._watch.known
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

    def release(self, transactional_ids: str) -> None:
        """Record that this worker has left nothing open in its partitions."""
        owned, self._owned = self._owned, []
        if transactional_ids and owned:
            self._state.own(owned, None)

    def _fit_topics(self) -> None:
        """Let topics of state have as many partitions as the inputs; refuse inputs that differ.

        Both may change under a running worker: somebody has added partitions.
        """
        agent, prefix, known = self._spec, self._prefix, self._watch.known
        counts = {topic: known[topic].partitions for topic in agent.reads}
        check_inputs(agent, counts, prefix)
        needed = max(counts.values())
        ours = [*topics_beside(agent), *filter(is_widened, agent.reads)]
        narrow = [each for each in ours if known[each].partitions < needed]
        widen_topics(self._clients, {full_name(prefix, topic): needed for topic in narrow})

    def _partitions_to_own(self, places: Mapping[int, Collection[str]]) -> list[int]:
        """Return the partitions of the widest input: those of another may be somebody else's."""
        known, reads = self._watch.known, sorted(self._spec.reads)
        widest = max(reads, key=lambda topic: known[topic].partitions)
        return sorted(partition for partition, topics in places.items() if widest in topics)

    def _check_keys(self, saved: Mapping[int, Saved], is_each_known: bool) -> None:
        """Refuse to go on where keys are on other partitions than the state was made with.

        A partition that is new has no state to compare with: then that of the others is read.
        """
        agent, known = self._spec, self._watch.known
        if agent.routes or self._definitions.own.scope == Scope.GLOBAL:
            return
        if not is_each_known:
            saved = self._state.read(range(max(known[each].partitions for each in agent.reads)))
        for state in saved.values():
            for topic in sorted(
                each for each in agent.reads & {*state.inputs} if not is_widened(each)
            ):
                before, now = state.inputs[topic].partitions, known[topic].partitions
                check_keys(agent, topic, before, now, self._prefix)

    def _read_as_owner(self, partitions: list[int], transactional_ids: str) -> dict[int, Saved]:
        """Read the state of partitions, once no other worker can write it."""
        saved = self._state.read(partitions)
        if not transactional_ids or not partitions:
            return saved
        owners = {each: owner for each, owner in self._state.owners.items() if each in self._owned}
        others = {*owners.values()} - {transactional_ids}
        for other in sorted(others):
            _log.warning("fencing another worker's transaction", agent=self._agent, worker=other)
            for transactional_id in other.split():
                fence(self._clients, transactional_id)
        self._state.own(self._owned, transactional_ids)
        return self._state.read(partitions) if others else saved

    def _assignment(
        self,
        inbox: Inbox,
        topics: Iterable[str],
        partition: int,
        committed: Mapping[str, Committed],
        saved: Saved | None,
    ) -> Assignment:
        live = self._live(partition, committed, saved)
        task = live.task
        offsets = {topic: each.offset for topic, each in committed.items()}
        start, ends, is_moved = {}, {}, False
        for topic in topics:
            marks = inbox.watermarks(topic, partition)
            ends[topic] = marks.high
            before = self._before((topic, partition), committed.get(topic), saved, task)
            if before is None:  # nothing of it has been read yet
                start[topic] = self._beginning(inbox, (topic, partition), marks, task)
                is_moved |= start[topic] > 0 or topic in self._starts
            elif (gap := self._gap(topic, partition, before, marks)) is None:
                start[topic] = before.wanted
            else:
                start[topic] = marks.low
                is_moved |= topic != "models"
                if gap.cause != "expired":
                    offsets.pop(topic, None)  # it is of another log
        self._metrics.watch(self._agent, partition, task)
        return Assignment(
            partition=partition,
            live=live,
            next_offset=start,
            committed=offsets,
            order=self._orders.of(partition, start, ends, offsets, saved),
            order_end=lambda: inbox.watermarks(self._state.order.topic, partition).high,
            inputs=self._watch.known,
            flushes=0 if saved is None else saved.flush,
            is_moved=is_moved,
        )

    def _beginning(self, inbox: Inbox, place: Place, marks: Watermarks, task: Task) -> int:
        """Return where a partition is read from of which nothing has been read yet.

        One that was not there when the group began with its topic is read from its beginning.
        """
        topic, partition = place
        start = self._starts.get(topic, Start.EARLIEST)
        if self._is_another(topic):
            _log.warning(
                "reading a topic from its beginning: it was deleted and created again",
                agent=self._agent,
                topic=full_name(self._prefix, topic),
                partition=partition,
                from_offset=marks.low,
            )
        if start == Start.EARLIEST or has_state(task):
            return marks.low
        if partition >= inbox.first_partitions[topic]:
            return marks.low
        found = None
        if isinstance(start, datetime):
            found = inbox.offset_at(place, int(start.timestamp() * 1000))
        return marks.high if found is None else found

    def _first_partitions(self, inbox: Inbox) -> dict[str, int]:
        """Return how many partitions topics had when the group began with them.

        A partition that nothing is committed of may be another worker's, which begins at the same
        moment, or one that was added since: only what is committed of the others tells. A release
        that did not keep that count kept the one of when it committed.
        """
        topics = sorted(self._starts.keys() & {*inbox.topics})
        if not topics:
            return {}
        found, counts = inbox.committed_of(topics), dict[str, int]()
        for topic in topics:
            now = self._watch.known[topic]
            known = [each for each in found.get(topic, ()) if each.topic is not None]
            firsts = [
                each.topic.partitions if each.first_partitions is None else each.first_partitions
                for each in known
                if each.topic is not None and not each.topic.is_another(now)
            ]
            is_new = len(firsts) < len(known) or self._is_another(topic)
            counts[topic] = 0 if is_new else min([*firsts, now.partitions])
        return counts

    def _is_another(self, topic: str) -> bool:
        """Whether a topic was created again since this process has read it."""
        before = self._seen.get(topic)
        return before is not None and before.is_another(self._watch.known[topic])

    def _live(
        self, partition: int, committed: Mapping[str, Committed], saved: Saved | None
    ) -> LiveTask:
        """Return the task as it is at the place where it begins.

        State says its own definition. A task without state begins where the group is, and what was
        committed says it; one whose state is lost begins with the log.
        """
        if saved is not None:
            live = self._definitions.live(saved.definition)
            saved.restore(live.task)
            return live
        known = [each.definition for each in committed.values() if each.definition]
        live = self._definitions.live(known[0] if known else "")
        if known and not has_state(live.task):
            return live
        return self._definitions.begin(partition)

    def _before(
        self, place: Place, committed: Committed | None, saved: Saved | None, task: Task
    ) -> Position | None:
        """Return how far an input was read: by the group, as far as the state goes, or not at all.

        Where the state is lost, it is needed from its beginning.
        """
        topic, partition = place
        reached = 0 if committed is None else committed.offset
        if committed is not None and not has_state(task):
            return Position(reached, reached, committed.topic)  # whatever an earlier one has left
        if saved is not None and topic in saved.covers:
            covered = saved.covers[topic]
            known = saved.inputs.get(topic, committed.topic if committed else None)
            return Position(covered, max(covered, reached), known)
        if committed is None or topic == "models":
            return None
        if reached:
            _log.warning(
                "no saved state: rebuilding it from the log",
                agent=self._agent,
                topic=full_name(self._prefix, topic),
                partition=partition,
                from_offset=0,
                to_offset=reached,
            )
        return Position(0, reached, committed.topic)

    def _gap(self, topic: str, partition: int, before: Position, marks: Watermarks) -> Gap | None:
        """Return what keeps the agent from going on where it was, if the user accepts it.

        Raises
        ------
        BrokerError
            Something does, and it is not accepted.
        """
        name, now = full_name(self._prefix, topic), self._watch.known[topic]
        gap = find_gap(self._agent, f"{name}[{partition}]", before, now, marks)
        if gap is None or topic == "models":  # compacted: the newest are there, and that is enough
            return gap
        if not self._accept_gaps:
            raise gap.error
        shown = shown_name(self._prefix, topic)
        self._metrics.gaps.labels(self._agent, shown, gap.cause).inc()
        self._metrics.skipped.labels(self._agent, shown).inc(gap.records)
        _log.error(
            "continuing behind a gap in the input",
            agent=self._agent,
            topic=name,
            partition=partition,
            cause=gap.cause,
            explanation=gap.explanation,
            from_offset=before.wanted,
            to_offset=marks.low,
        )
        return gap

    def _load_published_models(self, inbox: Inbox, taken: dict[int, Assignment]) -> None:
        """Begin with the newest models, where they come over a topic."""
        if "models" in inbox.topics:
            for published in self._state.published.read(taken):
                taken[published.origin.partition].task.run(Slice([published]))
