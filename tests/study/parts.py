"""The four parts of the study; each yields a row for each thing that it counts.

*equals*: pairs that are equal in law; none should be promoted. *power*: how many labels it takes
where one is better. *days*: a challenger that is better for a part of each day. *never_worse*:
what real streams lose, whoever serves first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import inf
from statistics import NormalDist, mean
from typing import Any, TypeAlias

from tests.study import real, rhythm, streams
from tests.study.pairs import EQUAL, worse_champion
from tests.study.runs import Found, compare, evaluations, found, mirrored
from tests.study.served import PROMOTION
from tests.study.streams import Labels

LABELS = {
    "at once": streams.AT_ONCE,
    "after 1,000 events": streams.DELAYED,
    "one in twenty never": streams.SOME_NEVER,
    "positives early, silence": streams.SILENCE,
}
DEPENDENCE = {"independent": 0.0, "dependent": 0.99}
GAINS = (0.01, 0.02, 0.05, 0.15)
AT_ONCE = "labels at once"
SITUATIONS = {
    AT_ONCE: (streams.AT_ONCE, 0),
    "labels after 1,000 events": (streams.DELAYED, 0),
    "after a drift at 8,000": (streams.AT_ONCE, 8_000),
}
"""What to a pair's labels, and after how many examples one is better."""

_GAIN_OF_TURNING = 0.57  # the model's answers are right 57 points more often than wrong
_SLOW = 5  # times as many pairs of other models as of forests

Map: TypeAlias = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]
"""Applies a function to seeds, in other processes as a rule."""


@dataclass(frozen=True)
class Equals:
    """Pairs that are equal in law, each compared in both directions, on one kind of stream."""

    models: str
    dependence: str
    labels: str
    compared: int
    proven: int
    promoted: int


@dataclass(frozen=True)
class Power:
    """Pairs of which one is better.

    Attributes
    ----------
    needed, proof, hindsight
        Labels until it is promoted; until its lead is proven; and what a z-test of a fixed size
        takes whose author knows gain and variance. Each for half of the runs, and for nine of ten;
        infinite where fewer are promoted.
    """

    gain: float
    situation: str
    runs: int
    promoted: int
    needed: tuple[float, float]
    proof: tuple[float, float]
    hindsight: tuple[float, float]


@dataclass(frozen=True)
class Days:
    """Runs with a challenger that is better for a part of each day.

    Attributes
    ----------
    switches
        Changes of the champion, as a mean of the runs.
    excess, most
        How many errors more than with the best single model, as a mean, and of the worst run.
    """

    events: int
    share: float
    runs: int
    switches: float
    excess: float
    most: float


@dataclass(frozen=True)
class NeverWorse:
    """A real stream.

    Attributes
    ----------
    first_loss, best_loss, lost
        Sums of bounded losses: of the first champion, of the best candidate, and as served.
    decided
        After how many labels it was decided for good who serves; None where it was not.
    before, after
        What was lost beyond the best candidate until then, and after.
    """

    stream: str
    first: str
    best: str
    labels: int
    switches: int
    first_loss: float
    best_loss: float
    lost: float
    decided: int | None
    before: float
    after: float

    @property
    def allowed(self) -> float:
        """What the margin allows."""
        return PROMOTION.margin * self.labels

    @property
    def holds(self) -> bool:
        """Whether no more is lost than with the first champion, or with the best once decided."""
        return max(self.after, self.lost - self.first_loss) <= self.allowed


def of_equals(case: tuple[str, str, str], events: int, seed: int) -> tuple[Found, Found]:
    """Compare a pair that is equal in law, in both directions."""
    models, dependence, labels = case
    steps = streams.steps(events, LABELS[labels], seed, DEPENDENCE[dependence])
    blocks = [*evaluations(EQUAL[models](seed), steps, LABELS[labels])]
    return found(blocks), found([*map(mirrored, blocks)])


def of_unequals(gain: float, labels: Labels, after: int, events: int, seed: int) -> Found:
    """Compare a champion that is worse by so much, once both have learned from some examples."""
    pair = worse_champion(seed, gain / _GAIN_OF_TURNING, after)
    return compare(pair, streams.steps(events, labels, seed), labels)


def equals(models: Iterable[str], pairs: int, events: int, map_: Map) -> Iterator[Equals]:
    """Count those that are promoted and should not be."""
    for case in product(models, DEPENDENCE, LABELS):
        count = max(pairs // _SLOW, 1) if case[0] == "forests" else pairs
        runs = map_(partial(of_equals, case, events), range(count))
        results = [each for both in runs for each in both]
        proven = sum(each.proof_labels is not None for each in results)
        promoted = sum(each.labels is not None for each in results)
        yield Equals(*case, len(results), proven, promoted)


def power(runs: int, events: int, map_: Map) -> Iterator[Power]:
    """Count the labels that it takes to promote what is better."""
    for gain in GAINS:
        best = (inf, inf)
        for situation, (labels, after) in SITUATIONS.items():
            results = [*map_(partial(of_unequals, gain, labels, after, events), range(runs))]
            promoted = [each.labels - after for each in results if each.labels is not None]
            proven = [each.proof_labels - after for each in results if each.proof_labels]
            if situation == AT_ONCE:  # elsewhere some labels are from before the drift
                best = hindsight(gain, results)
            needed, proof = (_middle_and_most(each, runs) for each in (promoted, proven))
            yield Power(gain, situation, runs, len(promoted), needed, proof, best)


def days(runs: int, events: int, map_: Map) -> Iterator[Days]:
    """Count what a lead that comes and goes costs."""
    for each in rhythm.RHYTHMS:
        served = [*map_(partial(rhythm.serve, each, events), range(runs))]
        excess = [run.excess() for run in served]
        switches = mean(len(run.switches) for run in served)
        yield Days(*each, runs, switches, mean(excess), max(excess))


def never_worse(table: str | None, label: str | None) -> Iterator[NeverWorse]:
    """Serve real streams, with each candidate as the first champion."""
    for stream in real.streams(table, label):
        for first in stream.pipeline.models:
            served = real.begun_with(first, stream)
            losses, decided = served.losses, served.decided
            after = 0.0 if decided is None else served.excess(after=decided)
            yield NeverWorse(
                stream.name,
                first,
                served.best,
                served.labels,
                len(served.switches),
                losses[first],
                losses[served.best],
                served.lost(),
                decided,
                served.excess() - after,
                after,
            )


def hindsight(gain: float, results: Iterable[Found]) -> tuple[float, float]:
    """Return how many labels a z-test needs, at `PROMOTION.alpha`, to find a gain above the margin.

    It is of a size that is fixed beforehand, for which the gain, and the variance of these very
    runs, have to be known; so it is no rule, but what no rule can be expected to beat.
    """
    if gain <= PROMOTION.margin:
        return inf, inf
    runs = [*results]
    variance = sum(each.squares for each in runs) / sum(each.events for each in runs) - gain**2
    quantile = NormalDist().inv_cdf
    half, most = (
        variance
        * ((quantile(1 - PROMOTION.alpha) + quantile(share)) / (gain - PROMOTION.margin)) ** 2
        for share in (0.5, 0.9)
    )
    return half, most


def _middle_and_most(needed: list[int], runs: int) -> tuple[float, float]:
    """Return how many labels half of the runs needed, and nine of ten."""
    ordered = [*sorted(needed), *([inf] * (runs - len(needed)))]
    return ordered[(runs - 1) // 2], ordered[-(-9 * runs // 10) - 1]
