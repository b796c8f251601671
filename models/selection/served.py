"""What promotion gained: the loss of a pipeline as it served, beside each candidate's alone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TypedDict

from millrace.schemas.records import BlockLosses, Evaluation


class Champion(TypedDict):
    """Who served, and how many labelled events in a row."""

    name: str
    labels: int


class Served(TypedDict):
    """Who served, and the mean losses by which that can be judged, of all labelled events.

    Attributes
    ----------
    metric
        The loss: `zero_one`, for example.
    labels
        Labelled events.
    champions
        Who served, one after the other.
    loss
        Mean loss of what was served; None without a prediction.
    candidates
        Candidate or baseline to the mean loss that it alone would have had. Only those that were
        there all the time.
    """

    metric: str
    labels: int
    champions: list[Champion]
    loss: float | None
    candidates: dict[str, float | None]


def as_served(blocks: Iterable[Evaluation]) -> Served:
    """Return what was served, by the blocks of events of all partitions.

    A prediction that is missing is in no mean.

    Examples
    --------
    >>> def block(command, champion, **errors):
    ...     losses = {n: {"events": 100, "missing": 0, "loss": each} for n, each in errors.items()}
    ...     served = {"command": command, "champion": champion, "candidates": losses}
    ...     return {**served, "terms": {"metric": "zero_one"}}
    >>> errors = {"tree": 20.0, "bayes": 10.0}
    >>> blocks = [block(0, "tree", **errors), block(1, "bayes", **errors)]
    >>> found = as_served(blocks)
    >>> found["loss"], found["candidates"], found["champions"][1]
    (0.15, {'tree': 0.2, 'bayes': 0.1}, {'name': 'bayes', 'labels': 100})
    """
    blocks = [each for each in blocks if each["champion"] in each["candidates"]]
    blocks.sort(key=lambda each: each["command"])  # a partition may be behind
    champions = [(each["champion"], each["candidates"][each["champion"]]) for each in blocks]
    names = [
        name
        for name in (blocks[0]["candidates"] if blocks else ())
        if all(name in each["candidates"] for each in blocks)
    ]
    return {
        "metric": blocks[-1]["terms"]["metric"] if blocks else "",
        "labels": sum(losses["events"] for _, losses in champions),
        "champions": [
            Champion(name=name, labels=sum(losses["events"] for _, losses in served))
            for name, served in groupby(champions, lambda each: each[0])
        ],
        "loss": _mean(losses for _, losses in champions),
        "candidates": {name: _mean(each["candidates"][name] for each in blocks) for name in names},
    }


def _mean(losses: Iterable[BlockLosses]) -> float | None:
    total, count = 0.0, 0
    for each in losses:
        total += each["loss"]
        count += each["events"] - each["missing"]
    return total / count if count else None
