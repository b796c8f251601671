"""Watches one stream of numbers with a River drift detector: one alert for each change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isnan, sqrt

from river import base
from river.drift import ADWIN

from millrace.models.monitoring.detectors import Detector, make_detector
from millrace.models.monitoring.independence import Independence

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
    >>> found = [evidence for each in errors if (evidence := monitor.update(each))]
    >>> [(each.detector, each.position) for each in found]
    [('ADWIN', 1056)]
    >>> print(f"{found[0].mean_before:.2f} -> {found[0].mean_after:.2f}")
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
        self._reported: deque[int] = deque(maxlen=0)
        self._start()

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        vars(self).setdefault("_independence", None)  # these three are not in state of 0.1
        vars(self).setdefault("_most_reports", None)
        vars(self).setdefault("_reported", deque(maxlen=0))

    def become_quiet(self, most_reports: int) -> None:
        """Be quiet from now on, and end with so many reports within 100,000 values."""
        if self._most_reports is None:
            self._independence = self._independence or Independence()
            self._most_reports = most_reports
            self._reported = deque(maxlen=most_reports)

    @property
    def is_watching(self) -> bool:
        """Whether the values have not changed too often."""
        reported = self._reported
        if not self._most_reports or len(reported) < self._most_reports:
            return True
        return reported[-1] - reported[0] >= _REPORTED_WITHIN

    def update(self, value: float) -> Evidence | None:
        """Process the next value, and return the evidence if the detector fires."""
        self._position += 1
        if not -_LARGEST < value < _LARGEST or (self._most_reports and not self.is_watching):
            return None
        self._count += 1
        self._total += value
        self._recent.append(value)
        if self._count <= self._warm_up:
            self._warm()
            return None
        (seen,) = self._prepared([value])
        is_drift = _update_of(self._detector)(seen)
        self._remember([seen])
        return self._fired() if is_drift else None

    def update_many(self, values: Sequence[float]) -> list[tuple[int, Evidence]]:
        """Process values, and return each evidence with the index of its value.

        Equivalent to one `update` after the other, at half the cost.
        """
        if not _are_ordinary(values):
            each = map(self.update, values)
            return [(index, evidence) for index, evidence in enumerate(each) if evidence]
        found: list[tuple[int, Evidence]] = []
        taken = 0
        while taken < len(values):
            if self._count < self._warm_up or not self.is_watching:
                evidence, more = self.update(values[taken]), 1
            else:
                evidence, more = self._update_until_fired(values[taken:])
            taken += more
            if evidence is not None:
                found.append((taken - 1, evidence))
        return found

    def _update_until_fired(self, values: Sequence[float]) -> tuple[Evidence | None, int]:
        prepared = self._prepared(values)
        unseen = iter(prepared)
        is_drift = any(map(_update_of(self._detector), unseen))
        taken = len(values) - len([*unseen])
        self._remember(prepared[:taken])
        seen = values[:taken]
        self._position += taken
        self._count += taken
        self._total += sum(seen)
        self._recent.extend(seen)
        return self._fired() if is_drift else None, taken

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

    def _warm(self) -> None:
        """Hold the first values back until their scale is known."""
        if self._count < self._warm_up:
            return
        self._centre = self._total / self._count
        variance = sum((value - self._centre) ** 2 for value in self._recent) / self._count
        self._factor = 1 / (6 * sqrt(variance) or abs(self._centre) or 1.0)
        prepared = self._prepared(self._recent)
        for value in prepared:
            self._detector.update(value)
        self._remember(prepared)

    def _prepared(self, values: Iterable[float]) -> list[float]:
        """Return values as the detector gets them."""
        centre, factor = self._centre, self._factor
        prepared = [(value - centre) * factor for value in values]
        if self._independence is None or not self._scaled:
            return prepared
        if min(prepared) >= -_FARTHEST and max(prepared) <= _FARTHEST:
            return prepared
        return [min(_FARTHEST, max(-_FARTHEST, value)) for value in prepared]

    def _remember(self, prepared: Sequence[float]) -> None:
        if self._independence is not None:
            self._independence.extend(prepared, self._centre, 1 / self._factor)

    def _fired(self) -> Evidence | None:
        before, after = self._means()
        self._start()
        improved = self._only_increase and after < before
        if improved or self._position <= self._silent_until or not self._is_news():
            return None
        self._silent_until = self._position + self._cooldown
        self._reported.append(self._position)
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


def _update_of(detector: base.DriftDetector) -> Callable[[float], bool]:
    """Return the function that updates a detector and returns whether it fires.

    River's ADWIN wraps one that returns this, and takes half the time.
    """
    if type(detector) is ADWIN:
        update: Callable[[float], bool] = detector._helper.update
        return update

    def update_and_look(value: float) -> bool:
        detector.update(value)
        return bool(detector.drift_detected)

    return update_and_look


def _are_ordinary(values: Sequence[float]) -> bool:
    """Whether there is no NaN, no infinity and nothing too large to be squared among the values."""
    return min(values) > -_LARGEST and max(values) < _LARGEST and not isnan(sum(values))
