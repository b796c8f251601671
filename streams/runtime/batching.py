"""How many records an engine takes at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median

from millrace.streams.operators.record import Origin

_BATCH_SECONDS = 0.1
_COMMITS = 20
_LEAST_RECORDS = 200  # in smaller batches the cost of a batch would count as the records' own
_REMEMBERED = 9
_SLICE_RECORDS = 200  # some 20 ms with a tree, until other agents have their turn


class BatchLimit:
    """How many records a batch may have, so that none waits long for the others of its batch.

    The limit is what can be folded in 100 ms at the speed of the last batches, or in the time of
    20 commits where that is longer, so that committing takes at most a twentieth of the time. It
    is at least 200. A batch never waits for records, so the limit matters only where many wait: a
    fast model takes hundreds at once, a slow one would hold up a whole batch for seconds. The
    median ignores a commit that wrote the state, and a fold that the machine had no time for.

    Parameters
    ----------
    most_records
        In a batch, however fast the last ones were.

    Attributes
    ----------
    records
        The limit of the next batch.

    Examples
    --------
    >>> limit = BatchLimit(most_records=2_000)
    >>> limit.note(records=100, fold_seconds=0.01, commit_seconds=0.002)
    >>> limit.records
    1000
    >>> limit.note(records=100, fold_seconds=1.0, commit_seconds=0.002)
    >>> limit.note(records=100, fold_seconds=1.0, commit_seconds=0.002)
    >>> limit.records
    200
    """

    def __init__(self, most_records: int) -> None:
        self.records = self._least_records = min(_LEAST_RECORDS, most_records)
        self._most_records = most_records
        self._record_seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._commit_seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, records: int, fold_seconds: float, commit_seconds: float) -> None:
        """Adjust the limit to how long a batch took."""
        self._record_seconds.append(fold_seconds / records)
        self._commit_seconds.append(commit_seconds)
        seconds = max(_BATCH_SECONDS, _COMMITS * median(self._commit_seconds))
        record_seconds = median(self._record_seconds)
        self.records = self._most_records
        if record_seconds:
            affordable = int(seconds / record_seconds)
            self.records = min(max(affordable, self._least_records), self._most_records)


def slices(origins: Iterable[Origin]) -> Iterator[list[Origin]]:
    """Cut records into lists; other agents have their turn after each."""
    rest = iter(origins)
    while part := [*islice(rest, _SLICE_RECORDS)]:
        yield part
