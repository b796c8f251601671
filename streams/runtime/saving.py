"""A save of the state, a little after each batch.

To write the state may take seconds, and records must not wait for it. So a save goes on for a few
hundredths of a second at a time. What it writes is the state of each partition when its turn came
(`streams.state.flush`), in one transaction of a producer of its own: entries without their manifest
would hide those that count. The outputs of the batches between are committed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from millrace.streams.runtime.assignment import Assignment
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import StateRecord


class Saving:
    """One save, of partitions whose outputs are committed whenever it goes on.

    Parameters
    ----------
    assignments
        Whose state is not saved.
    state
        Where it is kept.
    outbox
        Writes the state, and nothing else.

    Attributes
    ----------
    is_empty
        Whether there is nothing to commit so far.
    """

    def __init__(self, assignments: Sequence[Assignment], state: StateLog, outbox: Outbox) -> None:
        self._waiting = [*assignments]
        self._begun: list[Assignment] = []
        self._state = state
        self._outbox = outbox
        self._entries = self._all()
        self.is_empty = True

    def go_on(self, is_time_up: Callable[[], bool]) -> bool:
        """Write at least one more entry, until time is up; return whether all are written."""
        for partition, entry in self._entries:
            self._outbox.put_state(partition, entry)
            self.is_empty = False
            if is_time_up():
                return False
        return True

    def end(self) -> None:
        """Note that it was committed."""
        for each in self._begun:
            each.mark_saved(self._state)

    def give_up(self) -> None:
        """Note that it was not: what has changed is to be saved still."""
        for each in self._begun:
            each.give_up(self._state)

    def _all(self) -> Iterator[tuple[int, StateRecord]]:
        for each in self._waiting:
            self._begun.append(each)
            for entry in each.unsaved_state(self._state):
                yield each.partition, entry
