"""An event becomes a prediction at its place in the log, and its label finds it there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river import base, linear_model, metrics, naive_bayes

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pending
from millrace.schemas.records import RejectReason
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import SnapshotRecord, TombstoneRecord
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from tests.unit.streams.operators.apart import Apart, made_by

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
Make = Callable[..., Any]


class Brittle(base.Classifier):
    """Says True, unless what it sees has the feature `bad`."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "bad" in x:
            raise ValueError("cannot learn this")

    def predict_one(self, x: dict[str, Any]) -> Any:
        if "bad" in x:
            raise ValueError("cannot predict this")
        return True


class Steps(base.Classifier):
    """Says how many examples it has learned, and nothing before the first."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.seen.append(dict(x))

    def predict_one(self, x: dict[str, Any]) -> Any:
        return len(self.seen) or None


@pytest.fixture
def operator(make_pipeline: Make) -> Apart:
    """Make an operator that keeps 3 events for at most a day."""
    pipeline = make_pipeline(pending=Pending(limit=3, ttl=timedelta(days=1)))
    return Apart(pipeline)


def test_prediction_of_an_event(make_pipeline: Make, make_vector: Make) -> None:
    """A prediction says of which event, from what, by which model, and how likely."""
    pipeline = make_pipeline()
    operator = Apart(pipeline)
    (made,) = operator.process(make_vector("e1", NOW_MS - 5, a=1.0, b=2.0, key="k"))
    assert (made.topic, made.type) == ("predictions", "Prediction")
    assert made.value == {
        "event_id": "e1",
        "key": "k",
        "event_time_ms": NOW_MS - 5,
        "prediction_time_ms": 0,
        "value": False,
        "probabilities": {"true": 0.5, "false": 0.5},
        "features": {"a": 1.0, "b": 2.0},
        "model": "own",
        "model_version": 0,
        "staleness_examples": 0,
        "reasons": None,
        "certainty": None,
        "definition": "",
    }


@pytest.mark.parametrize(
    ("task", "classes", "names"),
    [
        ("multiclass", [True, False], {"true", "false"}),
        ("multiclass", [1, 2], {"1", "2"}),
        ("multiclass", ["True", "False"], {"True", "False"}),
    ],
)
def test_classes_are_named_as_json_has_them(
    task: str, classes: list[Any], names: set[str], make_pipeline: Make, make_vector: Make
) -> None:
    """Booleans as true and false; what is text already stays as it is."""

    def trained() -> naive_bayes.GaussianNB:
        model = naive_bayes.GaussianNB()
        for each in classes:
            model.learn_one({"a": 1.0}, each)
        return model

    pipeline = make_pipeline(task, models={"own": trained}, classes=classes, label=None)
    (made,) = Apart(pipeline).process(make_vector("e1", NOW_MS, a=1.0))
    assert made.value["probabilities"].keys() == names
    assert made.value["value"] in classes


def test_duplicate_event(operator: Apart, make_vector: Make, make_label: Make) -> None:
    """An id that waits, was learned or has expired is not predicted again."""
    made_by(operator, make_vector("waits"), make_vector("learned"), make_label("learned", True))
    for event_id in ("waits", "learned"):
        (made,) = operator.process(make_vector(event_id))
        assert made.value["reason"] == RejectReason.DUPLICATE_EVENT
        assert repr(event_id) in made.value["detail"]
    made_by(operator, make_vector("later", NOW_MS + 2 * DAY_MS))
    assert made_by(operator, make_vector("waits", NOW_MS + 2 * DAY_MS)) == [
        ("rejects", RejectReason.DUPLICATE_EVENT)
    ]
    assert operator.tally["rejected_event", RejectReason.DUPLICATE_EVENT] == 3


def test_learns_from_what_was_seen(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Between a prediction and its label the model moves on; the example does not."""
    pipeline = make_pipeline(models={"steps": Steps})
    models = ScopedModels(pipeline)
    prediction, learning = Apart(pipeline, models), LearningOperator(pipeline, models)
    made = []
    for record in (
        make_vector("e1", a=1.0),
        make_vector("e2", a=2.0),
        make_label("e2", True),
        make_vector("e3", a=3.0),
        make_label("e1", True),
    ):
        made += prediction.process(record)
        if made[-1].topic == "examples":
            assert [*learning.process(made[-1])] == []
    told = [each.value["value"] for each in made if each.topic == "predictions"]
    assert told == [None, None, 1]
    examples = [each.value for each in made if each.topic == "examples"]
    assert [each["predicted"]["steps"]["value"] for each in examples] == [None, None]
    model = models.of("").models["steps"]
    assert model.seen == [{"a": 2.0}, {"a": 1.0}]
    assert [each.value["model_version"] for each in made if each.topic == "predictions"] == [
        0,
        0,
        1,
    ]


