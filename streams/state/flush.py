"""What has changed in a task's stores at one moment, as records that are made while it goes on.

To make the records of all that has changed may take seconds, and the task must not wait for it.
So they are made a few at a time, between its batches. What is about to change again is made into
records first, in the middle of a batch: then nothing of what has come since is in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from millrace.schemas import SnapshotError
from millrace.streams.operators.keyed_state import Change, StateStore
from millrace.streams.state.records import StateRecord

_FEW = 16


class Flush:
    """The changes of stores when this was made, as records.

    Parameters
    ----------
    stores
        By name. Where few entries have changed, they are made into records at once.
    records_of
        Makes the records of a change in the store of that name.
    """

    def __init__(
        self,
        stores: Iterable[tuple[str, StateStore]],
        records_of: Callable[[str, Change], Iterable[StateRecord]],
    ) -> None:
        self._stores = [*stores]
        self._records_of = records_of
        self._made: deque[StateRecord] = deque()
        self._error: SnapshotError | None = None
        counts = [store.begin_save(partial(self._make_early, name)) for name, store in self._stores]
        for (name, store), count in zip(self._stores, counts, strict=True):
            if count <= _FEW:
                self._made.extend(self._changed(name, store))

    def __iter__(self) -> Iterator[StateRecord]:
        """Yield the records, parts before the entry that they are of.

        Raises
        ------
        SnapshotError
            A part of the state cannot be pickled.
        """
        for name, store in self._stores:
            for record in self._changed(name, store):
                yield from self._early()
                yield record
        yield from self._early()

    def _changed(self, name: str, store: StateStore) -> Iterator[StateRecord]:
        for change in iter(store.next_change, None):
            yield from [*self._records_of(name, change)]  # all before the task goes on

    def _early(self) -> Iterator[StateRecord]:
        if self._error is not None:
            raise self._error
        while self._made:
            yield self._made.popleft()

    def _make_early(self, name: str, change: Change) -> None:
        """Make the records of what is about to change: an error is not that of the batch."""
        try:
            self._made.extend(self._records_of(name, change))
        except SnapshotError as error:
            self._error = error
