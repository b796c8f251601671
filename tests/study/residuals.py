"""How wrong River models are, event by event: streams that stay as they are, and that change."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf, sqrt
from typing import Any, NamedTuple

from river import linear_model, naive_bayes, preprocessing, tree

from millrace.models.certainty.scores import of_classes, of_numbers
from millrace.models.certainty.steps import LARGEST, LARGEST_OF_CLASSES


class Stream(NamedTuple):
    """The scores of one model.

    Attributes
    ----------
    largest
        The largest threshold that is of use.
    shares
        For classes: what the model called the probability of each; empty for numbers.
    """

    scores: list[float]
    largest: float
    shares: list[dict[str, float]]


Noise = Callable[[random.Random], float]
Deviation = Callable[[float], float]
"""The standard deviation of what cannot be predicted, by which part of the stream has passed."""


def _normal(rng: random.Random) -> float:
    return rng.gauss(0, 1)


def _heavy(rng: random.Random) -> float:
    """Return a number of Student's distribution with three degrees of freedom."""
    return rng.gauss(0, 1) / sqrt(rng.gammavariate(1.5, 2.0) / 3.0)


def _linear() -> Any:
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


def _tree() -> Any:
    return tree.HoeffdingTreeRegressor(grace_period=200)


CHANGES: dict[str, Deviation] = {
    "steady": lambda _: 1.0,
    "variance x4": lambda part: 1.0 if part < 0.5 else 2.0,
    "variance x1/4": lambda part: 2.0 if part < 0.5 else 1.0,
    "x4 for a while": lambda part: 2.0 if 0.4 <= part < 0.7 else 1.0,
}
NUMBERS: dict[str, tuple[Callable[[], Any], Deviation, Noise]] = {
    **{f"linear, {name}": (_linear, change, _normal) for name, change in CHANGES.items()},
    **{f"tree, {name}": (_tree, change, _normal) for name, change in CHANGES.items()},
    "linear, heavy tails": (_linear, CHANGES["steady"], _heavy),
}


def numbers(name: str, events: int, seed: int) -> Stream:
    """Return the scores of a regressor, which is tested and then trained on each event."""
    rng = random.Random(seed)
    model, deviation, noise = NUMBERS[name]
    river, labels, values = model(), [], []
    for number in range(events):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1), "c": rng.random()}
        known = 3 * x["a"] - 2 * x["b"] + (2 if x["c"] > 0.5 else 0)
        y = known + deviation(number / events) * noise(rng)
        labels.append(y)
        values.append(river.predict_one(x))
        river.learn_one(x, y)
    return Stream([each for each in of_numbers(labels, values) if each is not None], LARGEST, [])


CLASSES: dict[str, Callable[[], Any]] = {
    "3 classes, softmax": lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
    "3 classes, bayes": naive_bayes.GaussianNB,
}


def classes(name: str, events: int, seed: int) -> Stream:
    """Return the scores of a classifier, of classes that are harder to tell apart from half on.

    A label that the model has never seen can be in no set; the few at the beginning are left out.
    """
    rng = random.Random(seed)
    river, labels, shares = CLASSES[name](), [], []
    for number in range(events):
        x = {each: rng.gauss(0, 1) for each in ("a", "b", "c")}
        noise = 0.5 if number < events / 2 else 1.0
        y = max(x, key={each: x[each] + noise * rng.gauss(0, 1) for each in x}.get)
        labels.append(y)
        given = river.predict_proba_one(x)
        shares.append(dict(given))
        river.learn_one(x, y)
    scored = zip(of_classes(labels, shares, is_binary=False), shares, strict=True)
    known = [each for each in scored if each[0] is not None and each[0] < inf]
    return Stream([score for score, _ in known], LARGEST_OF_CLASSES, [each for _, each in known])


def stream(name: str, events: int, seed: int) -> Stream:
    """Return the stream of this name."""
    return (numbers if name in NUMBERS else classes)(name, events, seed)
