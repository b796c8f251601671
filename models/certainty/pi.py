"""Conformal PI: a threshold that follows the scores, and makes up for what was missed.

Angelopoulos, Candès and Tibshirani, "Conformal PID Control for Time Series Prediction" (2023): the
proportional part follows the quantile of the scores, the integral part sums the misses beyond those
that should be, at the thresholds that were served. As in Gibbs and Candès, "Adaptive Conformal
Inference Under Distribution Shift" (2021), the sum moves which share of misses is aimed at.

The paper adds a function of the sum to the threshold, which grows without limit. With labels that
come after 1,000 events, that swings. Here the sum moves the aim, between a quarter of the share
that is wanted and seven quarters; so misses that come to be known late are made up for, within
limits, and slowly enough to be stable at delays of up to some thousand events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan

from millrace.models.certainty.steps import LARGEST, kept_of_squares, start, step
from millrace.models.sealed import Fields

_GAIN = 0.0005  # of the integral: a delay of d events is stable up to about d = 1 / gain
_FARTHEST = 0.75  # that the share of misses is moved, by what is wanted
_LARGEST_EXCESS = 500.0  # misses; a model that was broken for long is not made up for in full


@dataclass(slots=True)
class ProportionalIntegral:
    """The threshold of one model, moved by conformal PI.

    Parameters
    ----------
    threshold
        No score above it is covered; None before the first label.
    squares
        Sum of squared gradients, of which the older ones are forgotten.
    scale
        How large scores are, about.
    excess
        How many were missed beyond the share that should be, as served: from -0.75 times that share
        / 0.0005, which moves the aim as far as it goes, to 500.

    Examples
    --------
    Of the first 100 events, the threshold was too small by far:

    >>> state = ProportionalIntegral()
    >>> _ = state.learn([1.0] * 100, [None] + [0.5] * 99, coverage=0.9)
    >>> round(state.excess, 3)
    89.1
    """

    threshold: float | None = None
    squares: float = 0.0
    scale: float = 0.0
    excess: float = 0.0

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> ProportionalIntegral:
        """Return the threshold that was saved, by this method or by another one."""
        known = ("threshold", "squares", "scale", "excess")
        return cls(**{name: fields[name] for name in known if name in fields})

    def learn(
        self,
        scores: Sequence[float | None],
        served: Sequence[float | None] | None,
        *,
        coverage: float,
        largest: float = LARGEST,
    ) -> list[float | None]:
        """Move the threshold by events that have met their labels, in the order of the events.

        It makes no difference where a run of events is cut. What is given and returned is as with
        `ScaleFreeDescent.learn`.
        """
        wanted = 1.0 - coverage
        farthest = _FARTHEST * wanted
        least_excess = -farthest / _GAIN
        kept = kept_of_squares(coverage)
        threshold, squares, scale = self.threshold, self.squares, self.scale
        excess = self.excess
        thresholds: list[float | None] = []
        for number, score in enumerate(scores):
            thresholds.append(threshold)
            before = threshold if served is None else served[number]
            if score is None or isnan(score):
                continue
            if before is not None:
                excess += coverage if score > before else -wanted
                if not least_excess <= excess <= _LARGEST_EXCESS:
                    excess = min(max(excess, least_excess), _LARGEST_EXCESS)
            if threshold is None:
                if first := start(score, coverage, largest):
                    threshold, squares, scale = first
                continue
            gradient = coverage if score > threshold else -wanted
            gradient += farthest if excess > -least_excess else _GAIN * excess
            threshold, squares, scale = step(
                threshold, squares, scale, score, gradient, kept, largest
            )
        self.threshold, self.squares, self.scale = threshold, squares, scale
        self.excess = excess
        return thresholds
