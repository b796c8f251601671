"""What is no prediction is counted, alerted and rejected; its event waits for its label."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from river import base, drift, linear_model, metrics

from millrace.models.monitoring.drift import DriftSettings
from millrace.schemas import RejectReason
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.task import Task

Make = Callable[..., Any]
HUGE = 1.7e308


class Mean(base.Regressor):
    """Predicts what it is told to by the feature `say`, and learns nothing from odd events."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned += 1

    def predict_one(self, x: dict[str, Any]) -> Any:
        return x.get("say", float(self.learned))


class Late(Mean):
    """Predicts only once it has learned from thirty examples."""

    def predict_one(self, x: dict[str, Any]) -> Any:
        return None if self.learned < 30 else 1.0


class Poisoned(Mean):
    """Raises for a huge feature, and for every event once it has learned a huge label."""

    def __init__(self) -> None:
        super().__init__()
        self.is_poisoned = False

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        super().learn_one(x, y)
        self.is_poisoned = self.is_poisoned or y == HUGE

    def predict_one(self, x: dict[str, Any]) -> Any:
        if self.is_poisoned or x.get("say") == HUGE:
            raise OverflowError("numerical result out of range")
        return 1.0


class Stuck(Poisoned):
    """Learns nothing more once it has learned a huge label."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if self.is_poisoned:
            raise OverflowError("numerical result out of range")
        super().learn_one(x, y)

    def predict_one(self, x: dict[str, Any]) -> Any:
        return 1.0


class Never(Mean):
    """Cannot learn."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        raise ValueError("cannot learn")


class Flow:
    """Prediction, learning and drift on one partition."""

    def __init__(self, pipeline: Any, make_vector: Make) -> None:
        self.models = ScopedModels(pipeline)
        self.learning = LearningOperator(pipeline, self.models)
        self.prediction = PredictionOperator(
            pipeline, self.models, self.learning, lambda _: pytest.fail("there are no snapshots")
        )
        self.task = Task([self.prediction, DriftOperator(pipeline)], lambda: 0)
        self._vector = make_vector
        self.made: list[Record] = []
        self._count = 0

    def feed(self, count: int, label: Any = 1.0, /, **x: Any) -> list[Any]:
        """Fold events with their labels inside; return the records that are not outcomes."""
        begun = len(self.made)
        for _ in range(count):
            self._count += 1
            vector = self._vector(f"e{self._count}", self._count, label=label, **({"a": 1.0} | x))
            self.made += self.task.run(Slice([vector]))
        return [each for each in self.made[begun:] if each.topic != "outcomes"]

    def of(self, topic: str) -> list[Any]:
        return [each.value for each in self.made if each.topic == topic]


@pytest.fixture
def flow(make_pipeline: Make, make_vector: Make) -> Make:
    def make(models: dict[str, Any], task: str = "regression", /, **changes: Any) -> Flow:
        quiet = DriftSettings(loss=None, inputs=None, predictions=None, replacement_after=20)
        return Flow(make_pipeline(task, models=models, **({"drift": quiet} | changes)), make_vector)

    return make


@pytest.mark.parametrize("said", [math.nan, math.inf, None, "text", [1.0], 10**400], ids=repr)
def test_an_invalid_prediction(said: Any, flow: Make) -> None:
    """Its event is rejected with what was answered, and is learned by all when its label comes."""
    ours = flow({"own": Mean, "other": Mean})
    reject, alert = ours.feed(1, say=said)
    assert (reject.topic, reject.value["reason"]) == ("rejects", RejectReason.INVALID_PREDICTION)
    assert reject.value["detail"].startswith("own: a prediction ")
    assert (alert.topic, alert.value["source"]) == ("alerts", "invalid:own")
    assert (alert.value["action"], alert.value["event_id"]) == ("alert", "e1")
    models = ours.models.of("").models
    assert (models["own"].learned, models["other"].learned) == (1, 1)
    assert [each["fate"] for each in ours.of("outcomes")] == ["joined"]
    tally = ours.task.take_tally()
    assert tally["failed", "own"] == tally["failed", "other"] == 1
    assert tally["rejected_event", "invalid_prediction"] == 1
    assert ours.models.of("").failures == {"own": 1, "other": 1}


def test_alerts_are_not_one_for_each_event(flow: Make) -> None:
    """After one, as many more predictions are invalid as the cooldown says."""
    ours = flow({"own": Mean}, on_invalid_prediction="alert", drift=DriftSettings(cooldown=99))
    ours.feed(250, say=math.nan)
    assert [each["position"] for each in ours.of("alerts")] == [1, 101, 201]
    assert len(ours.of("rejects")) == 250


def test_an_event_without_a_label_waits(flow: Make) -> None:
    """As one that was predicted does."""
    ours = flow({"own": Mean})
    ours.feed(1, None, say=math.nan)
    assert len(ours.prediction.stores["waiting"]) == 1


