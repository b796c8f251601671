"""Events whose features are independent or depend on each other, and when their labels come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from millrace.schemas.records import Features

SECOND_MS = 1_000
BEGIN_MS = 1_700_000_000_000
_NOISE = 0.8
_FEATURES = ("a", "b", "c")


@dataclass(frozen=True)
class Labels:
    """When labels come.

    Parameters
    ----------
    positive, negative
        How many events after its own the label of each class comes; infinite for silence.
    never
        The share of events that get no label.
    """

    positive: float = 0
    negative: float = 0
    never: float = 0.0


AT_ONCE = Labels()
DELAYED = Labels(1_000, 1_000)
SOME_NEVER = Labels(200, 200, never=0.05)
SILENCE = Labels(200, inf)
"""Positives early, and negatives by silence: the pipeline has a default for those."""


@dataclass(frozen=True)
class Step:
    """An event or a label, in the order in which they come.

    Attributes
    ----------
    number
        Of the event.
    features
        Of an event; None for a label.
    label
        Of a label; None for an event.
    """

    number: int
    features: Features | None = None
    label: bool | None = None


def steps(count: int, labels: Labels, seed: int, memory: float = 0.0) -> Iterator[Step]:
    """Yield events and their labels.

    Parameters
    ----------
    count
        How many events there are.
    memory
        How much features depend on those of the event before, in [0, 1): 0.99 is strong. What
        decides about the label goes round slowly, then, too.
    """
    rng = random.Random(seed)
    due: list[tuple[float, int, bool]] = []
    x = dict.fromkeys(_FEATURES, 0.0)
    fresh = (1 - memory * memory) ** 0.5
    for number in range(count):
        while due and due[0][0] <= number:
            _, of, label = heappop(due)
            yield Step(of, label=label)
        x = {name: memory * each + fresh * rng.gauss(0, 1) for name, each in x.items()}
        turned = memory * (number / count - 0.5)
        is_true = x["a"] + turned * x["b"] + rng.gauss(0, _NOISE) > 0
        yield Step(number, features=dict(x))
        delay = labels.positive if is_true else labels.negative
        if delay < inf and rng.random() >= labels.never:
            heappush(due, (number + delay, number, is_true))
