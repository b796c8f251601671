"""A model without a seed gets one, made of its place, and is as River makes it with that seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from river import anomaly, base, compose, ensemble, forest, linear_model, preprocessing, tree

from millrace.models.candidates.model_set import ModelSet
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.seeds import missing_seeds, seeded

PLACE = "models['m']"
SCHEMA = {
    "type": "record",
    "name": "V",
    "fields": [{"name": "id", "type": "string"}, {"name": "a", "type": "double"}],
}


def events(count: int = 150) -> list[tuple[dict[str, float], bool]]:
    rng = random.Random(1)
    return [
        (x := {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}, x["a"] > x["b"]) for _ in range(count)
    ]


def answers(model: Any) -> list[str]:
    """Return what a model answers to each event before it learns it."""
    found = []
    for x, y in events():
        if isinstance(model, base.Classifier):
            found.append(repr(model.predict_proba_one(x)))
            model.learn_one(x, y)
        elif isinstance(model, base.Regressor):
            found.append(repr(model.predict_one(x)))
            model.learn_one(x, float(y))
        else:
            found.append(repr(model.score_one(x)))
            model.learn_one(x)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        forest.ARFClassifier,
        forest.AMFClassifier,
        forest.ARFRegressor,
        forest.AMFRegressor,
        ensemble.SRPClassifier,
        tree.HoeffdingAdaptiveTreeClassifier,
        lambda **seed: anomaly.HalfSpaceTrees(window_size=20, **seed),
        lambda **seed: ensemble.BaggingClassifier(linear_model.LogisticRegression(), **seed),
        lambda **seed: ensemble.LeveragingBaggingClassifier(tree.HoeffdingTreeClassifier(), **seed),
    ],
)
def test_it_is_as_river_makes_it_with_that_seed(kind: Callable[..., Any]) -> None:
    """And so anybody can make it again."""
    (seed,) = missing_seeds(PLACE, kind()).values()
    expected = answers(kind(seed=seed))
    assert answers(seeded(PLACE, kind())) == expected
    assert answers(seeded(PLACE, kind())) == expected


def test_a_part_that_draws_in_its_constructor() -> None:
    """It is constructed again, with the seed."""
    (seed,) = missing_seeds(PLACE, preprocessing.FeatureHasher(8)).values()
    expected = preprocessing.FeatureHasher(8, seed=seed)
    found = seeded(PLACE, preprocessing.FeatureHasher(8))
    x = {"a": "some", "b": "text"}
    assert found.transform_one(x) == expected.transform_one(x)


def nested() -> Any:
    return compose.Pipeline(
        preprocessing.StandardScaler(),
        ensemble.BaggingClassifier(forest.ARFClassifier(n_models=2), n_models=2, seed=7),
    )


def test_parts_within_parts() -> None:
    """Pipelines, wrappers and ensembles are looked through; what has a seed keeps it."""
    found = missing_seeds(PLACE, nested())
    bagging = f"{PLACE}.steps['BaggingClassifier']"
    assert [*found] == [
        f"{bagging}.data[0].seed", f"{bagging}.data[1].seed", f"{bagging}.model.seed"
    ]  # fmt: skip
    assert len({*found.values()}) == 3
    assert answers(seeded(PLACE, nested())) == answers(seeded(PLACE, nested()))
    assert answers(seeded("models['o']", nested())) != answers(seeded(PLACE, nested()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: forest.ARFClassifier(seed=0),
        tree.HoeffdingTreeClassifier,
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    ],
)
def test_a_model_with_a_seed_is_left_as_it_is(make: Callable[[], Any]) -> None:
    """0 is a seed, and what draws nothing needs none."""
    assert missing_seeds(PLACE, make()) == {}
    assert answers(seeded(PLACE, make())) == answers(make())


class Own(base.Classifier):
    """Draws from generators of three kinds; has learned something before."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.one = random.Random(seed)
        self.two = np.random.RandomState(seed)
        self.three = np.random.default_rng(seed)
        self.learned = 0

    def learn_one(self, x: Any, y: Any) -> None:
        self.learned += 1

    def predict_proba_one(self, x: Any) -> dict[bool, float]:
        return {True: self.one.random() + self.two.rand() + self.three.random()}


def test_generators_begin_again_and_what_was_learned_stays() -> None:
    """A factory may return a model that was trained before."""
    trained = Own()
    trained.learn_one({}, True)
    (seed,) = missing_seeds(PLACE, trained).values()
    assert seeded(PLACE, trained).learned == 1
    assert answers(trained) == answers(Own(seed=seed))


class Plant(base.Classifier):
    """Has an attribute of that name which is no parameter."""

    def __init__(self) -> None:
        self.seed = None

    def learn_one(self, x: Any, y: Any) -> None: ...


def test_a_seed_is_a_parameter() -> None:
    """An attribute of that name means something else."""
    assert missing_seeds(PLACE, Plant()) == {}


def test_every_fresh_model_of_a_pipeline_is_seeded() -> None:
    """At first, after a reset and as a challenger, for every key."""
    pipeline = Pipeline(
        name="p",
        schema=SCHEMA,
        event_id="id",
        task="binary",
        models={"forest": lambda: forest.ARFClassifier(n_models=2), "other": forest.ARFClassifier},
    )
    assert [*pipeline.seeds] == ["models['forest'].seed", "models['other'].seed"]
    seed = pipeline.seeds["models['forest'].seed"]
    models = ModelSet(pipeline)
    assert models.models["forest"].seed == pipeline.fresh_model("forest").seed == seed
    models.handle_drift("forest", DriftPolicy.REPLACE, pipeline)
    assert models.challengers["forest"].model.seed == seed
    models.handle_drift("forest", DriftPolicy.RESET, pipeline)
    assert models.models["forest"].seed == seed
    expected = answers(forest.ARFClassifier(n_models=2, seed=seed))
    assert answers(pipeline.fresh_model("forest")) == expected