def test_another_candidate_is_only_counted(flow: Make) -> None:
    """The champion's prediction is published; the other one made none, and is not measured."""
    ours = flow({"own": Mean, "odd": Late})
    (prediction,) = ours.feed(1)
    assert (prediction.topic, prediction.value["value"]) == ("predictions", 0.0)
    assert ours.task.take_tally()["failed", "odd"] == 1
    assert ours.learning.evaluation.examples == {"own": 1, "odd": 0, "no_change": 0, "prior": 1}


def overflowing(flow: Make, **changes: Any) -> Any:
    ours = flow({"own": linear_model.LinearRegression}, **changes)
    ours.feed(20)
    ours.feed(1, a=HUGE)
    return ours


def values(ours: Any) -> list[Any]:
    return [each["value"] for each in ours.of("predictions")]


def test_a_broken_model_is_reset(flow: Make) -> None:
    """One feature of 1.7e308 makes River's weights NaN: ten events later there is a fresh model."""
    ours = overflowing(flow)
    ours.feed(30)
    assert [each["action"] for each in ours.of("alerts")] == ["alert", "reset"]
    assert [each["reason"] for each in ours.of("rejects")][-10:] == ["invalid_prediction"] * 10
    assert len(ours.of("rejects")) <= 12
    assert values(ours)[-1] == pytest.approx(1.0, abs=0.5)
    assert ours.models.of("").version == 51


def test_a_broken_model_is_replaced(flow: Make) -> None:
    """A challenger learns beside it, and wins, since the broken model predicts nothing."""
    ours = overflowing(flow, on_invalid_prediction="replace")
    ours.feed(100)
    assert [each["action"] for each in ours.of("alerts")] == ["alert", "replace"]
    assert 65 <= len(ours.of("rejects")) <= 75  # ten, ten to learn from, and fifty to compare
    assert all(map(math.isfinite, values(ours)))
    assert ours.models.of("").challengers == {}


def test_a_broken_model_may_stay(flow: Make) -> None:
    """With `alert` nothing happens to it: somebody looks at it first."""
    ours = overflowing(flow, on_invalid_prediction="alert")
    ours.feed(60)
    assert {each["action"] for each in ours.of("alerts")} == {"alert"}
    assert len(ours.of("rejects")) >= 60


def test_a_model_that_raises_for_good_is_reset(flow: Make) -> None:
    """Its events wait for their labels; ten later there is a fresh model, which predicts."""
    ours = flow({"own": Poisoned, "other": Mean})
    ours.feed(30)
    ours.feed(1, HUGE)
    ours.feed(30)
    assert [each["action"] for each in ours.of("alerts")] == ["reset"]
    assert [each["reason"] for each in ours.of("rejects")] == ["predict_error"] * 10
    assert len(values(ours)) == 51
    assert ours.models.of("").models["other"].learned == 61


def test_a_model_that_can_learn_no_more_is_reset(flow: Make) -> None:
    """Ten examples later there is a fresh model, which learns; one that never learned stays."""
    ours = flow({"own": Stuck, "never": Never})
    ours.feed(30)
    ours.feed(1, HUGE)
    ours.feed(30)
    assert [each["action"] for each in ours.of("alerts")] == ["reset"]
    assert [each["reason"] for each in ours.of("rejects")] == ["learn_error"] * 10
    assert len(values(ours)) == 61
    assert ours.models.of("").models["own"].learned == 20
    assert ours.models.of("").failures == {"own": 10, "never": 61}


def test_an_event_that_a_sound_model_raises_for_is_not_learned(flow: Make) -> None:
    """However many come in a row: the model would raise for no other event, so it is sound."""
    ours = flow({"own": Poisoned, "other": Mean})
    ours.feed(30)
    ours.feed(30, say=HUGE)
    ours.feed(30)
    assert len(ours.of("rejects")) == 30
    assert ours.of("alerts") == []
    assert {each.learned for each in (ours.models.of("").models[n] for n in ("own", "other"))} == {
        60
    }


def test_odd_events_break_no_model(flow: Make) -> None:
    """However many there are: the model still predicts the others."""
    ours = flow({"own": Mean})
    for _ in range(30):
        ours.feed(1)
        ours.feed(9, say=math.nan)
    assert {each["action"] for each in ours.of("alerts")} == {"alert"}
    assert ours.models.of("").models["own"].learned == 300


def test_a_model_that_predicts_late_is_not_reset(flow: Make) -> None:
    """It never predicted before, so another fresh one would do no better."""
    ours = flow({"own": Late})
    ours.feed(40)
    assert values(ours) == [1.0] * 10
    assert ours.models.of("").models["own"].learned == 40


def test_metrics_recover(flow: Make) -> None:
    """No metric of a candidate or baseline is NaN after labels and features of any size."""
    ours = overflowing(flow)
    for label in (HUGE, -HUGE, HUGE, 1e200, -1e200, 1.0):
        ours.feed(1, label)
    ours.feed(60)
    for metric in ours.learning.evaluation.cumulative().values():
        assert all(map(math.isfinite, metric.values()))
    assert all(
        map(
            math.isfinite,
            (loss for each in ours.of("outcomes") for loss in each["losses"].values()),
        )
    )
    assert [each for each in ours.of("rejects") if each["reason"] == "internal_error"] == []


