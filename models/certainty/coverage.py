"""How often intervals and sets held, and how large they were: of all labels, and of the newest.

What was served counts, and not what a later threshold would have covered. A prediction without an
interval or a set, which there is none of before the first label, is counted apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum, isnan
from typing import NamedTuple

from millrace.models.sealed import Fields

NEWEST = 1_000
"""So many labels are the newest."""

_HIT, _MISS = "1", "0"


class Sizes(NamedTuple):
    """Which share of sets has no class, one, or several."""

    none: float
    one: float
    several: float


def _newest() -> deque[bool]:
    return deque(maxlen=NEWEST)


def _newest_sizes() -> deque[float]:
    return deque(maxlen=NEWEST)


@dataclass(slots=True)
class Coverage:
    """Counts how often the intervals, or sets, of one model held.

    Parameters
    ----------
    labels, covered
        Labels of predictions with an interval or a set, and those that were inside.
    unknown
        Labels of predictions without one.
    size
        Sum of the widths of intervals, or of the numbers of classes in sets.
    none, one, several
        Sets with no class, with one, and with more.
    newest, newest_sizes
        Whether each of the newest held, and its width or size.

    Examples
    --------
    >>> coverage = Coverage()
    >>> coverage.add([0.1, 0.7, 0.3], [None, 0.5, 0.5])
    >>> coverage.unknown, coverage.share, coverage.mean_size
    (1, 0.5, 1.0)
    >>> sets = Coverage()
    >>> sets.add([0.1, 0.7], [0.5, 0.5], [("sky",), ("sky", "path")])
    >>> sets.sizes
    Sizes(none=0.0, one=0.5, several=0.5)
    """

    labels: int = 0
    covered: int = 0
    unknown: int = 0
    size: float = 0.0
    none: int = 0
    one: int = 0
    several: int = 0
    newest: deque[bool] = field(default_factory=_newest)
    newest_sizes: deque[float] = field(default_factory=_newest_sizes)

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        numbers = ("labels", "covered", "unknown", "size", "none", "one", "several")
        return {
            **{name: getattr(self, name) for name in numbers},
            "newest": "".join([_HIT if each else _MISS for each in self.newest]),
            "newest_sizes": [*self.newest_sizes],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Coverage:
        """Return the counts that were saved."""
        newest = deque([each == _HIT for each in fields["newest"]], NEWEST)
        return cls(
            **{**fields, "newest": newest, "newest_sizes": deque(fields["newest_sizes"], NEWEST)}
        )

    def add(
        self,
        scores: Sequence[float | None],
        served: Sequence[float | None],
        sets: Sequence[Sequence[str] | None] | None = None,
    ) -> None:
        """Count events that have met their labels, in the order of the events.

        It makes no difference where a run of events is cut.

        Parameters
        ----------
        scores
            How wrong each prediction was; None or NaN where there was none.
        served
            The threshold that was in force when it was made; None where none was.
        sets
            The sets that were published, for classes.
        """
        known = [
            (score <= threshold, place)
            for place, (score, threshold) in enumerate(zip(scores, served, strict=True))
            if score is not None and threshold is not None and not isnan(score)
        ]
        hits = [hit for hit, _ in known]
        if sets is None:
            sizes = [2.0 * (served[place] or 0.0) for _, place in known]
        else:
            counts = [len(sets[place] or ()) for _, place in known]
            none, one = counts.count(0), counts.count(1)
            self.none += none
            self.one += one
            self.several += len(counts) - none - one
            sizes = [*map(float, counts)]
        self.labels += len(hits)
        self.covered += sum(hits)
        self.unknown += len(scores) - len(hits)
        for each in sizes:  # one after the other: `sum` rounds in another way in later releases
            self.size += each
        self.newest.extend(hits)
        self.newest_sizes.extend(sizes)

    @property
    def share(self) -> float | None:
        """How often the label was inside; None before the first label."""
        return self.covered / self.labels if self.labels else None

    @property
    def newest_share(self) -> float | None:
        """How often it was for the newest 1,000."""
        return sum(self.newest) / len(self.newest) if self.newest else None

    @property
    def mean_size(self) -> float | None:
        """Mean width, or mean number of classes."""
        return self.size / self.labels if self.labels else None

    @property
    def newest_mean_size(self) -> float | None:
        """The same for the newest 1,000."""
        newest = self.newest_sizes
        return fsum(newest) / len(newest) if newest else None

    @property
    def sizes(self) -> Sizes | None:
        """Which share of sets has no class, one, or several; None where there are no sets."""
        sets = self.none + self.one + self.several
        return Sizes(self.none / sets, self.one / sets, self.several / sets) if sets else None
