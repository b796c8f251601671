"""What Millrace expects of a River model: the parts of its interface that are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from millrace.schemas.records import Features, LabelValue


class Model(Protocol):
    """A River model of any kind."""

    @property
    def _supervised(self) -> bool: ...

    @property
    def learn_one(self) -> Callable[..., object]: ...


class Predictor(Model, Protocol):
    """A classifier or a regressor."""

    def predict_one(self, x: Features) -> LabelValue | None: ...


class Classifier(Predictor, Protocol):
    def predict_proba_one(self, x: Features) -> dict[LabelValue, float]: ...


class Scorer(Model, Protocol):
    """An anomaly detector."""

    def score_one(self, x: Features) -> float: ...


ModelFactory: TypeAlias = Callable[[], Model]
"""Returns a fresh River model: the same one, seed and all, at every call."""
