"""The champion, its challengers and the baselines predict and learn side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from river import anomaly, base, dummy, linear_model, metrics, naive_bayes, preprocessing, tree

from millrace.models.candidates.model_set import ModelSet
from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Predicted
from millrace.streams.state import snapshot

KEY = b"a key for tests"
X = {"a": 1.0, "b": -2.0}
NOTHING = Predicted(value=None, probabilities={})


def pipeline(models: dict[str, Callable[[], Any]], task: str = "binary", **more: Any) -> Pipeline:
    label = {"multiclass": "string", "regression": "double"}.get(task, "boolean")
    declared = {"id": "string", "a": "double", "b": "double", "y": ["null", label]}
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": name, "type": each} for name, each in declared.items()],
    }
    return Pipeline(
        name="p", schema=schema, event_id="id", label="y", task=task, models=models, **more
    )


class Recorder(base.Classifier):
    """Predicts how often it has learned, and raises at what has the feature `bad`."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "bad" in x:
            raise ValueError("cannot learn")
        self.seen.append(y)

    def predict_one(self, x: dict[str, Any]) -> Any:
        if "bad" in x:
            raise ValueError("cannot predict")
        return len(self.seen)


def test_all_predict_and_all_learn() -> None:
    """Champion first, then the challengers and two baselines; all learn each example."""
    models = ModelSet(pipeline({"first": Recorder, "second": Recorder}))
    assert [*models.predict(X)] == ["first", "second", "no_change", "prior"]
    assert models.champion == "first"
    for i in range(3):
        predicted = models.predict(X)
        assert predicted["first"]["value"] == predicted["second"]["value"] == i
        models.learn(X, True, predicted)
    assert models.version == 3
    assert models.predict(X)["no_change"]["value"] is True
    assert models.failures == {}


def test_predicting_changes_nothing() -> None:
    """However often they are asked, models stay as they are, even for features not seen yet."""
    models = ModelSet(pipeline({"own": tree.HoeffdingTreeClassifier}))
    for i in range(50):
        models.learn({"a": float(i)}, i % 2 == 0, models.predict({"a": float(i)}))
    before = models.predict(X)
    for x in (X, {}, {"new": 1.0}, {"a": "text"}):
        models.predict(x)
    assert models.predict(X) == before
    assert models.version == 50


def test_models_are_fresh() -> None:
    """Two sets of one pipeline share nothing."""
    definition = pipeline({"own": Recorder})
    first, second = ModelSet(definition), ModelSet(definition)
    first.learn(X, True, first.predict(X))
    assert (first.models["own"].seen, second.models["own"].seen) == ([True], [])


def test_a_challenger_that_raises() -> None:
    """A challenger that raises has nothing to say and learns nothing; it is counted."""
    models = ModelSet(pipeline({"own": linear_model.LogisticRegression, "brittle": Recorder}))
    bad = {**X, "bad": 1.0}
    predicted = models.predict(bad)
    assert predicted["brittle"] == NOTHING
    assert predicted["own"]["value"] is not None
    models.learn(bad, True, predicted)
    assert models.failures == {"brittle": 2}
    assert models.models["own"].weights != {}


def test_a_champion_that_raises() -> None:
    """A champion's error is for the caller; the others have learned all the same."""
    models = ModelSet(pipeline({"brittle": Recorder, "other": linear_model.LogisticRegression}))
    bad = {**X, "bad": 1.0}
    with pytest.raises(ValueError, match="cannot predict"):
        models.predict(bad)
    with pytest.raises(ValueError, match="cannot learn"):
        models.learn(bad, True, {})
    assert models.models["other"].weights != {}
    assert models.version == 1


class Constant(base.Classifier):
    """Says what it was made to, until it is taught otherwise."""

    def __init__(self) -> None:
        self.label: Any = None

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if x.get("bad") and self.label is None:
            raise ValueError("cannot begin")
        self.label = y if self.label is None else self.label

    def predict_one(self, x: dict[str, Any]) -> Any:
        return self.label


def trained(trial: int = 10) -> tuple[ModelSet, Pipeline]:
    """Return models that will for ever say True."""
    definition = pipeline({"own": Constant}, drift=DriftSettings(replacement_after=trial))
    models = ModelSet(definition)
    models.learn(X, True, models.predict(X))
    return models, definition


def teach(models: ModelSet, label: bool, count: int, **x: float) -> list[Any]:
    """Predict and learn `count` times; return what the champion said."""
    said = []
    for _ in range(count):
        predicted = models.predict(X | x)
        said.append(predicted["own"]["value"])
        models.learn(X | x, label, predicted)
    return said


def test_alert_changes_nothing() -> None:
    """The policy `alert` leaves the model as it is."""
    models, definition = trained()
    models.react("own", DriftPolicy.ALERT, definition)
    assert teach(models, False, 30) == [True] * 30


def test_reset_begins_anew() -> None:
    """The policy `reset` puts a fresh model in place at once."""
    models, definition = trained()
    models.react("own", DriftPolicy.RESET, definition)
    assert teach(models, False, 3) == [None, False, False]
    assert models.version == 4


def test_replace_waits_for_proof() -> None:
    """The policy `replace` swaps after the trial if the replacement did better, and not before."""
    models, definition = trained(trial=10)
    models.react("own", DriftPolicy.REPLACE, definition)
    assert teach(models, False, 12) == [True] * 10 + [False] * 2
    assert models.challengers == {}


def test_replace_keeps_the_better() -> None:
    """A replacement that did no better is put away."""
    models, definition = trained(trial=10)
    models.react("own", DriftPolicy.REPLACE, definition)
    teach(models, False, 1)
    assert teach(models, True, 12) == [True] * 12
    assert models.challengers == {}


