"""An event becomes a prediction at its place in the log, and its label finds it there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river import base, linear_model

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pending
from millrace.schemas.records import RejectReason
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.scope import ScopedModels

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


def made_by(operator: PredictionOperator, *records: Record) -> list[tuple[str, Any]]:
    """Return (topic, what the record is about) of all that an operator makes."""
    made = [each for record in records for each in operator.process(record)]
    return [
        (each.topic, each.value["reason"] if each.topic == "rejects" else each.value["event_id"])
        for each in made
    ]


@pytest.fixture
def operator(make_pipeline: Make) -> PredictionOperator:
    """Make an operator that keeps 3 events for a day at the most."""
    pipeline = make_pipeline(pending=Pending(limit=3, ttl=timedelta(days=1)))
    return PredictionOperator(pipeline, ScopedModels(pipeline))


def fates(operator: PredictionOperator) -> dict[str, int]:
    return {which: count for (what, which), count in operator.tally.items() if what == "label"}


def test_prediction_of_an_event(make_pipeline: Make, make_vector: Make) -> None:
    """A prediction says of which event, from what, by which model, and how likely."""
    pipeline = make_pipeline()
    operator = PredictionOperator(pipeline, ScopedModels(pipeline))
    (made,) = operator.process(make_vector("e1", NOW_MS - 5, a=1.0, b=2.0, key="k"))
    assert (made.topic, made.type) == ("predictions", "Prediction")
    assert made.value == {
        "event_id": "e1",
        "key": "k",
        "event_time_ms": NOW_MS - 5,
        "prediction_time_ms": 0,
        "value": False,
        "probabilities": {"True": 0.5, "False": 0.5},
        "features": {"a": 1.0, "b": 2.0},
        "model": "own",
        "model_version": 0,
        "staleness_examples": 0,
    }


def test_joined(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """A label whose event waits makes one example: what was seen and said, the label, the delay."""
    (prediction,) = operator.process(make_vector("e1", NOW_MS, a=1.0))
    (example,) = operator.process(make_label("e1", True, label_time_ms=NOW_MS + 250))
    assert (example.topic, example.type) == ("examples", "Example")
    value = example.value
    assert value["predicted"]["own"]["probabilities"] == prediction.value["probabilities"]
    assert {*value["predicted"]} == {"own", "no_change", "prior"}
    assert (value["features"], value["label"], value["loss"]) == ({"a": 1.0}, True, 1.0)
    assert (value["label_delay_ms"], value["event_time_ms"]) == (250, NOW_MS)
    assert fates(operator) == {"joined": 1}
    assert not operator.waiting


def test_label_inside(operator: PredictionOperator, make_vector: Make) -> None:
    """A label that comes with its event is joined right after the prediction, with no delay."""
    prediction, example = operator.process(make_vector("e1", NOW_MS, a=1.0, label=False))
    assert (prediction.topic, example.topic) == ("predictions", "examples")
    assert (example.value["label"], example.value["label_delay_ms"]) == (False, 0)
    assert fates(operator) == {"joined": 1}
    assert not operator.waiting


def test_label_inside_and_early(
    operator: PredictionOperator, make_vector: Make, make_label: Make
) -> None:
    """Of two labels, the one inside the event counts; an early one repeats it or comes too late."""
    for event_id, early, reason in (
        ("e1", True, RejectReason.DUPLICATE_LABEL),
        ("e2", False, RejectReason.LATE_CORRECTION),
    ):
        made = made_by(operator, make_label(event_id, early), make_vector(event_id, label=True))
        assert made == [("predictions", event_id), ("examples", event_id), ("rejects", reason)]


def test_early_label(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """A label that overtakes its event waits for it, and is joined right after the prediction."""
    assert made_by(operator, make_label("e2", True)) == []
    assert made_by(operator, make_vector("e1"), make_vector("e2", NOW_MS + 1)) == [
        ("predictions", "e1"),
        ("predictions", "e2"),
        ("examples", "e2"),
    ]
    assert fates(operator) == {"early": 1, "joined": 1}
    assert not operator.early


def test_labels_before_any_event(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Labels that come before the very first event wait from its time on, as others do."""
    pipeline = make_pipeline(pending=Pending(limit=9, ttl=timedelta(days=1)))
    operator = PredictionOperator(pipeline, ScopedModels(pipeline))
    assert made_by(operator, *(make_label(f"e{i}", True) for i in (1, 2, 3))) == []
    assert made_by(operator, make_vector("e1"), make_vector("e2", NOW_MS + DAY_MS)) == [
        ("predictions", "e1"),
        ("examples", "e1"),
        ("predictions", "e2"),
        ("examples", "e2"),
    ]
    assert made_by(operator, make_vector("x", NOW_MS + DAY_MS + 1)) == [
        ("predictions", "x"),
        ("rejects", RejectReason.ORPHAN_LABEL),
    ]


