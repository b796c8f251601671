"""Every example is a test first, then trained on: River's own prequential evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import base, evaluate, metrics
from river.drift import PageHinkley

from millrace.models.features import fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.trial import MIN_LABELS
from millrace.schemas import shipped
from millrace.schemas.records import RejectReason
from millrace.streams.operators import learning
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import EvaluationRecord, ExampleRecord, Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.task import Task

NOW_MS = 1_700_000_000_000
Make = Callable[..., Any]

METRICS: dict[str, dict[str, Any]] = {
    "binary": {"accuracy": metrics.Accuracy, "f1": metrics.F1, "log_loss": metrics.LogLoss},
    "multiclass": {
        "accuracy": metrics.Accuracy,
        "macro_f1": metrics.MacroF1,
        "cohen_kappa": metrics.CohenKappa,
    },
    "regression": {"mae": metrics.MAE, "rmse": metrics.RMSE, "r2": metrics.R2},
    "anomaly": {"roc_auc": metrics.ROCAUC},
}


class Chain:
    """Prediction and learning on one partition, and what they publish."""

    def __init__(self, pipeline: Pipeline, make_vector: Make, make_label: Make) -> None:
        self.models = ScopedModels(pipeline)
        self.learning = LearningOperator(pipeline, self.models)
        prediction = PredictionOperator(
            pipeline, self.models, self.learning, lambda _: pytest.fail("there are no snapshots")
        )
        self._task = Task([prediction], lambda: 0)
        self.operators = self._task.operators
        self._vector, self._label = make_vector, make_label
        self.published: list[Record] = []

    def event(self, i: int, x: dict[str, float]) -> None:
        self.published += self._task.run(Slice([self._vector(f"e{i}", NOW_MS + i, **x)]))

    def label(self, i: int, y: Any) -> None:
        self.published += self._task.run(Slice([self._label(f"e{i}", y)]))

    def run(self, record: Record) -> list[Record]:
        return self._task.run(Slice([record]))

    def of(self, topic: str) -> list[Any]:
        return [record.value for record in self.published if record.topic == topic]


@pytest.fixture
def chain(make_vector: Make, make_label: Make) -> Callable[[Pipeline], Chain]:
    """Make the chain of prediction and learning of a pipeline."""
    return lambda pipeline: Chain(pipeline, make_vector, make_label)


def delayed(rows: list[Any], delay: int) -> Iterator[tuple[str, int, Any]]:
    """Give events in order, each label right before the event `delay` places later."""
    for i, (x, _) in enumerate(rows):
        if i >= delay:
            yield "label", i - delay, rows[i - delay][1]
        yield "event", i, x
    for i in range(max(len(rows) - delay, 0), len(rows)):
        yield "label", i, rows[i][1]


@pytest.mark.parametrize("task", METRICS)
@pytest.mark.parametrize("delay", [None, 1, 7, 500])
def test_metrics_are_rivers(
    task: str, delay: int | None, make_pipeline: Make, make_rows: Make, chain: Any
) -> None:
    """Cumulative metrics equal `progressive_val_score` to the last digit, with delay or without."""
    rows = make_rows(task, 300)
    pipeline = make_pipeline(task, metrics=METRICS[task])
    ours = chain(pipeline)
    for kind, i, value in delayed(rows, delay or 1):
        getattr(ours, kind)(i, value)
    scores = ours.learning.evaluation.cumulative()["own"]
    said = sum(prediction["value"] is not None for prediction in ours.of("predictions"))
    assert {*scores} == ({*METRICS[task]} if said else set())
    for name, metric in METRICS[task].items():
        model = pipeline.models["own"]()
        theirs = evaluate.progressive_val_score(
            [(dict(x), y) for x, y in rows], model, metric(), delay=delay
        )
        assert scores.get(name, 0.0) == theirs.get(), name
    assert ours.learning.evaluation.examples["own"] == said
    assert said >= (len(rows) - (delay or 1) if delay != 500 else 0)
    assert ours.models.of("").version == len(rows)


def test_delay_changes_the_score(make_pipeline: Make, make_rows: Make, chain: Any) -> None:
    """A label that comes later makes for worse predictions: the two ways above do differ."""
    rows = make_rows("regression", 300)
    found = []
    for delay in (1, 100):
        ours = chain(make_pipeline("regression"))
        for kind, i, value in delayed(rows, delay):
            getattr(ours, kind)(i, value)
        found.append(ours.learning.evaluation.cumulative()["own"]["mae"])
    assert found[0] < found[1]


@pytest.mark.parametrize("task", METRICS)
def test_baselines_are_measured_beside(
    task: str, make_pipeline: Make, make_rows: Make, chain: Any
) -> None:
    """Every candidate and both baselines are measured on the same examples."""
    ours = chain(make_pipeline(task, rolling_window=50))
    for kind, i, value in delayed(make_rows(task, 120), 1):
        getattr(ours, kind)(i, value)
    assert {*ours.learning.evaluation.cumulative()} == {"own", "no_change", "prior"}
    assert {*ours.learning.evaluation.rolling()} == {"own", "no_change", "prior"}


class Seesaw(base.Classifier):
    """Says what it is told to by the feature `say`, and knows how much it has learned."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned += 1

    def predict_one(self, x: dict[str, Any]) -> Any:
        return bool(x["say"])


