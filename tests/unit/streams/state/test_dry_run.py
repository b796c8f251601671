"""What could not be saved, loaded or made again is found before the first event."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from river import base, compose, drift, forest, linear_model, metrics, preprocessing, tree

from millrace.models.candidates import catalogue
from millrace.models.features import Feature, Store, derived, fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.state.dry_run import DryRun, Findings

SCHEMA = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "town", "type": "string"},
        {"name": "bought", "type": ["null", "boolean"], "default": None},
    ],
}


class Own(base.Classifier):
    """A user's own model, of a module of the user's."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x: Any, y: Any) -> None:
        self.learned += 1

    def predict_one(self, x: Any) -> Any:
        return self.learned > 10


class Drawing(Own):
    def predict_one(self, x: Any) -> Any:
        return random.random() > 0.5  # of the process, which has no seed


class Forgetful(Own):
    def __getstate__(self) -> dict[str, Any]:
        return {"learned": 0}


class Locking(Own):
    def __init__(self) -> None:
        super().__init__()
        self.held = {"a": [1, threading.Lock()]}


class Raising(Own):
    def learn_one(self, x: Any, y: Any) -> None:
        raise ValueError("no")


class Exiting(Own):
    def predict_one(self, x: Any) -> Any:
        raise SystemExit(3)


class Accuracy(metrics.Accuracy):
    """A user's own metric."""


class Detector(drift.ADWIN):
    """A user's own detector."""


class Counting(Feature):
    """A user's own feature, which keeps a generator: not to be saved."""

    names = ("count",)

    def check(self, schema: Any) -> None:
        pass

    def bind(self, stores: Any) -> Any:
        store = stores(Store[Any]("counts"))

        def extract(event: Any) -> Any:
            store[event["key"]] = (n for n in "abc")
            return {"count": len(store)}

        return extract


def local() -> Any:
    class Local(Own):
        pass

    return Local()


def dry_run(clock: Callable[[], float] = lambda: 0.0, **changes: Any) -> Findings:
    given: dict[str, Any] = {
        "name": "visits",
        "schema": SCHEMA,
        "event_id": "id",
        "label": "bought",
        "task": "binary",
        "models": {"m": tree.HoeffdingTreeClassifier},
        "features": [fields("amount")],
    }
    return DryRun(Pipeline(**(given | changes)), clock).run()


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            lambda: compose.FuncTransformer(lambda x: x) | linear_model.LogisticRegression(),
            "models['m'].steps['<lambda>'].func must be something that can be saved; got a lambda.",
        ),
        (
            Locking,
            "models['m'].held['a'][1] must be something that can be saved; got an object of ",
        ),
        (
            local,
            "models['m'] must be something that can be saved; got an object of the class tests.",
        ),
        (Drawing, "models['m'] must answer the same in two runs over the same events; got other"),
        (
            Forgetful,
            "models['m'] must answer the same after it was saved and loaded; got other ans",
        ),
    ],
)
def test_what_would_fail_for_certain_is_an_error(model: Any, line: str) -> None:
    """It names the part, by the way to it, and the fix."""
    found = dry_run(models={"m": model})
    assert found.errors[0].startswith(line)
    assert all("\n" not in each for each in found.errors)


@pytest.mark.parametrize(
    ("model", "warning"),
    [
        (Raising, "models['m'] raised ValueError('no') for 50 of 50 made-up events"),
        (Exiting, "models['m'] raised SystemExit(3) for 50 of 50 made-up events"),
    ],
)
def test_user_code_that_raises_is_a_warning(model: Any, warning: str) -> None:
    """It need not take made-up values."""
    assert dry_run(models={"m": model}) == Findings(warnings=[warning])


def test_a_feature_that_raises_is_a_warning() -> None:
    """With its name, what it raised, and how often."""
    wrong = derived("ratio", lambda fields: fields["amount"] / 0)
    ends = derived("ends", lambda _: sys.exit(3))
    found = dry_run(features=[fields("amount"), wrong, ends])
    assert found.errors == []
    assert found.warnings[0].startswith("the feature 'ratio' raised RecordError(")
    assert found.warnings[0].endswith("for 64 of 64 made-up events")
    assert found.warnings[1].startswith("the feature 'ends' raised ")


