"""One partition's chain of operators: the pure heart of an agent.

A task holds the operators of one agent for one partition and passes each record through them,
depth first, so that what a record leads to is finished before the next record begins. What the
next operator in the chain reads goes to it by a function call; the rest is returned, to be
written to topics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from streams.operators.base import Operator, Tally
from streams.operators.record import Record
from streams.operators.state import KeyedState

PRIVATE = frozenset({"clean", "features", "examples"})
"""Topics that exist only to join agents: not written where a function call does it."""


class Task:
    """The operators of one agent for one partition.

    Parameters
    ----------
    operators
        In the order in which a record meets them.
    clock_ms
        Milliseconds since the Unix epoch: stamped on predictions as they leave, and read
        nowhere else.
    """

    def __init__(self, operators: Iterable[Operator], clock_ms: Callable[[], int]) -> None:
        self.operators = tuple(operators)
        self._clock_ms = clock_ms
        topics = {topic for each in self.operators for topic in each.reads | each.writes}
        self._readers = {
            topic: [each for each in self.operators if topic in each.reads] for topic in topics
        }
        self._joined = {topic for topic in topics if self._readers[topic]} & PRIVATE

    def run(self, record: Record) -> list[Record]:
        """Fold one record into the state and return what is to be written, in order."""
        published: list[Record] = []
        self._forward(record, published)
        return published

    def stores(self) -> Iterator[tuple[str, KeyedState]]:
        """Return every store under its full name, `<operator>/<store>`."""
        for operator in self.operators:
            for name, store in operator.stores.items():
                yield f"{operator.name}/{name}", store

    def take_tally(self) -> Tally:
        """Return what happened since the last call, and forget it."""
        total: Tally = Counter()
        for operator in self.operators:
            total += operator.tally
            operator.tally.clear()
        return total

    def _forward(self, record: Record, published: list[Record]) -> None:
        for operator in self._readers[record.topic]:
            for made in operator.process(record):
                if made.topic == "predictions":
                    made.value["prediction_time_ms"] = self._clock_ms()
                if made.topic not in self._joined:
                    published.append(made)
                if made.topic in self._readers:
                    self._forward(made, published)