def test_corrected(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """Of two early labels that differ, the later counts."""
    made = made_by(operator, make_label("e1", True), make_label("e1", False))
    assert made == []
    example = [*operator.process(make_vector("e1"))][1]
    assert example.value["label"] is False
    assert fates(operator) == {"early": 1, "corrected": 1, "joined": 1}


def test_duplicates(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """A label that says the same again is a reject, before its event has come and after."""
    reject = ("rejects", RejectReason.DUPLICATE_LABEL)
    assert made_by(operator, make_label("e1", True), make_label("e1", True)) == [reject]
    assert made_by(operator, make_vector("e1"), make_label("e1", True))[2:] == [reject]
    assert fates(operator) == {"early": 1, "duplicate": 2, "joined": 1}


def test_late_correction(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """A label that differs from the one learned is a reject that shows both."""
    made_by(operator, make_vector("e1"), make_label("e1", True))
    (made,) = operator.process(make_label("e1", False))
    assert made.value["reason"] == RejectReason.LATE_CORRECTION
    assert "False for 'e1', learned as True" in made.value["detail"]
    assert fates(operator) == {"joined": 1, "late_correction": 1}


def test_late_by_time(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """An event waits until event time has moved on by more than `pending.ttl`."""
    made_by(operator, make_vector("e1"), make_vector("e2", NOW_MS + 1))
    made_by(operator, make_vector("e3", NOW_MS + DAY_MS + 1))
    assert made_by(operator, make_label("e1", True), make_label("e2", True)) == [
        ("rejects", RejectReason.LATE_LABEL),
        ("examples", "e2"),
    ]
    assert operator.tally["expired", "ttl"] == 1
    assert fates(operator) == {"late": 1, "joined": 1}


def test_late_by_number(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """The oldest of more than `pending.limit` events gives way."""
    made_by(operator, *(make_vector(f"e{i}") for i in range(4)))
    assert [*operator.waiting] == ["e1", "e2", "e3"]
    assert made_by(operator, make_label("e0", True)) == [("rejects", RejectReason.LATE_LABEL)]
    assert operator.tally["expired", "limit"] == 1


def test_orphan_by_time(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
    """A label whose event does not come within `pending.ttl` is a reject."""
    made_by(operator, make_vector("e1"), make_label("nobody", True))
    assert made_by(operator, make_vector("e2", NOW_MS + DAY_MS)) == [("predictions", "e2")]
    assert made_by(operator, make_vector("e3", NOW_MS + DAY_MS + 1)) == [
        ("predictions", "e3"),
        ("rejects", RejectReason.ORPHAN_LABEL),
    ]
    assert fates(operator) == {"early": 1, "orphan": 1}


def test_orphan_by_number(
    operator: PredictionOperator, make_vector: Make, make_label: Make
) -> None:
    """The oldest of more than `pending.limit` early labels gives way, with its own origin."""
    labels = [make_label(f"e{i}", True) for i in range(4)]
    labels[0].origin = labels[0].origin._replace(offset=77)
    made = [each for label in labels for each in operator.process(label)]
    assert [(each.value["reason"], each.value["offset"]) for each in made] == [
        (RejectReason.ORPHAN_LABEL, 77)
    ]
    assert [*operator.early] == ["e1", "e2", "e3"]


def test_every_label_has_one_fate(
    operator: PredictionOperator, make_vector: Make, make_label: Make
) -> None:
    """Of all labels: joined, rejected or still waiting, and each is counted."""
    records = []
    for i in range(60):
        records.append(make_vector(f"e{i % 40}", NOW_MS + i * DAY_MS // 5))
        records += [make_label(f"e{(i * k) % 50 + 2 * k}", i % 3 == 0) for k in (0, 1, 3)]
    made = made_by(operator, *records)
    label_rejects = [
        what for topic, what in made if topic == "rejects" and what != RejectReason.DUPLICATE_EVENT
    ]
    joined = sum(topic == "examples" for topic, _ in made)
    told = fates(operator)
    assert joined == told["joined"]
    assert joined + len(label_rejects) + len(operator.early) + told["corrected"] == 180
    assert {*told} == {
        *("joined", "early", "corrected", "duplicate", "late", "late_correction", "orphan")
    }


def test_duplicate_event(operator: PredictionOperator, make_vector: Make, make_label: Make) -> None:
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


def test_times_before_1970(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Event times before the Unix epoch move the watermark like any others."""
    pipeline = make_pipeline(pending=Pending(ttl=timedelta(days=1)))
    operator = PredictionOperator(pipeline, ScopedModels(pipeline))
    past_ms = -300 * DAY_MS
    made = made_by(
        operator,
        make_vector("e1", past_ms),
        make_vector("e2", past_ms + 5),
        make_label("e1", True),
        make_vector("e3", past_ms + DAY_MS + 6),
        make_label("e2", True),
    )
    assert [what for topic, what in made if topic != "predictions"] == [
        "e1",
        RejectReason.LATE_LABEL,
    ]


def test_learns_from_what_was_seen(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Between a prediction and its label the model moves on; the example does not."""
    pipeline = make_pipeline(models={"steps": Steps})
    models = ScopedModels(pipeline)
    prediction, learning = PredictionOperator(pipeline, models), LearningOperator(pipeline, models)
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
    assert [each["loss"] for each in examples] == [None, None]
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
    operator = PredictionOperator(pipeline, models)
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
    operator = PredictionOperator(pipeline, ScopedModels(pipeline))
    (made,) = operator.process(make_vector("e1", bad=1.0))
    assert made.value["reason"] == RejectReason.PREDICT_ERROR
    assert "ValueError: cannot predict this at" in made.value["detail"]
    assert "test_prediction.py:" in made.value["detail"]
    assert made_by(operator, make_label("e1", True), make_vector("e2")) == [("predictions", "e2")]


def test_anomaly_without_labels(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Without a label field an anomaly detector learns from each event at once, and only then."""
    pipeline = make_pipeline("anomaly", label=None, features=())
    models = ScopedModels(pipeline)
    operator, learning = PredictionOperator(pipeline, models), LearningOperator(pipeline, models)
    prediction, example = operator.process(make_vector("e1"))
    assert (prediction.topic, example.topic) == ("predictions", "examples")
    assert (example.value["label"], example.value["loss"]) == (None, None)
    learning.process(example)
    assert (models.of("").version, learning.evaluation) == (1, None)
    (tested,) = operator.process(make_label("e1", True))
    assert tested.value["label"] is True
    learning.process(tested)
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
    operator = PredictionOperator(
        pipeline, ScopedModels(pipeline), load_models=lambda payload: arrived
    )
    assert "models" in operator.reads

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
    made = operator.process(Record("models", "ModelSnapshot", snapshot, make_vector("x").origin))
    assert [*made] == []
    assert staleness("e4") == (2, 1)


def test_models_by_key(make_pipeline: Make, avro: Make, make_vector: Make) -> None:
    """With scope `key` each key has its own model, `max_models` of them."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, key="user", scope="key", max_models=2)
    models = ScopedModels(pipeline)
    operator = PredictionOperator(pipeline, models)
    made_by(operator, *(make_vector(f"e{key}", key=key) for key in "abc"))
    assert [*models.by_scope_key] == ["b", "c"]
    assert models.of("b") is not models.of("c")


def test_stop_on_error(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """With `on_error="stop"` what the champion raises is raised on, and nothing is set aside."""
    pipeline = make_pipeline(models={"brittle": Brittle}, on_error="stop")
    models = ScopedModels(pipeline)
    operator, learning = PredictionOperator(pipeline, models), LearningOperator(pipeline, models)
    with pytest.raises(ValueError, match="cannot predict this"):
        operator.process(make_vector("e1", bad=1.0))
    operator.process(make_vector("e2"))
    (example,) = operator.process(make_label("e2", True))
    example.value["features"] = {"bad": 1.0}
    with pytest.raises(ValueError, match="cannot learn this"):
        learning.process(example)
    assert made_by(operator, make_vector("e2")) == [("rejects", RejectReason.DUPLICATE_EVENT)]
