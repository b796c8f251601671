"""What an operator takes at a time: consecutive records of one partition."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from millrace.streams.operators.record import Record


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records of one partition, in the order of the log.

    Where a log is cut into slices changes no result: an operator folds two slices as it folds the
    one that they are together.

    Parameters
    ----------
    records
        In order; of one topic, or of several that are read side by side.
    """

    records: Sequence[Record]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def of(self, topics: Collection[str]) -> list[Record]:
        """Return the records of some topics."""
        return [record for record in self.records if record.topic in topics]
