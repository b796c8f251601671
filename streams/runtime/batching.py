"""How many records are folded at once, and for how long before they are committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median

from millrace.streams.operators.record import Origin

_BATCH_SECONDS = 0.1
_BATCHES_AHEAD = 2
_COMMITS = 20
_MOST_RECORDS = 200
_REMEMBERED = 9
_SLICE_SECONDS = 0.02


class Pace:
    """Cuts the log by time, so that slow user code holds up neither commits nor other agents.

    A slice is what can be folded in 20 ms at the speed of the last one, at most 200 records. The
    first is one record, and none is more than twice the one before it: how long a record takes is
    known only once one has been folded. A batch ends with the slice in which 100 ms pass, or the
    time of 20 commits where that is longer, so that committing takes at most a twentieth of the
    time. The median ignores a commit that wrote the state. Twice as many records as such a batch
    has are read ahead: no more of them have to be kept, and it does not run short of them.

    Attributes
    ----------
    slice_records
        Most records of the next slice.

    Examples
    --------
    >>> pace = Pace()
    >>> pace.slice_records, pace.batch_seconds
    (1, 0.1)
    >>> pace.note_slice(records=1, seconds=0.0001)
    >>> pace.slice_records, pace.records_ahead(5_000)
    (2, 2000)
    >>> pace.note_slice(records=2, seconds=3.0)
    >>> pace.note_commit(seconds=0.01)
    >>> pace.slice_records, pace.batch_seconds
    (1, 0.2)
    """

    def __init__(self) -> None:
        self.slice_records = 1
        self._record_seconds = 0.0
        self._commit_seconds: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def batch_seconds(self) -> float:
        """How long a batch is folded before it is committed."""
        commit_seconds = median(self._commit_seconds) if self._commit_seconds else 0.0
        return max(_BATCH_SECONDS, _COMMITS * commit_seconds)

    def records_ahead(self, most: int) -> int:
        """Return how many records to have at hand when a batch begins, at most so many."""
        return self._affordable(_BATCHES_AHEAD * self.batch_seconds, most)

    def note_slice(self, records: int, seconds: float) -> None:
        """Choose the next slice by how long this one took."""
        self._record_seconds = seconds / records
        most = min(2 * self.slice_records, _MOST_RECORDS)
        self.slice_records = self._affordable(_SLICE_SECONDS, most)

    def note_commit(self, seconds: float) -> None:
        """Remember how long a commit took."""
        self._commit_seconds.append(seconds)

    def _affordable(self, seconds: float, most: int) -> int:
        """Return how many records can be folded in so long, one at least and `most` at most."""
        if seconds >= most * self._record_seconds:
            return most
        return max(int(seconds / self._record_seconds), 1)

    def slices(self, origins: Iterable[Origin]) -> Iterator[list[Origin]]:
        """Cut records into slices, each as large as the pace allows when it is asked for."""
        rest = iter(origins)
        while part := [*islice(rest, self.slice_records)]:
            yield part
