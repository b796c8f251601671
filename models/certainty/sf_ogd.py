"""SF-OGD: a threshold that goes up at a miss and down at a hit, by steps of the size of scores.

Scale-free online gradient descent (Orabona and Pál 2018) on the pinball loss, for conformal
prediction by Bhatnagar, Wang, Xiong and Bai, "Improved Online Conformal Prediction via Strongly
Adaptive Online Learning" (2023). At a miss, the threshold goes up by (1 - a) * step, at a hit down
by a * step, where a is the share of misses that is wanted; the step is scale / sqrt(sum of squared
gradients).

Four things differ from the paper:

- The sum of squares forgets, so that the step does not vanish in streams without an end.
- The scale is learned, not given: about how large the scores are that are missed, in any unit.
- A threshold is never below 0.
- Labels come late. With the gradient at the threshold that was served, as in the paper, a delay of
  a hundred events is enough for the threshold to swing between nothing and far too much: it goes on
  rising for misses that it has long corrected. Here, the gradient is w times the one at the
  threshold that was served, and 1 - w times the one at the threshold of now. Where both thresholds
  are the same, this is the paper's. With w below 1/2, such a loop is stable at any delay, as far as
  it is linear; with w up to a, a score that would be covered now never raises the threshold. w is
  a, at most 1/5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan

from millrace.models.certainty.steps import LARGEST, kept_of_squares, start, step
from millrace.models.sealed import Fields

_OF_SERVED = 0.2  # the weight of the gradient at the threshold that was served, at most


@dataclass(slots=True)
class ScaleFreeDescent:
    """The threshold of one model, moved by SF-OGD.

    Parameters
    ----------
    threshold
        No score above it is covered; None before the first label.
    squares
        Sum of squared gradients, of which the older ones are forgotten.
    scale
        How large scores are, about.

    Examples
    --------
    >>> import random
    >>> rng, state = random.Random(1), ScaleFreeDescent()
    >>> def learn(events, sigma):
    ...     hits = 0
    ...     for _ in range(events):
    ...         score, served = abs(rng.gauss(0, sigma)), state.threshold
    ...         hits += served is not None and score <= served
    ...         state.learn([score], [served], coverage=0.9)
    ...     return hits
    >>> learn(5_000, sigma=1.0), round(state.threshold, 1)
    (4496, 2.0)

    Then errors are twice as large. The threshold follows, and as many are covered:

    >>> learn(5_000, sigma=2.0), round(state.threshold, 1)
    (4491, 3.2)
    """

    threshold: float | None = None
    squares: float = 0.0
    scale: float = 0.0

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> ScaleFreeDescent:
        """Return the threshold that was saved, by this method or by another one."""
        known = ("threshold", "squares", "scale")
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

        It makes no difference where a run of events is cut.

        Parameters
        ----------
        scores
            How wrong each prediction was. Infinite is a miss of unknown size; None or NaN, where
            there was no prediction, changes nothing.
        served
            The threshold that was in force when the prediction was made; None where none was. None
            for all where each label came before the next prediction.
        coverage
            Which share of scores is to be covered, from 0.5 to below 1.
        largest
            The largest threshold that is of use: 1 for classes.

        Returns
        -------
        list
            The threshold before each event.
        """
        down = 1.0 - coverage
        of_served = min(down, _OF_SERVED)
        kept = kept_of_squares(coverage)
        threshold, squares, scale = self.threshold, self.squares, self.scale
        thresholds: list[float | None] = []
        for number, score in enumerate(scores):
            thresholds.append(threshold)
            before = threshold if served is None else served[number]
            if score is None or isnan(score):
                continue
            if threshold is None:
                if first := start(score, coverage, largest):
                    threshold, squares, scale = first
                continue
            gradient = -down
            if score > threshold:
                gradient = coverage
                if before is not None and score <= before:
                    gradient -= of_served
            elif before is not None and score > before:
                gradient += of_served
                if not gradient:
                    continue
            threshold, squares, scale = step(
                threshold, squares, scale, score, gradient, kept, largest
            )
        self.threshold, self.squares, self.scale = threshold, squares, scale
        return thresholds