def test_a_challenger_that_raises(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """A challenger that raises has nothing to say; the champion and its event go on."""
    pipeline = make_pipeline(models={"own": linear_model.LogisticRegression, "brittle": Brittle})
    models = ScopedModels(pipeline)
    operator = Apart(pipeline, models)
    (made,) = operator.process(make_vector("e1", bad=1.0))
    assert (made.topic, made.value["model"]) == ("predictions", "own")
    (example,) = operator.process(make_label("e1", True))
    assert example.value["predicted"]["brittle"] == {"value": None, "probabilities": {}}
    learning = LearningOperator(pipeline, models)
    assert [*learning.process(example)] == []
    assert models.of("").version == 1
    assert models.of("").failures == {"brittle": 2}


def test_a_champion_that_raises(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """A champion that raises makes a reject with the line it raised at; the next event goes on."""
    pipeline = make_pipeline(models={"brittle": Brittle})
    operator = Apart(pipeline)
    (made,) = operator.process(make_vector("e1", bad=1.0))
    assert made.value["reason"] == RejectReason.PREDICT_ERROR
    assert "ValueError: cannot predict this at" in made.value["detail"]
    assert "test_prediction.py:" in made.value["detail"]
    assert made_by(operator, make_label("e1", True), make_vector("e2")) == [("predictions", "e2")]


def test_anomaly_without_labels(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Without a label field an anomaly detector learns from each event at once, and only then."""
    pipeline = make_pipeline("anomaly", label=None, features=())
    models = ScopedModels(pipeline)
    operator, learning = Apart(pipeline, models), LearningOperator(pipeline, models)
    prediction, example = operator.process(make_vector("e1"))
    assert (prediction.topic, example.topic) == ("predictions", "examples")
    assert example.value["label"] is None
    learning.run(Slice([example]))
    assert (models.of("").version, learning.evaluation) == (1, None)
    (tested,) = operator.process(make_label("e1", True))
    assert tested.value["label"] is True
    learning.run(Slice([tested]))
    assert models.of("").version == 1
    assert learning.evaluation is not None
    assert learning.evaluation.examples["own"] == 1


def test_staleness_where_models_come_by_topic(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Apart from learning, a prediction says how many examples its model is behind."""
    pipeline = make_pipeline()
    arrived = ModelSet(pipeline)
    arrived.version = 2
    operator = Apart(pipeline, load_models=lambda _: {"": arrived})
    assert "models" in operator.operator.topics.reads

    def staleness(event_id: str) -> tuple[int, int]:
        value = next(iter(operator.process(make_vector(event_id)))).value
        return value["model_version"], value["staleness_examples"]

    assert staleness("e1") == (0, 0)
    operator.process(make_label("e1", True))
    assert staleness("e2") == (0, 1)
    operator.process(make_label("e2", True))
    assert staleness("e3") == (0, 2)
    operator.process(make_label("e3", True))
    snapshot = {"scope_key": "", "payload": b"", "version": 2}
    made = operator.process(SnapshotRecord(snapshot, make_vector("x").origin))
    assert [*made] == []
    assert staleness("e4") == (2, 1)


def test_models_by_key(make_pipeline: Make, avro: Make, make_vector: Make) -> None:
    """With scope `key` each key has its own model, `max_models` of them."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key", max_models=2)
    models = ScopedModels(pipeline)
    operator = Apart(pipeline, models)
    made_by(operator, *(make_vector(f"e{key}", key=key) for key in "abc"))
    assert [*models.by_scope_key] == ["b", "c"]
    assert models.of("b") is not models.of("c")


def test_stop_on_error(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """With `on_error="stop"` what the champion raises is raised on, and nothing is set aside."""
    pipeline = make_pipeline(models={"brittle": Brittle}, on_error="stop")
    models = ScopedModels(pipeline)
    operator, learning = Apart(pipeline, models), LearningOperator(pipeline, models)
    with pytest.raises(ValueError, match="cannot predict this"):
        operator.process(make_vector("e1", bad=1.0))
    operator.process(make_vector("e2"))
    (example,) = operator.process(make_label("e2", True))
    example.value["features"] = {"bad": 1.0}
    with pytest.raises(ValueError, match="cannot learn this"):
        learning.run(Slice([example]))
    assert made_by(operator, make_vector("e2")) == [("rejects", RejectReason.DUPLICATE_EVENT)]


def test_staleness_after_an_eviction(
    make_pipeline: Make, avro: Make, make_vector: Make, make_label: Make
) -> None:
    """Examples that evicted models have learned are no longer counted."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key")
    operator = Apart(pipeline, load_models=lambda _: {"anna": None})
    for i in range(3):
        made_by(operator, make_vector(f"e{i}", key="anna"), make_label(f"e{i}", True, key="anna"))
    operator.process(TombstoneRecord({}, make_vector("x").origin, "models", scope_key="anna"))
    made = operator.process(make_vector("e4", key="anna"))
    assert made[0].value["staleness_examples"] == 0


class Refusing(metrics.MAE):
    """A metric that cannot take the label 13."""

    def update(self, y_true: Any, y_pred: Any, w: Any = 1.0) -> None:
        if y_true == 13.0:
            raise ValueError("thirteen")
        super().update(y_true, y_pred, w)


def test_rejects_of_one_record_are_in_order(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """What ends as an event comes is rejected before what the event's label leads to."""
    pipeline = make_pipeline(
        "regression", metrics={"odd": Refusing}, pending=Pending(ttl=timedelta(seconds=1))
    )
    models = ScopedModels(pipeline)
    learning = LearningOperator(pipeline, models)
    operator = PredictionOperator(pipeline, models, learning, lambda _: None)
    for i in range(10):
        operator.run(Slice([make_vector(f"e{i}", i, label=1.0)]))
    operator.run(Slice([make_label("lost", 2.0)]))
    rejected = [
        [
            each.value["reason"]
            for each in operator.run(Slice([make_vector(f"late{i}", i * 10_000, label=13.0)]))
            if each.topic == "rejects"
        ]
        for i in range(1, 20)
    ]
    assert ["orphan_label", "evaluate_error"] in rejected
    assert [reason for each in rejected for reason in each].count("orphan_label") == 1
