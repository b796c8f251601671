"""Other ways to move a threshold, as the papers have them: what Millrace's are compared with.

They are written for a study: slow, and plain.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil, log, pi, sqrt, tan
from typing import Protocol

from millrace.models.certainty.conformal import Conformal

_CALIBRATION = 100
"""Scores of which the papers' methods take how large they are."""


class Rival(Protocol):
    """What moves a threshold."""

    @property
    def threshold(self) -> float | None:
        """What is in force; None where nothing is known."""

    def learn(self, score: float, served: float | None) -> None:
        """Learn from a score, and the threshold that was served when it was predicted."""


class Own:
    """One of Millrace's, for one event at a time."""

    def __init__(self, method: str, coverage: float, largest: float) -> None:
        self._state = Conformal(coverage=coverage, method=method).threshold()
        self._coverage, self._largest = coverage, largest

    @property
    def threshold(self) -> float | None:
        return self._state.threshold

    def learn(self, score: float, served: float | None) -> None:
        self._state.learn([score], [served], coverage=self._coverage, largest=self._largest)


class RollingQuantile:
    """The quantile of the newest scores: split conformal prediction on a window."""

    def __init__(self, coverage: float, window: int = 500) -> None:
        self.threshold: float | None = None
        self._level, self._window = coverage, window
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    def learn(self, score: float, served: float | None) -> None:
        self._newest.append(score)
        insort(self._sorted, score)
        if len(self._newest) > self._window:
            self._sorted.pop(bisect_left(self._sorted, self._newest.popleft()))
        count = len(self._sorted)
        rank = ceil(self._level * (count + 1))
        self.threshold = self._sorted[max(rank, 1) - 1] if rank <= count else self._beyond()

    def _beyond(self) -> float | None:
        """Return what stands for an infinite threshold, so that widths have a mean."""
        return 2 * self._sorted[-1] if len(self._sorted) >= 10 else None


class AdaptiveConformal(RollingQuantile):
    """ACI of Gibbs and Candès (2021): misses move the level of the quantile."""

    def __init__(self, coverage: float, window: int = 500, pace: float = 0.005) -> None:
        super().__init__(coverage, window)
        self._wanted, self._pace = coverage, pace

    def learn(self, score: float, served: float | None) -> None:
        if served is not None:
            self._level += self._pace * ((score > served) - (1 - self._wanted))
        super().learn(score, served)


class PublishedDescent:
    """SF-OGD as published: gradients at the threshold that was served, and a sum of all squares."""

    def __init__(self, coverage: float) -> None:
        self.threshold: float | None = None
        self._coverage, self._squares = coverage, 0.0
        self._first: list[float] = []

    def learn(self, score: float, served: float | None) -> None:
        if len(self._first) < _CALIBRATION:
            self._first.append(score)
        if served is None or self.threshold is None:
            self.threshold = score
            return
        gradient = (score > served) - (1 - self._coverage)
        self._squares += gradient * gradient
        pace = max(self._first) / sqrt(3)
        self.threshold += pace * gradient / sqrt(self._squares)


class PublishedPI:
    """Conformal PI as published: a tracked quantile and a sum of misses that saturates."""

    def __init__(self, coverage: float, horizon: int = 10_000) -> None:
        self.threshold: float | None = None
        self._coverage, self._tracked = coverage, 0.0
        self._excess, self._count = 0.0, 0
        self._saturation = 2 / pi * (ceil(0.01 * log(horizon)) - 1 / log(horizon))
        self._newest: deque[float] = deque(maxlen=_CALIBRATION)

    def learn(self, score: float, served: float | None) -> None:
        self._newest.append(score)
        if served is None or self.threshold is None:
            self.threshold = self._tracked = score
            return
        error = (score > served) - (1 - self._coverage)
        self._count += 1
        self._excess += error
        largest = max(self._newest)
        self._tracked += 0.1 * largest * error
        self.threshold = self._tracked + largest * self._integral()

    def _integral(self) -> float:
        """Return what the sum adds, at most ten: where it is infinite, so would be the width."""
        angle = self._excess * log(self._count + 1) / ((self._count + 1) * self._saturation)
        if abs(angle) >= pi / 2:
            return 10.0 if angle > 0 else -10.0
        return min(max(tan(angle), -10.0), 10.0)
