"""Watches one stream of numbers with a River drift detector: one alert for each change."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import compress
from math import copysign, sqrt
from operator import length_hint
from typing import TypeAlias

from millrace.models.monitoring.detectors import (
    Detector,
    make_detector,
    next_check,
    update_until_drift,
)
from millrace.models.monitoring.independence import Independence
from millrace.models.sealed import Fields, Lost, Sealed
from millrace.models.user_code import PASSED_ON

_RECENT = 128  # values kept, among which a change is located
_LARGEST = 1e150  # its square is still a float
_FARTHEST = 0.5  # of values in units of six standard deviations
_REPORTED_WITHIN = 100_000  # values
_WARM_UP = 100  # values from which the scale is estimated; fewer than are kept


@dataclass(frozen=True, slots=True)
class Evidence:
    """A change that a detector found.

    Among the newest 128 values, the change is located where the CUSUM statistic has its maximum
    (Hinkley 1971): where the difference of the means before and after, weighted by how many
    values they are of, is largest.

    Examples
    --------
    >>> Evidence("ADWIN", 1024, 0.1, 0.4).mean_after
    0.4
    """

    detector: str
    """Class in River."""
    position: int
    """Number of the value at which the detector fired, from 1."""
    mean_before: float
    """Mean of the values from the start of the detector to the change."""
    mean_after: float
    """Mean of the values since the change."""
    is_last: bool = False
    """Whether the values are no longer watched: they have changed too often."""


Found: TypeAlias = Evidence | BaseException
"""What is found at a value: a change, or that a user's own detector raises an exception."""