def drifting(chain: Chain, count: int, start: int = 0, wrong: bool = False) -> None:
    """Feed events that the model is right about, but for one in twelve; or the other way around."""
    for i in range(start, start + count):
        right = (i % 12 != 0) is not wrong
        chain.event(i, {"say": float(right)})
        chain.label(i, True)


@pytest.fixture
def seesaw(make_pipeline: Make, chain: Any) -> Callable[..., Chain]:
    """Make a chain around `Seesaw`."""

    def make(**drift: Any) -> Chain:
        settings = DriftSettings(inputs=None, predictions=None, **drift)
        made: Chain = chain(make_pipeline(models={"own": Seesaw}, drift=settings))
        return made

    return make


def test_alert_carries_evidence(seesaw: Callable[..., Chain]) -> None:
    """A loss that rises is one alert: where, of which model, from what to what."""
    ours = seesaw(policy="alert")
    drifting(ours, 500)
    assert ours.of("alerts") == []
    drifting(ours, 300, start=500, wrong=True)
    (alert,) = ours.of("alerts")
    assert (alert["source"], alert["model"], alert["action"]) == ("loss:own", "own", "alert")
    assert alert["detector"] == "ADWIN"
    assert 500 < alert["position"] < 700
    assert alert["event_id"] == f"e{alert['position'] - 1}"
    assert alert["event_time_ms"] == NOW_MS + alert["position"] - 1
    assert alert["model_version"] == alert["position"] - 1
    assert (alert["mean_before"] < 0.2, alert["mean_after"] > 0.8) == (True, True)
    assert ours.models.of("").models["own"].learned == 800


def test_a_fall_of_the_loss_is_no_alert(seesaw: Callable[..., Chain]) -> None:
    """A model that gets better needs no reaction."""
    ours = seesaw(policy="reset")
    drifting(ours, 400, wrong=True)
    drifting(ours, 400, start=400)
    assert ours.of("alerts") == []
    assert ours.models.of("").models["own"].learned == 800


def test_no_detector_no_alert(seesaw: Callable[..., Chain]) -> None:
    """With `loss=None` the loss is not watched."""
    ours = seesaw(loss=None)
    drifting(ours, 400)
    drifting(ours, 300, start=400, wrong=True)
    assert ours.of("alerts") == []


def test_cooldown(seesaw: Callable[..., Chain]) -> None:
    """Within `cooldown` examples of an alert there is no other; after it there may be."""

    def alerts(cooldown: int) -> list[int]:
        ours = seesaw(cooldown=cooldown)
        for start in range(0, 1_600, 800):
            drifting(ours, 400, start=start)
            drifting(ours, 400, start=start + 400, wrong=True)
        return [alert["position"] for alert in ours.of("alerts")]

    assert len(alerts(100)) == 2
    assert len(alerts(5_000)) == 1


