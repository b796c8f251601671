"""SF-OGD and the set of classes as the papers have them, slowly: what ours are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt


def published_thresholds(
    scores: Sequence[float], coverage: float, pace: float, first: float
) -> list[float]:
    """Return the thresholds of SF-OGD, algorithm 2 of Bhatnagar et al. (2023).

    q[t + 1] = q[t] - pace * g[t] / sqrt(g[1]^2 + ... + g[t]^2), where g[t] is the derivative of the
    pinball loss: (1 - coverage) where the score is covered, and less by 1 where it is not.
    """
    thresholds, gradients = [first], []
    for score in scores:
        gradients.append((1 - coverage) - (score > thresholds[-1]))
        norm = sqrt(sum(each**2 for each in gradients))
        thresholds.append(thresholds[-1] - pace * gradients[-1] / norm)
    return thresholds


def published_set(
    shares: Mapping[str, float], scores: Iterable[float], coverage: float
) -> set[str]:
    """Return the set of split conformal prediction (Sadinle, Lei and Wasserman 2019).

    A class is in it where 1 - p is at most the score of rank ceil((n + 1) * coverage).
    """
    ordered = sorted(scores)
    rank = -int(-(len(ordered) + 1) * coverage // 1)
    quantile = ordered[rank - 1]
    return {name for name, share in shares.items() if 1 - share <= quantile}
