"""What the evidence says in words: the sentences of `millrace models` and of the page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from millrace.models.selection.contest import Standing
from millrace.models.selection.promoter import Promoter
from millrace.streams.tools.evaluations import ALPHA, in_order, role_of

POLICIES = {
    "auto": "What has won serves by itself: policy auto.",
    "propose": "What has won is proposed in an alert: policy propose.",
    "off": "Nothing serves by itself: promotion= of the pipeline is off.",
}
"""Policy of promotion to what it means."""

NOTHING = "No block of a hundred events has all its labels yet, or has waited long enough."

_FAILED = (
    "has failed on probation: it is not promoted again by itself before another definition is"
    " deployed."
)
_SHOWN = 0.05  # of a point: what is less is shown as 0.0


def meaning(standing: Standing, failed: Collection[str] = ()) -> str:
    """Return in words what the evidence says, and what it takes to say more.

    Parameters
    ----------
    failed
        Candidates that have failed on probation.
    """
    return _FAILED if standing.name in failed else _meaning(standing)


def _meaning(standing: Standing) -> str:
    name, rival, needed = standing.name, standing.rival, standing.labels_needed
    better = f"is better than {rival} by more than {_points(standing)}: this is proven"
    if standing.has_won:
        by_hand = f"`millrace promote {name}` lets it serve"
        then = "it is to serve" if standing.terms["policy"] == "auto" else by_hand
        return f"{better}, and has shown again since; {then}."
    if standing.proof >= 1:
        return f"{better}; in about {needed:,} labels it is shown well enough, if it stays so."
    if standing.counter_proof >= 1:
        return f"is worse than {rival}: this is proven."
    if needed is not None:
        labels = f"in about {needed:,} labels it has shown that well enough, if it stays so"
        return f"is ahead of {rival} by more than {_points(standing)}; {labels}."
    if standing.evidence.mean > 0:
        return f"is ahead of {rival}, but not by more than {_points(standing)}."
    return f"is not ahead of {rival}."


def _points(standing: Standing) -> str:
    """Return the margin in points."""
    points = 100 * standing.terms["margin"]
    return f"{points:g} point{'' if points == 1 else 's'}"


class Verdict(NamedTuple):
    """How the champion does against the best baseline.

    Attributes
    ----------
    tone
        `good` where it is better, `unsure` where that is not certain, `bad` where it is worse, and
        `none` where nothing is known.
    sentence
        In words.
    baseline
        Which one; empty where there is none.
    points
        How much better the champion is, and between what, with 95 % at any time; in points.
    """

    tone: str
    sentence: str
    baseline: str = ""
    points: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as data."""
        shown = None
        if self.points is not None:
            shown = dict(zip(("mean", "lower", "upper"), self.points, strict=True))
        return {**self._asdict(), "points": shown}


def verdict(promoter: Promoter, baselines: Collection[str]) -> Verdict:
    """Return how the champion does against the baseline that is closest to it, or ahead."""
    contest = promoter.contest
    known = [
        each
        for each in in_order(contest, baselines)
        if role_of(each.name, contest.champion, baselines) == "baseline" and each.evidence.n
    ]
    if not contest.champion:
        return Verdict("none", NOTHING)
    if not known:
        return Verdict("none", f"{contest.champion} serves; nothing can be said of it yet.")
    best = max(known, key=lambda each: each.evidence.mean)
    lower, upper = best.evidence.interval(ALPHA)
    mean, low, high = (-100 * each for each in (best.evidence.mean, upper, lower))
    about = f"{abs(mean):.1f} ± {max(high - mean, mean - low):.1f} points"
    other = best.name.replace("_", "-")
    serves = f"{contest.champion} serves"
    points = mean, low, high
    if low > 0:
        return Verdict("good", f"{serves}, {about} better than {other}", best.name, points)
    if high < 0:
        return Verdict("bad", f"{serves}, {about} worse than {other}", best.name, points)
    ahead = "as good as" if abs(mean) < _SHOWN else "ahead of" if mean > 0 else "behind"
    by = "" if abs(mean) < _SHOWN else f" by {about}"
    sentence = f"{serves}, {ahead} {other}{by}, which may be chance"
    return Verdict("unsure", sentence, best.name, points)