def test_reset(seesaw: Callable[..., Chain]) -> None:
    """Policy `reset` puts an untrained model in the drifted one's place, which learns from then."""
    ours = seesaw(policy="reset")
    drifting(ours, 500)
    drifting(ours, 300, start=500, wrong=True)
    (alert,) = ours.of("alerts")
    assert alert["action"] == "reset"
    assert ours.models.of("").models["own"].learned == 800 - (alert["position"] - 1)
    assert ours.models.of("").version == 800


class Stubborn(base.Classifier):
    """Says for ever what its first label was."""

    def __init__(self) -> None:
        self.first: Any = None

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "bad" in x and self.first is None:
            raise ValueError("cannot begin with this")
        self.first = y if self.first is None else self.first

    def predict_one(self, x: dict[str, Any]) -> Any:
        return self.first


def stubborn(chain: Chain, labels: list[bool], start: int = 0, **x: float) -> None:
    for i, y in enumerate(labels, start):
        chain.event(i, {"a": 1.0, **x})
        chain.label(i, y)


def test_replace(make_pipeline: Make, chain: Any) -> None:
    """Policy `replace` trains another in the background, and swaps it in once it does better."""
    drift = DriftSettings(policy="replace", replacement_after=60)
    ours = chain(make_pipeline(models={"own": Stubborn}, drift=drift))
    stubborn(ours, [True] * 400)
    stubborn(ours, [False] * 200, start=400)
    (alert,) = (each for each in ours.of("alerts") if each["source"] == "loss:own")
    assert alert["action"] == "replace"
    values = [prediction["value"] for prediction in ours.of("predictions")]
    swapped = values.index(False)
    # The example at which the alert was made is the first that the replacement learns.
    assert alert["event_id"] == f"e{swapped - 30 - MIN_LABELS}"
    assert values[swapped:] == [False] * (600 - swapped)
    assert ours.models.of("").challengers == {}


def test_a_replacement_that_is_no_better(make_pipeline: Make, chain: Any) -> None:
    """A replacement that does worse than the model in place is put away."""
    drift = DriftSettings(policy="replace", replacement_after=60)
    ours = chain(make_pipeline(models={"own": Stubborn}, drift=drift))
    stubborn(ours, [True] * 400)
    stubborn(ours, [False] * 20, start=400)
    stubborn(ours, [i % 2 == 0 for i in range(20)], start=420)
    stubborn(ours, [True] * 300, start=440)
    assert len([each for each in ours.of("alerts") if each["source"] == "loss:own"]) == 1
    assert ours.models.of("").models["own"].first is True
    assert ours.models.of("").challengers == {}


def test_a_replacement_that_raises(make_pipeline: Make, chain: Any) -> None:
    """A replacement that raises is put away; the model in place goes on, and no label is lost."""
    drift = DriftSettings(policy="replace", replacement_after=60)
    ours = chain(make_pipeline(models={"own": Stubborn}, drift=drift))
    stubborn(ours, [True] * 400)
    stubborn(ours, [False] * 200, start=400, bad=1.0)
    assert [each["source"] for each in ours.of("alerts")] == ["loss:own"]
    assert ours.of("rejects") == []
    assert ours.models.of("").challengers == {}
    assert ours.models.of("").failures == {"own": 1}
    assert ours.learning.tally["learned", "own"] == 600


