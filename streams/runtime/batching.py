"""When it is time: how much an engine takes at once, and what it does only now and then."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from statistics import median

from millrace.streams.operators.record import Origin

_BATCH_SECONDS = 0.1
_COMMITS = 20
_LEAST_RECORDS = 200  # fewer do not pay for what a batch costs, and so seem to call for fewer yet
_REMEMBERED = 9
_SLICE_RECORDS = 200  # some 20 ms with a tree, until other agents have their turn


class Pace:
    """How many records a batch may have, so that none waits long for the others of its batch.

    As many as the last batches say are folded in 100 ms, or in the time of 20 commits where that
    is longer: committing may take a twentieth of the time, and no more. A batch never waits for
    records, so this matters where they wait: behind a fast model, which takes hundreds at once,
    and a slow one, which would hold up a whole batch for seconds. A median passes over the commit
    that wrote the state, and the fold that the machine had no time for. It is at least 200, or
    what there is.

    Parameters
    ----------
    most_records
        In a batch, whatever the pace.

    Examples
    --------
    >>> pace = Pace(most_records=2_000)
    >>> pace.note(records=100, fold_seconds=0.01, commit_seconds=0.002)
    >>> pace.records
    1000
    >>> pace.note(records=100, fold_seconds=1.0, commit_seconds=0.002)
    >>> pace.note(records=100, fold_seconds=1.0, commit_seconds=0.002)
    >>> pace.records
    200
    """

    def __init__(self, most_records: int) -> None:
        self.records = self._least_records = min(_LEAST_RECORDS, most_records)
        self._most_records = most_records
        self._record_seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._commit_seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, records: int, fold_seconds: float, commit_seconds: float) -> None:
        """Learn from a batch how large the next may be."""
        self._record_seconds.append(fold_seconds / records)
        self._commit_seconds.append(commit_seconds)
        seconds = max(_BATCH_SECONDS, _COMMITS * median(self._commit_seconds))
        record_seconds = median(self._record_seconds)
        self.records = self._most_records
        if record_seconds:
            affordable = int(seconds / record_seconds)
            self.records = min(max(affordable, self._least_records), self._most_records)


class Interval:
    """Something that is due again so many seconds after it was last done.

    Parameters
    ----------
    seconds
        In between.
    clock
        Seconds that only go forward.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self.restart()

    @property
    def is_due(self) -> bool:
        return self._clock() - self._since > self._seconds

    def restart(self) -> None:
        """Say that it was done just now."""
        self._since = self._clock()


def slices(origins: Iterable[Origin]) -> Iterator[list[Origin]]:
    """Return records in lists that are folded without giving way to other agents."""
    rest = iter(origins)
    while part := [*islice(rest, _SLICE_RECORDS)]:
        yield part
