"""Pairs of models: equal in law, or one of them better."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from river import forest, linear_model, tree
from river.base import Classifier

_SHARE = 2 / 3

Pair = Mapping[str, Callable[[], Any]]


class Sampled(Classifier):  # type: ignore[misc]  # River has no types
    """A model that learns a sample of its own: each example with a probability of two thirds.

    Parameters
    ----------
    model
        The one that learns.
    seed
        Of the sample.
    """

    def __init__(self, model: Classifier, seed: int) -> None:
        self.model = model
        self.seed = seed
        self._random = random.Random(seed)

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        """Learn an example, or not."""
        if self._random.random() < _SHARE:
            self.model.learn_one(x, y)

    def predict_one(self, x: dict[str, Any]) -> bool | None:
        """Answer as the model does."""
        answer: bool | None = self.model.predict_one(x)
        return answer


class Worse(Classifier):  # type: ignore[misc]  # River has no types
    """A model whose answer is turned over at a share of the events.

    Parameters
    ----------
    model
        The other one.
    share
        Of the events.
    after
        How many examples it learns before: until then it answers as the other one does.
    """

    def __init__(self, model: Classifier, share: float, after: int = 0) -> None:
        self.model = model
        self.share = share
        self.after = after
        self._learned = 0

    def learn_one(self, x: dict[str, Any], y: bool) -> None:
        """Learn as the other one does."""
        self._learned += 1
        self.model.learn_one(x, y)

    def predict_one(self, x: dict[str, Any]) -> bool | None:
        """Answer as the other one does, or not."""
        answer = self.model.predict_one(x)
        is_turned = (
            self._learned >= self.after
            and hash(round(x["c"], 9)) % 10_000 < 10_000 * self.share  # alike in every process
        )
        return not answer if answer is not None and is_turned else answer


def linear(seed: int) -> Pair:
    """Return two logistic regressions, each on a sample of its own of the events."""
    return _sampled(linear_model.LogisticRegression, seed)


def trees(seed: int) -> Pair:
    """Return two Hoeffding trees, each on a sample of its own."""
    return _sampled(tree.HoeffdingTreeClassifier, seed)


def forests(seed: int) -> Pair:
    """Return two random forests of different seeds."""
    return {
        name: lambda own=own: forest.ARFClassifier(n_models=3, seed=own)  # type: ignore[misc]
        for name, own in _seeds(seed).items()
    }


def worse_champion(seed: int, share: float, after: int = 0) -> Pair:
    """Return a champion that errs more than its challenger: turned over at a share of events.

    Until it has learned `after` examples, the two are equal in law.
    """
    pair = linear(seed)
    return {
        "champion": lambda: Worse(pair["champion"](), share, after),
        "challenger": pair["challenger"],
    }


EQUAL: Mapping[str, Callable[[int], Pair]] = {
    "linear": linear,
    "trees": trees,
    "forests": forests,
}
"""Name to pairs of models that are equal in law."""


def _seeds(seed: int) -> dict[str, int]:
    return {"champion": 2 * seed, "challenger": 2 * seed + 1}


def _sampled(model: Callable[[], Classifier], seed: int) -> Pair:
    return {
        name: lambda own=own: Sampled(model(), own)  # type: ignore[misc]
        for name, own in _seeds(seed).items()
    }