class Picky(base.Classifier):
    """Raises at what it may not learn."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "bad" in x:
            raise ValueError("cannot learn this")

    def predict_one(self, x: dict[str, Any]) -> Any:
        return True


def test_a_champion_that_raises(make_pipeline: Make, chain: Any) -> None:
    """An example at which the champion raises is one reject; the other models learn from it."""
    ours = chain(make_pipeline(models={"picky": Picky, "other": Seesaw}))
    ours.event(1, {"say": 1.0, "bad": 1.0})
    ours.label(1, True)
    ours.event(2, {"say": 1.0})
    ours.label(2, True)
    (reject,) = ours.of("rejects")
    assert reject["reason"] == RejectReason.LEARN_ERROR
    assert "ValueError: cannot learn this at" in reject["detail"]
    assert "test_learning.py:" in reject["detail"]
    assert ours.models.of("").models["other"].learned == 2
    assert ours.learning.tally["learned", "picky"] == 1
    assert ours.learning.tally["rejected_label", RejectReason.LEARN_ERROR] == 1
    assert ours.learning.evaluation.examples["picky"] == 2


@pytest.mark.parametrize("other", ["seesaw", "picky_too"])
def test_selection_is_told_of_a_champion_that_raises(
    other: str, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Once, where learning has an agent of its own, and if another candidate can learn."""
    models = {"picky": Picky, other: Seesaw if other == "seesaw" else Picky}
    pipeline = make_pipeline(models=models)
    writer = ExampleWriter(pipeline, ScopedModels(pipeline))
    prediction = PredictionOperator(
        pipeline, ScopedModels(pipeline), writer, lambda _: pytest.fail("no snapshots")
    )
    apart = LearningOperator(pipeline, ScopedModels(pipeline), True, definition="d1")
    told: list[EvaluationRecord] = []
    for i in range(20):
        bad = {"bad": 1.0} if i > 10 else {}
        for record in (make_vector(f"e{i}", i, say=1.0, **bad), make_label(f"e{i}", True)):
            for each in prediction.run(Slice([record])):
                if isinstance(each, ExampleRecord):
                    made = apart.run(Slice([each]))
                    told += [each for each in made if isinstance(each, EvaluationRecord)]
    if other == "picky_too":
        assert told == []
        return
    (report,) = told
    value = report.value
    assert (value["definition"], value["champion"], value["failures"]) == ("d1", "picky", 1)
    assert (value["events"], value["candidates"], value["first_time_ms"]) == (0, {}, 11)
    assert shipped("evaluation").decode(shipped("evaluation").encode(value)) == value


def test_a_reaction_is_saved(make_pipeline: Make, make_rows: Make, chain: Any) -> None:
    """What a policy did to a model is written with the next flush, even if nothing is learned."""
    drift = DriftSettings(policy="reset", loss=lambda: PageHinkley(threshold=1.0))
    ours = chain(make_pipeline("anomaly", label=None, drift=drift))
    for i, (x, _) in enumerate(make_rows("anomaly", 400)):
        ours.event(i, x)
    for i in range(400):
        ours.models.by_scope_key.take_changes()
        ours.label(i, i >= 200)
        if ours.of("alerts"):
            break
    assert [each["action"] for each in ours.of("alerts")] == ["reset"]
    assert [change.key for change in ours.models.by_scope_key.take_changes()] == [""]


def test_labels_count_in_a_trial_where_models_learn_without_them(
    make_pipeline: Make, make_rows: Make, chain: Any
) -> None:
    """A challenger is compared and saved when a label comes, though nothing learns from it."""
    drift = DriftSettings(
        policy="replace", replacement_after=20, loss=lambda: PageHinkley(threshold=1.0)
    )
    ours = chain(make_pipeline("anomaly", label=None, drift=drift))
    trials, saved = [], []
    for i, (x, _) in enumerate(make_rows("anomaly", 400)):
        ours.event(i, x)
        ours.models.by_scope_key.take_changes()
        ours.label(i, i >= 200)
        trials.append(len(ours.models.of("").challengers))
        saved += [i for _ in ours.models.by_scope_key.take_changes()]
    (alert,) = ours.of("alerts")
    began = trials.index(1)
    assert trials == [0] * began + [1] * (400 - began)
    assert alert["event_id"] == f"e{began}"
    assert saved == [*range(began, 400)]
    (challenger,) = ours.models.of("").challengers.values()
    assert 0 <= 400 - began - 10 - challenger.evidence["compared"] < 10


