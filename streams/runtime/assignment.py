"""One assigned partition: its task, and the task's place in the log.

Records that the state covers are never folded again. Those after them, up to the group's committed
offset, are replayed without output: their outputs were written before. From then on the task is
live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from millrace.streams.kafka.identity import Identity
from millrace.streams.operators.base import Tally
from millrace.streams.operators.columns import Made
from millrace.streams.operators.record import Origin
from millrace.streams.state.input_order import InputOrder
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import StateRecord
from millrace.streams.topology.live_task import LiveTask
from millrace.streams.topology.task import Task


@dataclass
class Assignment:
    """One partition's task at its place in the log.

    Attributes
    ----------
    live
        The task, under the definition that it has at its place.
    next_offset
        Input topic to the next record to fold.
    committed
        Input topic to the offset that the group has committed, where it has.
    order
        Where the task reads several topics: the order in which it takes them.
    order_end
        Returns the offset behind the last note on the order that is committed, or less.
    inputs
        Input topic to which topic it is.
    flushes
        How often the state was written.
    is_moved
        Whether the task begins elsewhere than those before it have left off, and this is to be
        saved at once.
    live_from
        Input topic to the first record that had not been committed before.
    can_stop
        Whether what comes may be left for later: not where more was arranged than one slice.
    rest
        What was not folded of the last slice, behind a command that asks for a snapshot.
    """

    partition: int
    live: LiveTask
    next_offset: dict[str, int]
    committed: dict[str, int]
    order: InputOrder | None
    inputs: Mapping[str, Identity] = field(default_factory=dict)
    flushes: int = 0
    is_moved: bool = False
    order_end: Callable[[], int] = lambda: 0
    live_from: dict[str, int] = field(init=False)
    can_stop: bool = True
    rest: Sequence[Origin] = ()
    _version: str = ""
    _saved: dict[str, int] = field(init=False)
    _covered: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.live_from = {topic: self.committed.get(topic, 0) for topic in self.next_offset}
        self._saved = {} if self.is_moved else dict(self.next_offset)
        self._covered = self._saved

    def runs(self, arriving: list[Origin]) -> Iterable[tuple[bool, Iterable[Origin]]]:
        """Return the records whose turn it is, in order, in runs that are live or are not."""
        self.can_stop = self.order is None or self.order.followed is None
        arranged = arriving if self.order is None else self.order.arrange(arriving)
        if all(self.next_offset[topic] >= at for topic, at in self.live_from.items()):
            return [(True, arranged)]
        return groupby(arranged, lambda origin: origin.offset >= self.live_from[origin.topic])

    @property
    def task(self) -> Task:
        """Its task."""
        return self.live.task

    def fold(self, origins: Iterable[Origin]) -> tuple[list[Made], Tally]:
        """Pass records through the task; return its outputs, and what happened.

        Records that were folded before are skipped: after a rebalance in the middle of a batch
        they are read twice. A record that cannot be decoded becomes a reject.
        """
        unfolded = self._unfolded(origins)
        made, undecodable, self.rest = self.live.fold(unfolded, to_snapshot=self.can_stop)
        self._go_on_behind(unfolded[: len(unfolded) - len(self.rest)])
        outputs = [*made, *undecodable]
        tally = self.task.take_tally()
        for record in undecodable:
            tally["rejected_event", record.value["reason"]] += 1
        return outputs, tally

    def take_version(self) -> str:
        """Return the version that a command has asked for since the last call; empty for none."""
        before, self._version = self._version, self.task.version
        return "" if self._version == before else self._version

    @property
    def is_unsaved(self) -> bool:
        """Whether anything was folded since the state was last written."""
        return self._saved != self.next_offset

    @property
    def is_uncommitted(self) -> bool:
        """Whether the task has come further than the offsets that are committed."""
        return bool(self._moved())

    def take_uncommitted(self, again: bool) -> dict[str, int]:
        """Return the offsets that have moved since the last call; with `again`, the others too.

        Only a transaction with offsets is fenced by the group's generation. A zombie that has
        read nothing new must not write its state behind that of the next owner.
        """
        moved = self._moved()
        self.committed |= moved
        self.is_moved = False
        return self.live_from | self.committed if again else moved

    def take_order(self, state: StateLog) -> Iterator[StateRecord]:
        """Return the order of what was folded since the last call, to be followed in a replay."""
        if self.order is not None:
            for note in self.order.take_notes():
                yield state.order.record(self.partition, note, self.inputs)

    def unsaved_state(self, state: StateLog) -> Iterator[StateRecord]:
        """Return what has changed since the state was saved.

        It is the state as it is now, though the task may go on while it is written. It is to be
        committed with or after the offsets that it goes up to; then `mark_saved`.
        """
        covers, number = dict(self.next_offset), self.flushes + 1
        self._covered = covers
        if not has_state(self.task):
            return iter(())
        digest, order = self.live.definition.digest, self._order_from()
        return state.flush(self.partition, self.task, covers, number, self.inputs, digest, order)

    def mark_saved(self, state: StateLog) -> None:
        """Note that the unsaved state was committed."""
        if has_state(self.task):
            state.mark_saved(self.partition, self.task)
            self.flushes += 1
        self._saved = self._covered

    def give_up(self, state: StateLog) -> None:
        """Note that it was not."""
        if has_state(self.task):
            state.give_up(self.partition, self.task)

    def _order_from(self) -> int:
        """Return an offset before which nothing is noted that is to be followed from here on."""
        if self.order is None:
            return 0
        followed = self.order.followed
        return self.order_end() if followed is None else followed.offset

    def _unfolded(self, origins: Iterable[Origin]) -> list[Origin]:
        """Return the records that were not folded before.

        Offsets of a topic ascend, so that the first of a run tells whether any has been.
        """
        unfolded, begins = list[Origin](), dict(self.next_offset)
        for topic, of_topic in groupby(origins, attrgetter("topic")):
            run = [*of_topic]
            if run[0].offset < begins[topic]:
                run = [each for each in run if each.offset >= begins[topic]]
            if run:
                begins[topic] = run[-1].offset + 1
                unfolded += run
        return unfolded

    def _go_on_behind(self, folded: Iterable[Origin]) -> None:
        """Note which records have been folded, and in which order."""
        for topic, of_topic in groupby(folded, attrgetter("topic")):
            run = [*of_topic]
            if self.order is not None:
                self.order.note(run, self.next_offset)
            self.next_offset[topic] = run[-1].offset + 1

    def _moved(self) -> dict[str, int]:
        return {
            topic: offset
            for topic, offset in self.next_offset.items()
            if offset > self.committed.get(topic, 0)
        }


def has_state(task: Task) -> bool:
    """Return whether a task keeps anything between records."""
    return any(True for _ in task.stores())
