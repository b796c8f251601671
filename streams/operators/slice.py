"""What an operator takes at a time: consecutive records of one partition."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from millrace.streams.operators.columns import Columns, Made, as_records
from millrace.streams.operators.record import Record


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records of one partition, in the order of the log.

    Where a log is cut into slices changes no result: an operator folds two slices as it folds the
    one that they are together.

    Parameters
    ----------
    parts
        In order, records and columns of them; of one topic, or of several that are read side by
        side.
    """

    parts: Sequence[Made]

    def __iter__(self) -> Iterator[Record]:
        return iter(as_records(self.parts))

    def __len__(self) -> int:
        return sum(len(each) if isinstance(each, Columns) else 1 for each in self.parts)

    def of(self, topics: Collection[str]) -> list[Made]:
        """Return the parts that are of some topics."""
        return [each for each in self.parts if each.topic in topics]
