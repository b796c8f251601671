"""One alert, with evidence, of what a River drift detector finds in a stream of numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isnan, sqrt
from typing import Any

from river.drift import ADWIN

from millrace.models.monitoring.detectors import Detector, make_detector

_RECENT = 128  # values among which a change is placed
_LARGEST = 1e150  # its square is a float, NaN is not below it
_WARM_UP = 100  # values that a scale is taken from; all of them are recent


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector found.

    The change is placed where, among the newest 128 values, the means before and after it differ
    most for their number (the maximum of the CUSUM statistic, Hinkley 1971).

    Examples
    --------
    >>> Evidence("ADWIN", 1024, 0.1, 0.4).mean_after
    0.4
    """

    detector: str
    """Class in River."""
    position: int
    """How many values had been seen, the one at which the detector fired included."""
    mean_before: float
    """Mean of the values from the start of the detector to the change."""
    mean_after: float
    """Mean of the values since the change."""


class DriftMonitor:
    """Watches one stream of numbers and reports each change of it once.

    A detector that fires is put away, and a fresh one learns what is normal from then on: a
    change is not reported over again for as long as it lasts. NaN, infinity and what is beyond
    1e150 are passed over, since one of them would blind a detector for good.

    Parameters
    ----------
    detector
        Name, or a callable that returns a fresh River detector. It is called once.
    cooldown
        Values after a report in which the monitor is silent. The detector goes on learning.
    only_increase
        Whether a fall of the mean is no news: right for a loss.
    scaled
        Whether the detector sees the values in units of six standard deviations of its first
        100. ADWIN and Page-Hinkley are made for values that span about 1: of what spans 0.001
        they see nothing, and of what spans 1,000 Page-Hinkley sees a drift in everything. Right
        for inputs and for errors of a regression, needless for classes and probabilities.

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
    ) -> None:
        self._unused = make_detector(detector)  # copied at each start: a callable may not pickle
        self._cooldown = cooldown
        self._only_increase = only_increase
        self._scaled = scaled
        self._position = 0
        self._silent_until = 0
        self._start()

    def update(self, value: float) -> Evidence | None:
        """Take in the next value, and return the evidence if it shows a drift."""
        self._position += 1
        if not -_LARGEST < value < _LARGEST:
            return None
        self._count += 1
        self._total += value
        self._recent.append(value)
        if self._count <= self._warm_up:
            self._warm()
            return None
        is_drift = _watch(self._detector)((value - self._centre) * self._factor)
        return self._fired() if is_drift else None

    def take(self, values: Sequence[float]) -> list[tuple[int, Evidence]]:
        """Take in values, and return the evidence found, each with the place of its value.

        It finds what one `update` after the other would, at half the cost.
        """
        if not _are_ordinary(values):
            each = map(self.update, values)
            return [(place, evidence) for place, evidence in enumerate(each) if evidence]
        found: list[tuple[int, Evidence]] = []
        taken = 0
        while taken < len(values):
            if self._count < self._warm_up:
                evidence, more = self.update(values[taken]), 1
            else:
                evidence, more = self._take_until_fired(values[taken:])
            taken += more
            if evidence is not None:
                found.append((taken - 1, evidence))
        return found

    def _take_until_fired(self, values: Sequence[float]) -> tuple[Evidence | None, int]:
        centre, factor = self._centre, self._factor
        unseen = iter([(value - centre) * factor for value in values])
        is_drift = any(map(_watch(self._detector), unseen))
        taken = len(values) - len([*unseen])
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
        self._centre, self._factor = 0.0, 1.0
        self._warm_up = _WARM_UP if self._scaled else 0

    def _warm(self) -> None:
        """Hold back the first values, and hand them over once their scale is known."""
        if self._count < self._warm_up:
            return
        self._centre = self._total / self._count
        variance = sum((value - self._centre) ** 2 for value in self._recent) / self._count
        self._factor = 1 / (6 * sqrt(variance) or abs(self._centre) or 1.0)
        for value in self._recent:
            self._detector.update((value - self._centre) * self._factor)

    def _fired(self) -> Evidence | None:
        before, after = self._means()
        self._start()
        improved = self._only_increase and after < before
        if improved or self._position <= self._silent_until:
            return None
        self._silent_until = self._position + self._cooldown
        return Evidence(type(self._unused).__name__, self._position, before, after)

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


def _watch(detector: Any) -> Callable[[float], bool]:
    """Return the function that shows a detector a value and says whether it sees a drift.

    What River's ADWIN wraps says so itself, in half the time.
    """
    if type(detector) is ADWIN:
        return detector._helper.update

    def shows_drift(value: float) -> bool:
        detector.update(value)
        return bool(detector.drift_detected)

    return shows_drift


def _are_ordinary(values: Sequence[float]) -> bool:
    """Whether there is no NaN, no infinity and nothing too large to be squared among them."""
    return min(values) > -_LARGEST and max(values) < _LARGEST and not isnan(sum(values))