class DriftMonitor:
    """Watches one stream of numbers and reports each change once.

    A detector that fires is replaced by a fresh one, so that a change is not reported again for
    as long as it lasts. NaN, infinity and values beyond 1e150 in size are skipped: after one of
    them, a detector would never fire again.

    Parameters
    ----------
    detector
        A name, or a callable that returns a fresh River detector. It is called once.
    cooldown
        How many values after a report there is no other one. The detector is updated as usual.
    only_increase
        Whether only a rise of the mean is reported, as is right for a loss.
    scaled
        Whether the detector gets the values in units of six standard deviations of the first 100.
        ADWIN and Page-Hinkley are made for values that span about 1: where they span 0.001,
        neither ever fires; where they span 1,000, Page-Hinkley fires all the time. Right for
        inputs and for errors of a regression, needless for classes and probabilities.
    quiet
        Whether a change is only reported where the values are independent but for it; see
        `Independence`. Scaled values are then limited to three standard deviations.

    Examples
    --------
    >>> import random
    >>> rng = random.Random(42)
    >>> errors = [float(rng.random() < (0.1 if i < 1000 else 0.5)) for i in range(2000)]
    >>> monitor = DriftMonitor("adwin", cooldown=500, only_increase=True)
    >>> [(index, evidence)] = monitor.update_many(errors)
    >>> index, evidence.detector, evidence.position
    (1055, 'ADWIN', 1056)
    >>> print(f"{evidence.mean_before:.2f} -> {evidence.mean_after:.2f}")
    0.09 -> 0.56
    """

    def __init__(
        self,
        detector: Detector,
        cooldown: int,
        only_increase: bool = False,
        scaled: bool = False,
        quiet: bool = False,
    ) -> None:
        self._unused = make_detector(detector)  # copied, since a callable may not pickle
        self._cooldown = cooldown
        self._only_increase = only_increase
        self._scaled = scaled
        self._position = 0
        self._silent_until = 0
        self._independence = Independence() if quiet else None
        self._most_reports: int | None = None
        self._reported: list[int] = []
        self._start()

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        vars(self).setdefault("_independence", None)  # these three are not in state of 0.1
        vars(self).setdefault("_most_reports", None)
        vars(self).setdefault("_reported", [])

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it: the detector is sealed, with what it was when unused."""
        independence = self._independence
        return {
            "detectors": Sealed([self._unused, self._detector]),
            "cooldown": self._cooldown,
            "only_increase": self._only_increase,
            "scaled": self._scaled,
            "position": self._position,
            "silent_until": self._silent_until,
            "independence": None if independence is None else independence.to_fields(),
            "most_reports": self._most_reports,
            "reported": self._reported,
            "recent": [*self._recent],
            "count": self._count,
            "total": self._total,
            "centre": self._centre,
            "factor": self._factor,
            "warm_up": self._warm_up,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> DriftMonitor:
        """Return the monitor that was saved; a lost detector is to be renewed."""
        monitor = cls.__new__(cls)
        detectors, independence = fields["detectors"], fields["independence"]
        is_lost = isinstance(detectors, Lost)
        monitor._unused, detector = (detectors, detectors) if is_lost else detectors
        monitor._cooldown = fields["cooldown"]
        monitor._only_increase, monitor._scaled = fields["only_increase"], fields["scaled"]
        monitor._position, monitor._silent_until = fields["position"], fields["silent_until"]
        monitor._independence = independence and Independence.from_fields(independence)
        monitor._most_reports, monitor._reported = fields["most_reports"], fields["reported"]
        monitor._detector = detector
        monitor._recent = deque(fields["recent"], maxlen=_RECENT)
        monitor._count, monitor._total = fields["count"], fields["total"]
        monitor._centre, monitor._factor = fields["centre"], fields["factor"]
        monitor._warm_up = fields["warm_up"]
        return monitor

    @property
    def lost(self) -> Lost | None:
        """Why there is no detector, where it was lost."""
        return self._unused if isinstance(self._unused, Lost) else None

    def renew(self, detector: Detector) -> None:
        """Begin anew with a fresh detector; positions, cooldown and reports go on."""
        self._unused = make_detector(detector)
        self._start()

    def become_quiet(self, most_reports: int) -> None:
        """Be quiet from now on, and end with so many reports within 100,000 values."""
        if self._most_reports is None:
            self._independence = self._independence or Independence()
            self._most_reports = most_reports

    def go_on(self, cooldown: int, quiet: bool) -> None:
        """Go on with other settings; what was noted of the values stays."""
        self._cooldown = cooldown
        if quiet is not (self._independence is not None):
            self._independence = Independence() if quiet else None

    @property
    def is_watching(self) -> bool:
        """Whether the values have not changed too often."""
        reported = self._reported
        if not self._most_reports or len(reported) < self._most_reports:
            return True
        return reported[-1] - reported[0] >= _REPORTED_WITHIN

    @property
    def next_check(self) -> int:
        """Which of the next values, counted from 1, is the first at which anything can be found."""
        if self._count < self._warm_up:
            return self._warm_up - self._count + 1
        return next_check(self._detector)

    def update_many(self, values: Sequence[float]) -> list[tuple[int, Found]]:
        """Process values in order; return what was found, each with the index of its value.

        That is evidence where the detector fires, and what a user's own detector raises; the rest
        goes on after it. How values are cut into calls changes nothing.
        """
        first = self._position + 1
        positions: Sequence[int] = range(first, first + len(values))
        numbers = [value for value in values if -_LARGEST < value < _LARGEST]
        if len(numbers) < len(values):
            are_numbers = [-_LARGEST < value < _LARGEST for value in values]
            positions = [*compress(positions, are_numbers)]
        found: list[tuple[int, Found]] = []
        taken = 0
        while taken < len(numbers) and self.is_watching:
            more, is_drift, error = self._update_until_drift(numbers[taken:])
            taken += more
            self._position = positions[taken - 1]
            result = self._fired() if is_drift else error
            if result is not None:
                found.append((self._position - first, result))
        self._position = first + len(values) - 1
        return found

    def _update_until_drift(self, numbers: list[float]) -> tuple[int, bool, BaseException | None]:
        """Process numbers up to one at which the detector fires or raises.

        Returns
        -------
        int, bool, BaseException or None
            How many numbers that are, whether it has fired, and what it has raised.
        """
        if self._count < self._warm_up:
            numbers = numbers[: self._warm_up - self._count]
            self._add(numbers)
            return len(numbers), False, self._warm()
        prepared = self._prepared(numbers)
        unseen = iter(prepared)
        is_drift, error = update_until_drift(self._detector, unseen)
        taken = len(prepared) - length_hint(unseen)
        self._add(numbers[:taken])
        self._remember(prepared[:taken])
        return taken, is_drift, error

    def _start(self) -> None:
        self._detector = deepcopy(self._unused)
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._count = 0
        self._total = 0.0
        self._centre: float = 0.0
        self._factor: float = 1.0
        self._warm_up = _WARM_UP if self._scaled else 0
        if self._independence is not None:
            self._independence.drop_block()

    def _add(self, numbers: list[float]) -> None:
        self._count += len(numbers)
        self._recent.extend(numbers)
        total = self._total
        for number in numbers:  # since `sum` would depend on where a slice is cut
            total += number
        self._total = total

    def _warm(self) -> BaseException | None:
        """Hold the first values back until their scale is known; return what a detector raises."""
        if self._count < self._warm_up:
            return None
        self._centre = self._total / self._count
        variance = sum((value - self._centre) ** 2 for value in self._recent) / self._count
        unit = 6 * sqrt(variance) or abs(self._centre) or 1.0
        self._factor = min(1 / unit, sys.float_info.max)
        prepared = self._prepared(self._recent)
        self._remember(prepared)
        try:
            for value in prepared:
                self._detector.update(value)
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's detector may raise anything
            return error
        return None

    def _prepared(self, values: Collection[float]) -> list[float]:
        """Return values as the detector gets them."""
        centre, factor = self._centre, self._factor
        if self._independence is None or not self._scaled:
            return [(value - centre) * factor for value in values]
        return [
            seen
            if -_FARTHEST <= (seen := (value - centre) * factor) <= _FARTHEST
            else copysign(_FARTHEST, seen)
            for value in values
        ]

    def _remember(self, prepared: Sequence[float]) -> None:
        if self._independence is not None:
            self._independence.extend(prepared, self._centre, 1 / self._factor)

    def _fired(self) -> Found | None:
        before, after = self._means()
        try:
            self._start()
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's detector that cannot be copied any more
            return error
        improved = self._only_increase and after < before
        if improved or self._position <= self._silent_until or not self._is_news():
            return None
        self._silent_until = self._position + self._cooldown
        if self._most_reports is not None:
            self._reported = [*self._reported, self._position][-self._most_reports :]
        name = type(self._unused).__name__
        return Evidence(name, self._position, before, after, is_last=not self.is_watching)

    def _is_news(self) -> bool:
        """Whether a change is one among independent values; the next one is judged anew."""
        if self._independence is None:
            return True
        holds = self._independence.hold()
        if holds:
            self._independence.forget_levels()
        return holds

    def _means(self) -> tuple[float, float]:
        strongest = -1.0
        means = (self._total / self._count, self._total / self._count)
        after = 0.0
        for size, value in enumerate(reversed(self._recent), start=1):
            rest = self._count - size
            if rest == 0:
                break
            after += value
            candidate = ((self._total - after) / rest, after / size)
            strength = (candidate[1] - candidate[0]) ** 2 * size * rest
            if strength > strongest:
                strongest, means = strength, candidate
        return means