class Slow(base.Classifier):
    """Says False until it has learned five times, and True from then on."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned += 1

    def predict_one(self, x: dict[str, Any]) -> Any:
        return self.learned >= 5


def test_the_second_half_of_a_trial_counts() -> None:
    """A replacement is not held to what it said while it had learned little."""
    definition = pipeline({"own": Slow}, drift=DriftSettings(replacement_after=10))
    models = ModelSet(definition)
    models.react("own", DriftPolicy.REPLACE, definition)
    in_place = models.models["own"]
    for i in range(10):
        own = Predicted(value=i != 7, probabilities={})
        models.learn(X, True, {**models.predict(X), "own": own})
    assert models.models["own"] is not in_place


def test_a_tie_keeps_the_model_in_place() -> None:
    """A replacement that did as well is no reason to swap."""
    models, definition = trained(trial=4)
    own = models.models["own"]
    models.react("own", DriftPolicy.REPLACE, definition)
    teach(models, True, 6)
    assert models.models["own"] is own


def test_a_replacement_that_raises() -> None:
    """A replacement that raises is put away and counted; the model in place goes on."""
    models, definition = trained(trial=10)
    models.react("own", DriftPolicy.REPLACE, definition)
    assert teach(models, False, 12, bad=1.0) == [True] * 12
    assert models.challengers == {}
    assert models.failures == {"own": 1}
    assert models.version == 13


def test_second_drift_restarts_the_trial() -> None:
    """A drift during a trial begins another one."""
    models, definition = trained(trial=10)
    models.react("own", DriftPolicy.REPLACE, definition)
    teach(models, False, 6)
    models.react("own", DriftPolicy.REPLACE, definition)
    assert teach(models, False, 12) == [True] * 10 + [False] * 2


MODELS: dict[str, list[Callable[[], Any]]] = {
    "binary": [
        linear_model.LogisticRegression,
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        tree.HoeffdingTreeClassifier,
        linear_model.ALMAClassifier,
        Constant,
        dummy.NoChangeClassifier,
    ],
    "multiclass": [naive_bayes.GaussianNB, tree.HoeffdingTreeClassifier, dummy.PriorClassifier],
    "regression": [linear_model.LinearRegression, tree.HoeffdingTreeRegressor],
    "anomaly": [lambda: anomaly.HalfSpaceTrees(n_trees=3, window_size=10, seed=1)],
}
CASES = [
    pytest.param(task, factory, id=f"{task}-{type(factory()).__name__}-{i}")
    for task, factories in MODELS.items()
    for i, factory in enumerate(factories)
]


def stream(task: str, count: int) -> list[tuple[dict[str, float], Any]]:
    made = []
    for i in range(count):
        a, b = (i * 37 % 101) / 50 - 1, (i * 53 % 97) / 50 - 1
        label = {"regression": a - b, "multiclass": "xyz"[int(a - b > -0.3) + (a - b > 0.5)]}
        made.append(({"a": a, "b": b}, label.get(task, a > b)))
    return made


@pytest.mark.parametrize(("task", "factory"), CASES)
def test_says_what_river_says(task: str, factory: Callable[[], Any]) -> None:
    """A value is `predict_one`'s or `score_one`'s; probabilities are `predict_proba_one`'s."""
    alone, models = factory(), ModelSet(pipeline({"own": factory, "other": factory}, task))
    classifies = task in ("binary", "multiclass")
    for x, y in stream(task, 80):
        predicted = models.predict(x)
        value = alone.score_one(x) if task == "anomaly" else alone.predict_one(x)
        assert predicted["own"]["value"] == predicted["other"]["value"] == value
        if classifies and not isinstance(alone, Constant):
            said = {str(label): p for label, p in alone.predict_proba_one(x).items()}
            assert predicted["own"]["probabilities"] == said
        else:
            assert predicted["own"]["probabilities"] == {}
        models.learn(x, y, predicted)
        alone.learn_one(*((x, y) if alone._supervised else (x,)))


@pytest.mark.parametrize("task", MODELS)
def test_state_round_trip(task: str) -> None:
    """Saved and loaded, a set of models says and learns the same from then on."""
    definition = pipeline({"own": MODELS[task][0], "other": MODELS[task][0]}, task)
    models, rows = ModelSet(definition), stream(task, 60)
    for x, y in rows[:30]:
        models.learn(x, y, models.predict(x))
    models.react("other", DriftPolicy.REPLACE, definition)
    loaded: ModelSet = snapshot.load(snapshot.dump(models, KEY), KEY)
    for x, y in rows[30:]:
        predicted = models.predict(x)
        assert loaded.predict(x) == predicted
        models.learn(x, y, predicted)
        loaded.learn(x, y, predicted)
    assert (loaded.version, [*loaded.challengers]) == (models.version, [*models.challengers])


def test_probabilities_where_they_are_measured() -> None:
    """The champion's probabilities are always there; a challenger's where a metric needs them."""
    factories = {"own": naive_bayes.GaussianNB, "other": naive_bayes.GaussianNB}
    for metric, expected in ((metrics.Accuracy, False), (metrics.LogLoss, True)):
        models = ModelSet(pipeline(factories, metrics={"m": metric}))
        for x, y in stream("binary", 10):
            models.learn(x, y, models.predict(x))
        predicted = models.predict(X)
        assert predicted["own"]["probabilities"]
        assert bool(predicted["other"]["probabilities"]) is expected
        assert predicted["own"]["value"] == predicted["other"]["value"]
