"""How often labels were inside the intervals, or sets, that their events were served with.

They are counted in the order in which they come, those that come late among them. An alert tells
when they clearly are inside less often than wanted.

State: the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from millrace.models.certainty.coverage import NEWEST, Coverage
from millrace.models.monitoring.drift import DriftPolicy
from millrace.schemas.records import Alert
from millrace.streams.operators.base import Reading
from millrace.streams.operators.block_state import Block
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AlertRecord, Record

COVERAGE = "coverage"
"""What alerts about it name as their detector."""

_COUNTS = "counts"
_LOOK = 100  # labels between two looks at the coverage


class Covered(NamedTuple):
    """Whether labels were inside the intervals, or sets, of their events.

    Attributes
    ----------
    wanted
        In which share of events each was to be.
    hits
        Whether each was, in the order in which they came; None where there was neither an interval
        nor a set.
    sizes
        The widths, or numbers of classes.
    """

    wanted: list[float]
    hits: list[bool | None]
    sizes: list[float]

    def add_to(self, block: Block, places: Sequence[int]) -> None:
        """Count the labels at some places, which are of a block.

        A block that began under a definition without certainty has none.
        """
        count = block.get("certainty")
        if count is None:
            return
        for place in places:
            if (hit := self.hits[place]) is not None:
                count["labels"] += 1
                count["covered"] += hit
                count["size"] += self.sizes[place]


class CoverageCount:
    """How often labels were inside, of one partition.

    Parameters
    ----------
    wanted
        In which share of events they are to be.
    noun
        What they are to be inside of.

    Attributes
    ----------
    store
        The state.
    """

    def __init__(self, wanted: float, noun: str) -> None:
        self._wanted, self._noun = wanted, noun
        self.store: KeyedState[Coverage] = KeyedState()

    def inherit(self, before: CoverageCount) -> None:
        """Go on with what another one has counted; with another coverage, begin anew."""
        self.store = before.store
        if self._wanted != before._wanted:
            self.clear()

    def clear(self) -> None:
        """Forget what was counted."""
        self.store.take(_COUNTS)

    def add(
        self, joined: Sequence[Joined], covered: Covered, champion: str
    ) -> Iterator[tuple[int, Record]]:
        """Count the labels of a slice: of events that were served for the coverage of now.

        Parameters
        ----------
        joined
            The events that have met their labels.
        covered
            Whether each label was inside.
        champion
            Whose predictions are published.

        Yields
        ------
        tuple
            An alert, with its place, where labels clearly are inside less often.
        """
        places = [place for place, each in enumerate(covered.wanted) if each == self._wanted]
        if not places:
            return
        coverage, begin = self.store.changing(_COUNTS, Coverage), 0
        hits = [covered.hits[place] for place in places]
        sizes = [covered.sizes[place] for place in places]
        while begin < len(places):
            end = min(begin + _LOOK - coverage.seen % _LOOK, len(places))
            coverage.add(hits[begin:end], sizes[begin:end])
            begin = end
            if coverage.seen % _LOOK == 0 and coverage.becomes_low(self._wanted):
                last = joined[places[end - 1]]
                yield last.place, AlertRecord(self._alert(coverage, last, champion), last.origin)

    def readings(self) -> Iterable[Reading]:
        """Return how often labels are inside, and how large intervals and sets are."""
        yield Reading("coverage_wanted", (), self._wanted)
        coverage = self.store.peek(_COUNTS) or Coverage()
        shares = {"all": coverage.share, "newest": coverage.newest_share}
        sizes = {"all": coverage.mean_size, "newest": coverage.newest_mean_size}
        for metric, values in (("coverage", shares), ("certainty_size", sizes)):
            for window, value in values.items():
                if value is not None:
                    yield Reading(metric, (window,), value)

    def _alert(self, coverage: Coverage, joined: Joined, champion: str) -> Alert:
        """Return the alert that is found with an event."""
        wanted, share = self._wanted, coverage.newest_share or 0.0
        return Alert(
            source=f"{COVERAGE}:{champion}",
            detector=COVERAGE,
            event_id=joined.vector["event_id"],
            event_time_ms=joined.vector["event_time_ms"],
            position=coverage.seen,
            mean_before=wanted,
            mean_after=share,
            action=DriftPolicy.ALERT.value,
            model=champion,
            model_version=0,
            detail=f"{share:.1%} of the newest {NEWEST:,} labels were inside their {self._noun};"
            f" {wanted:.1%} are wanted",
            reasons=[],
        )
