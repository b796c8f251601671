"""In which order the tasks of assigned partitions take their inputs: as notes on Kafka have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from millrace.streams.runtime.topic_watch import TopicWatch
from millrace.streams.state.input_order import InputOrder, Note
from millrace.streams.state.order_log import OrderLog
from millrace.streams.state.records import Saved
from millrace.streams.topology.chain import AgentSpec


class Orders:
    """Finds the order of each partition.

    Parameters
    ----------
    agent
        Whose tasks.
    log
        Where the order is noted.
    watch
        Knows which topics the inputs are.
    """

    def __init__(self, agent: AgentSpec, log: OrderLog, watch: TopicWatch) -> None:
        self._agent = agent
        self._log = log
        self._watch = watch
        self._recent = defaultdict[int, list[Note]](list)

    def read(self, saved: Mapping[int, Saved]) -> None:
        """Read what was noted since states were saved, of all partitions together."""
        self._recent.clear()
        if self._agent.keeps_order:
            for partition, note in self._read({at: each.order for at, each in saved.items()}):
                self._recent[partition].append(note)

    def of(
        self,
        partition: int,
        begins: Mapping[str, int],
        ends: Mapping[str, int],
        folded: Mapping[str, int],
        saved: Saved | None,
    ) -> InputOrder | None:
        """Return the order of several inputs, where state depends on it.

        Parameters
        ----------
        begins, ends, folded
            See `InputOrder`.
        saved
            The state. If it is lost, all notes are needed: they may be many, and are read one after
            the other as they are followed.
        """
        if len(begins) < 2 or not self._agent.keeps_order:
            return None
        if saved is None:
            notes: Iterable[Note] = (note for _, note in self._read({partition: 0}))
            return InputOrder(begins, notes, ends=ends, folded=folded)
        notes = self._recent.pop(partition, [])
        return InputOrder(begins, notes, ends=ends, folded=folded, unkept=self._earlier(saved))

    def _read(self, begins: Mapping[int, int]) -> Iterable[tuple[int, Note]]:
        return self._log.read(begins, self._watch.known, is_settled=True)

    def _earlier(self, saved: Saved) -> Note | None:
        """Return what an earlier release has noted beside the state, if it is of these inputs."""
        known = self._watch.known
        is_of_others = any(
            each.is_another(known[topic]) for topic, each in saved.inputs.items() if topic in known
        )
        return Note(saved.covers, saved.runs) if saved.runs and not is_of_others else None
