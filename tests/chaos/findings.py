"""What the checks find: counts, and differences as one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from millrace.schemas import MillraceError

_MOST_SHOWN = 5


@dataclass
class Findings:
    """What was counted, and what is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, check: str, differences: Iterable[str]) -> None:
        """Take in the result of a check; the first few lines of it are kept."""
        self.differences[check] += 0
        for line in _told(differences):
            self.differences[check] += 1
            if self.differences[check] <= _MOST_SHOWN:
                self.lines.append(f"{check}: {line}")

    @property
    def total(self) -> int:
        return sum(self.differences.values())


def _told(differences: Iterable[str]) -> Iterator[str]:
    """Yield differences; that the state cannot be read is one, too."""
    try:
        yield from differences
    except MillraceError as error:
        yield str(error)
