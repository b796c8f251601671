"""How often intervals and sets held, and how large they were: of all labels, and of the newest.

What was served counts, and not what a later threshold would have covered. A prediction without an
interval or a set, which there is none of before the first label, is counted apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum, sqrt

from millrace.models.sealed import Fields
from millrace.schemas.records import BlockCertainty

NEWEST = 1_000
"""So many labels are the newest."""

_HIT, _MISS = "1", "0"
_CLEARLY, _AGAIN = 3.0, 1.0  # standard deviations of independent events, below what is wanted


def is_low(share: float, wanted: float, *, was_low: bool = False) -> bool:
    """Return whether the newest 1,000 labels were inside clearly less often than is wanted.

    Parameters
    ----------
    share
        How often they were inside.
    was_low
        Whether it was so before: then it is, until the share is nearly what is wanted.

    Examples
    --------
    >>> is_low(0.872, 0.9), is_low(0.871, 0.9), is_low(0.88, 0.9, was_low=True)
    (False, True, True)
    """
    deviation = sqrt(wanted * (1 - wanted) / NEWEST)
    return share < wanted - (_AGAIN if was_low else _CLEARLY) * deviation


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
    newest, newest_sizes
        Whether each of the newest held, and its width or size.
    is_low
        Whether labels were inside clearly less often than wanted, when that was last looked at.

    Examples
    --------
    >>> coverage = Coverage()
    >>> coverage.add([None, False, True], [0.0, 1.0, 1.0])
    >>> coverage.unknown, coverage.share, coverage.mean_size
    (1, 0.5, 1.0)
    """

    labels: int = 0
    covered: int = 0
    unknown: int = 0
    size: float = 0.0
    newest: deque[bool] = field(default_factory=_newest)
    newest_sizes: deque[float] = field(default_factory=_newest_sizes)
    is_low: bool = False

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return {
            "labels": self.labels,
            "covered": self.covered,
            "unknown": self.unknown,
            "size": self.size,
            "newest": "".join([_HIT if each else _MISS for each in self.newest]),
            "newest_sizes": [*self.newest_sizes],
            "is_low": self.is_low,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Coverage:
        """Return the counts that were saved."""
        newest = deque([each == _HIT for each in fields["newest"]], NEWEST)
        return cls(
            **{**fields, "newest": newest, "newest_sizes": deque(fields["newest_sizes"], NEWEST)}
        )

    def add(self, hits: Sequence[bool | None], sizes: Sequence[float]) -> None:
        """Count events that have met their labels.

        It makes no difference where a run of events is cut.

        Parameters
        ----------
        hits
            Whether the label was inside; None where there was neither an interval nor a set.
        sizes
            Widths of the intervals, or numbers of classes in the sets.
        """
        known = [(hit, size) for hit, size in zip(hits, sizes, strict=True) if hit is not None]
        self.unknown += len(hits) - len(known)
        self.labels += len(known)
        for hit, size in known:  # one after the other: `sum` rounds in another way later
            self.covered += hit
            self.size += size
        self.newest.extend([hit for hit, _ in known])
        self.newest_sizes.extend([size for _, size in known])

    def becomes_low(self, wanted: float) -> bool:
        """Look at the newest labels; return whether they are inside too seldom since this look."""
        share, was_low = self.newest_share, self.is_low
        if share is not None and len(self.newest) == NEWEST:
            self.is_low = is_low(share, wanted, was_low=was_low)
        return self.is_low and not was_low

    @property
    def seen(self) -> int:
        """Labels in all."""
        return self.labels + self.unknown

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


class CoverageByBlock:
    """How often labels were inside, of blocks of events: in all, and in the newest.

    Attributes
    ----------
    newest
        The newest blocks: as few as have 1,000 labels.
    is_low
        Whether the newest labels were inside clearly less often than is wanted, as the alert
        about it has it; False before there are 1,000.

    Examples
    --------
    >>> shown = CoverageByBlock()
    >>> for covered in [90] * 10 + [80] * 10:
    ...     shown.add({"wanted": 0.9, "labels": 100, "covered": covered, "size": 120.0})
    >>> found = shown.as_data()
    >>> found["wanted"], found["labels"], found["share"]
    (0.9, 2000, 0.85)
    >>> found["newest_labels"], found["newest_share"], found["newest_mean_size"], found["is_low"]
    (1000, 0.8, 1.2, True)
    """

    def __init__(self) -> None:
        self._labels = self._covered = 0
        self.newest: deque[BlockCertainty] = deque()
        self.is_low = False

    def add(self, block: BlockCertainty) -> None:
        """Add the labels of the next block; where another coverage is wanted, it begins anew."""
        if self.newest and self.newest[-1]["wanted"] != block["wanted"]:
            self._labels = self._covered = 0
            self.is_low = False
            self.newest.clear()
        self._labels += block["labels"]
        self._covered += block["covered"]
        self.newest.append(block)
        labels = sum(each["labels"] for each in self.newest)
        while labels - self.newest[0]["labels"] >= NEWEST:
            labels -= self.newest.popleft()["labels"]
        if labels >= NEWEST:
            covered = sum(each["covered"] for each in self.newest)
            self.is_low = is_low(covered / labels, block["wanted"], was_low=self.is_low)

    def as_data(self) -> dict[str, float | int] | None:
        """Return it as data; None before the first label."""
        newest = sum(each["labels"] for each in self.newest)
        if not newest:
            return None
        return {
            "wanted": self.newest[-1]["wanted"],
            "labels": self._labels,
            "share": self._covered / self._labels,
            "newest_labels": newest,
            "newest_share": sum(each["covered"] for each in self.newest) / newest,
            "newest_mean_size": sum(each["size"] for each in self.newest) / newest,
            "is_low": self.is_low,
        }
