"""Where a model card has no evidence, or evidence against what serves."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import Fate
from millrace.streams.docs.told import as_utc, counted, points, share
from millrace.streams.tools.card import Known
from millrace.streams.tools.evaluations import ALPHA, role_of

_MOST_GROUPS = 10


def limits(known: Known) -> Iterator[str]:
    """Yield what is not known of a pipeline, or speaks against it, and what it never does."""
    yield from _evidence(known)
    yield from _labels(known)
    yield from _groups(known)
    yield from _drift(known)
    yield (
        "All figures are of events that came. They say nothing of events of another kind, and"
        " nothing of what a prediction brings about."
    )
    if known.description.get("reasons"):
        yield "Reasons say what the model computed. They are no causes."


def _evidence(known: Known) -> Iterator[str]:
    contest = known.followed.promoter.contest
    if not contest.blocks:
        yield "There is no evidence yet of how good any candidate is."
        return
    names = [*baselines(Task(known.description["task"]))]
    needed = contest.terms["min_labels"]
    if known.followed.promoter.labels < needed:
        labels = known.followed.promoter.labels
        yield f"Evidence is thin: {labels:,} labels, where a promotion needs {needed:,}."
    for each in contest.standings.values():
        role = role_of(each.name, contest.champion, names)
        lower, upper = each.evidence.interval(ALPHA) if each.evidence.n else (0.0, 0.0)
        if role == "champion":
            if each.missing:
                yield f"{each.name} made no prediction for {counted(each.missing, 'event')}."
        elif role == "baseline" and upper >= 0:
            yield (
                f"{contest.champion} is not proven to be better than the baseline {each.name}:"
                f" that is better by {points(each.evidence)} points."
            )
        elif role != "baseline" and lower > 0:
            yield f"{each.name} does better than what serves: by {points(each.evidence)} points."
        elif role != "baseline" and upper >= 0:
            yield (
                f"Whether {each.name} is better than {contest.champion} is not decided:"
                f" {points(each.evidence)} points."
            )
    margin = counted(100 * contest.terms["margin"], "point")
    yield f"Gains of less than {margin} are not looked for."


def _labels(known: Known) -> Iterator[str]:
    ended, joined = sum(known.ends.values()), known.ends[Fate.JOINED]
    if not ended:
        yield "No event has ended yet: how many get labels is not known."
    elif joined < ended:
        yield (
            f"{share(ended - joined, ended)} of the newest {ended:,} events never got a label."
            " Nothing is known of how good their predictions were."
        )
    late = known.followed.promoter.contest.late_labels
    if late:
        yield f"Labels that came after their blocks, and count in no comparison: {late:,}."
    if known.description.get("label_default"):
        yield "An event of which no news came counts as one with the default label."


def _groups(known: Known) -> Iterator[str]:
    contest, found = known.followed.promoter.contest, known.followed.groups.evidence
    if not found:
        yield "No groups of events are compared: how it does for a part of them is not known."
        return
    worse = [
        f"{name} in the group {group}, by {points(each)}"
        for group, of_group in found.items()
        for name, each in of_group.items()
        if each.n and each.interval(ALPHA)[0] > 0
    ]
    if worse:
        more = f", and {len(worse) - _MOST_GROUPS:,} more" if len(worse) > _MOST_GROUPS else ""
        listed = "; ".join(worse[:_MOST_GROUPS])
        yield f"Others do better than {contest.champion} in some groups: {listed}{more}."


def _drift(known: Known) -> Iterator[str]:
    drift = known.description["drift"]
    if not drift["detectors"]:
        yield "Drift is not watched."
    losses = [each for each in known.alerts if each["source"].startswith("loss:")]
    if losses:
        newest = losses[-1]
        yield (
            f"The loss has drifted, last on {as_utc(newest['event_time_ms'])}"
            f" ({newest['source']}): figures of before may not hold any more."
        )