class Odd(metrics.MAE):
    """A metric that raises at a label of 13."""

    def update(self, y_true: Any, y_pred: Any, w: Any = 1.0) -> None:
        if y_true == 13.0:
            raise SystemExit("thirteen")
        super().update(y_true, y_pred, w)


def test_a_metric_that_raises(flow: Make) -> None:
    """The label is rejected, and learned; the other metrics and candidates measure it."""
    ours = flow({"own": Mean, "other": Mean}, metrics={"odd": Odd, "mae": metrics.MAE})
    ours.feed(2)
    *_, prediction, reject = ours.feed(1, 13.0)
    assert (prediction.topic, reject.value["reason"]) == ("predictions", "evaluate_error")
    assert reject.value["detail"].startswith("SystemExit: thirteen at ")
    assert ours.task.take_tally()["rejected_label", "evaluate_error"] == 1
    assert ours.models.of("").models["own"].learned == 3
    found = ours.learning.evaluation.cumulative()["own"]
    assert found == {"odd": 0.5, "mae": pytest.approx((1 + 0 + 11) / 3)}


class Detector(drift.PageHinkley):
    """A detector that raises at every value."""

    def update(self, x: Any) -> None:
        raise KeyError("detector")


def test_a_detector_that_raises(flow: Make) -> None:
    """On the loss: each label is rejected, and learned."""
    settings = DriftSettings(loss=Detector, inputs=None, predictions=None)
    ours = flow({"own": lambda: Says(True)}, "binary", drift=settings)
    made = ours.feed(3, True)
    assert [each.value.get("reason", "predicted") for each in made] == [
        *("predicted", "evaluate_error") * 3,
    ]
    assert ours.models.of("").version == 3


def test_a_detector_that_can_no_longer_be_made(flow: Make) -> None:
    """Each label is rejected, and learned; the agent goes on."""
    left = ["a file"]
    settings = DriftSettings(
        loss=lambda: drift.PageHinkley(delta=len(left[0])), inputs=None, predictions=None
    )
    ours = flow({"own": lambda: Says(True)}, "binary", drift=settings)
    left.clear()
    ours.feed(2, True)
    assert [each["reason"] for each in ours.of("rejects")] == ["evaluate_error"] * 2
    assert ours.models.of("").version == 2
    assert ours.learning.evaluation.examples["own"] == 2


def test_a_detector_of_inputs_that_raises(flow: Make) -> None:
    """Its event is rejected, though it was predicted; the other sources are watched on."""
    settings = DriftSettings(loss=None, inputs={"a": Detector, "b": "adwin"}, predictions=None)
    ours = flow({"own": Mean}, drift=settings)
    for i in range(3_200):
        ours.feed(1, a=float(i * 37 % 101), b=float(i * 53 % 97))
    reasons = {(each["reason"], each["detail"][:25]) for each in ours.of("rejects")}
    assert reasons == {("evaluate_error", "input:a: KeyError: 'detec")}
    (watch,) = (each for each in ours.task.operators if each.name == "drift")
    assert "input:b" in watch.stores["monitors"]
    assert len(ours.of("predictions")) == 3_200


def test_a_detector_of_inputs_that_can_no_longer_be_made(flow: Make) -> None:
    """Each of its values is rejected; the other sources are watched, and the agent goes on."""
    left = ["a file"]
    inputs = {"a": lambda: drift.PageHinkley(delta=len(left[0])), "b": "adwin"}
    ours = flow({"own": Mean}, drift=DriftSettings(loss=None, inputs=inputs, predictions=None))
    left.clear()
    ours.feed(3, a=1.0, b=2.0)
    assert [each["reason"] for each in ours.of("rejects")] == ["evaluate_error"] * 3
    assert len(ours.of("predictions")) == 3
    (watch,) = (each for each in ours.task.operators if each.name == "drift")
    assert [*watch.stores["monitors"]] == ["input:b"]


class Says(base.Classifier):
    def __init__(self, value: Any) -> None:
        self.value = value

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        pass

    def predict_one(self, x: dict[str, Any]) -> Any:
        return self.value


@pytest.mark.parametrize("said", ["yes", 2, 0.7, b"x", frozenset()], ids=repr)
def test_a_class_of_a_wrong_type(said: Any, flow: Make) -> None:
    """Is no prediction, and no label is compared with it."""
    ours = flow({"own": lambda: Says(said)}, "binary")
    assert [each.topic for each in ours.feed(1, True)] == ["rejects", "alerts"]
    assert ours.of("outcomes")[0]["losses"] == {}


def test_the_count_of_invalid_predictions_is_saved(flow: Make) -> None:
    """So alerts come where they would have come without a restart."""
    ours = flow({"own": Mean})
    ours.feed(3, say=math.nan)
    changes = ours.prediction.stores["invalid"].take_changes()
    assert [(each.key, each.value) for each in changes] == [("own", 3)]