@pytest.mark.parametrize(
    "changes",
    [
        {"models": {"m": Own}},
        {"models": {"m": forest.ARFClassifier, "o": lambda: forest.ARFClassifier(seed=1)}},
        {"models": {"m": tree.HoeffdingTreeClassifier}, "metrics": {"a": Accuracy}},
        {"drift": DriftSettings(loss=Detector, inputs={"amount": Detector})},
        {"task": "regression", "label": "amount", "features": [fields("town")]}
        | {"models": {"m": catalogue.factory("linear_regression", "regression", numeric=False)}},
        {"task": "anomaly", "label": None, "models": {"m": catalogue.half_space_trees}},
        {"task": "multiclass", "label": "town", "models": {"m": catalogue.gaussian_naive_bayes}},
        {"models": {"m": catalogue.hoeffding_tree}, "features": [fields("amount", "town")]},
    ],
)
def test_what_is_right_is_let_through(changes: dict[str, Any]) -> None:
    """Models, metrics and detectors of River's, of the catalogue and of the user's own module."""
    assert dry_run(**changes) == Findings()


@pytest.mark.parametrize(
    "model",
    [
        catalogue.logistic_regression,
        catalogue.knn,
        catalogue.gaussian_naive_bayes,
        catalogue.aggregated_mondrian_forest,
        lambda: preprocessing.StandardScaler() | linear_model.PAClassifier(),
    ],
)
def test_a_model_that_takes_no_text_is_refused_where_there_is_text(model: Any) -> None:
    """Without it, the same model is right."""
    assert dry_run(models={"m": model}) == Findings()
    (line,) = dry_run(models={"m": model}, features=[fields("amount", "town")]).errors
    assert line.startswith(
        "models['m'] must be a model that takes text, since the features ['town'] are text; got"
    )
    assert "numeric=False" in line


def test_state_of_features_metrics_and_detectors_is_tried_too() -> None:
    """All that state holds, not models alone."""
    found = dry_run(
        features=[fields("amount"), Counting()],
        metrics={"own": type("Local", (Accuracy,), {})},
        drift=DriftSettings(loss=type("Local", (Detector,), {})),
    )
    places = [each.partition(" must be ")[0] for each in found.errors]
    assert "metrics['own']" in places
    assert any(each.startswith("drift.loss") for each in places)
    assert any(each.startswith("the features' store 'counts'") for each in places)


def test_two_seconds_for_all_models() -> None:
    """A slow model learns from fewer events, the same ones in both runs."""
    ticks = itertools.count()
    learned: list[int] = []

    class Counted(Own):
        def learn_one(self, x: Any, y: Any) -> None:
            learned.append(1)

    names = ("one", "two")
    dry_run(lambda: next(ticks) * 0.1, models=dict.fromkeys(names, Counted))
    assert len(learned) == 2 * 2 * 5


def test_classes_of_a_module_beside_the_file_load_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pipeline's file imports from its folder may be part of the state."""
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "beside_a_dry_run.py").write_text(
        "from river import base\n\nclass Node: pass\n\nclass Own(base.Classifier):\n"
        "    def __init__(self):\n        self.nodes = []\n"
        "    def learn_one(self, x, y):\n        self.nodes.append(Node())\n"
        "    def predict_one(self, x):\n        return len(self.nodes) > 9\n"
    )
    path = tmp_path / "own_pipeline.py"
    path.write_text(
        f"from millrace import Pipeline\nimport beside_a_dry_run\n\npipeline = Pipeline(name='v',"
        f" schema={SCHEMA}, event_id='id', label='bought', task='binary',"
        " models={'m': lambda: beside_a_dry_run.Own()})\n"
    )
    assert DryRun(load_pipeline(str(path)), lambda: 0.0).run() == Findings()