@pytest.mark.parametrize("evicted", [True, False])
def test_a_monitor_goes_with_its_model(
    evicted: bool, make_pipeline: Make, avro: Make, make_vector: Make, make_label: Make
) -> None:
    """A key that comes back after its model was evicted is watched afresh: no false alert."""
    schema = avro(id="string", user="string", say="double", y=["null", "boolean"])
    drift = DriftSettings(inputs=None, predictions=None)
    pipeline = make_pipeline(
        schema=schema,
        key="user",
        scope="key",
        max_models=2,
        models={"own": Seesaw},
        features=(fields("say"),),
        drift=drift,
    )
    ours = Chain(pipeline, make_vector, make_label)

    def feed(user: str, start: int, count: int, wrong: bool) -> None:
        for i in range(start, start + count):
            right = (i % 12 != 0) is not wrong
            ours.event(i, {"say": float(right), "key": user})  # type: ignore[dict-item]
            ours.published += ours.run(make_label(f"e{i}", True, key=user))

    feed("anna", 0, 500, wrong=False)
    if evicted:
        feed("bert", 500, 3, wrong=False)
        feed("cleo", 503, 3, wrong=False)
        assert (
            {*ours.learning.stores["monitors"]} == {*ours.models.by_scope_key} == {"bert", "cleo"}
        )
    feed("anna", 506, 300, wrong=True)
    assert len(ours.of("alerts")) == (0 if evicted else 1)


class Brittle(Seesaw):
    """Raises an exception at what it may not predict, or learn."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "unlearnable" in x:
            raise ValueError("cannot learn this")

    def predict_one(self, x: dict[str, Any]) -> Any:
        if "odd" in x:
            raise ValueError("cannot predict this")
        return True


def test_failures_are_saved_with_the_models(
    make_pipeline: Make, make_vector: Make, make_label: Make, move: Make
) -> None:
    """Each failure counts, when it predicts as well as when it learns, wherever state is moved."""
    pipeline = make_pipeline(models={"own": Seesaw, "brittle": Brittle})
    ours, log, expected = Chain(pipeline, make_vector, make_label), {}, 0
    for i in range(60):
        x = {"say": 1.0} | {0: {}, 1: {"odd": 1.0}, 2: {"unlearnable": 1.0}}[i % 3]
        ours.event(i, x)
        if i % 4 == 0:
            ours = moved(ours, Chain(pipeline, make_vector, make_label), log, move)
        if i >= 20:
            ours.label(i - 20, True)
        expected += (i % 3 == 1) + (i >= 20 and (i - 20) % 3 == 2)
        ours = moved(ours, Chain(pipeline, make_vector, make_label), log, move)
        assert ours.models.of("").failures["brittle"] == expected


def moved(old: Chain, new: Chain, log: dict[str, Any], move: Make) -> Chain:
    """Carry the state of a chain to another one."""
    for ours, theirs in zip(old.operators, new.operators, strict=True):
        move(ours, theirs, log.setdefault(ours.name, {}))
    return new


def test_few_models_are_read_for_a_metric(
    make_pipeline: Make, chain: Any, avro: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were trained last; a million would take half a second."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    pipeline = make_pipeline(schema=schema, features=[fields("a")], key="user", scope="key")
    ours = chain(pipeline)
    for key, version in (("anna", 9), ("bert", 7), ("cleo", 3)):
        ours.models.of(key).version = version

    def read() -> dict[str, float]:
        readings = ours.learning.readings()
        return {each.metric: each.value for each in readings if not each.labels}

    assert read() == {"model_version": 9, "models": 3}
    monkeypatch.setattr(learning, "_MOST_READ", 2)
    assert read() == {"model_version": 7, "models": 3}
    ours.models.mark_trained("anna")
    assert read() == {"model_version": 9, "models": 3}
