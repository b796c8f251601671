"""What both methods have in common: how a threshold starts, and what a step is.

The numbers were chosen for streams that change and that do not, and for labels that come at once,
in blocks of a hundred, and after 1,000 events: `python -m tests.study.certainty` shows what they
give. No number has a unit: scores that are all twice as large give thresholds that are.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import Final, TypeAlias

LARGEST: Final = 1e300
"""The largest threshold of numbers, whose sums are finite."""

LARGEST_OF_CLASSES: Final = 1.25
"""The largest threshold of classes, whose scores are at most 1: a hit moves it down from above 1,
so that a model that always gives a probability of 1 is covered as often as it should be."""

_START = 3.0  # times the first score: 87 of 100 normal errors are covered by the first threshold
_STEP = 0.75  # times the scale: what the first step would be, at a gradient of 1
_MEMORY = 100.0  # misses, if there are as many as there should be, that the squares remember
_PACE = 8.0  # times faster than the squares, the scale forgets
_FASTEST = 0.75  # the largest share by which a score moves the scale


State: TypeAlias = tuple[float, float, float]
"""The threshold; the sum of squared gradients, of which the older ones are forgotten; and the
scale: how large scores are that are missed. It is no mean, which outliers would decide, but where
as many pull it up as down."""


def kept_of_squares(coverage: float) -> float:
    """Return which share of the sum of squares is kept at each score."""
    return 1.0 - (1.0 - coverage) / _MEMORY


def start(score: float, coverage: float, largest: float) -> State | None:
    """Return what is known after the first score; None where it is infinite."""
    if score == inf:
        return None
    scale = min(max(score, 0.0), largest)
    return min(_START * scale, largest), coverage * coverage, scale


def step(
    threshold: float,
    squares: float,
    scale: float,
    score: float,
    gradient: float,
    kept: float,
    largest: float,
) -> State:
    """Return a threshold that is moved by a gradient, the sum of squares, and the scale."""
    square = gradient * gradient
    squares = squares * kept + square
    if score > threshold:
        if not scale:
            scale = min(score, largest)
        pace = min(_PACE * square / squares, _FASTEST)
        size = (score - scale) / (score + scale) if score < inf else 1.0
        scale = min(scale + pace * size * scale, largest)
    threshold += _STEP * scale * gradient / sqrt(squares)
    if threshold < 0.0:
        threshold = 0.0
    elif threshold > largest:
        threshold = largest
    return threshold, squares, scale
