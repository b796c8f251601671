"""Every tenth block says how good each candidate is by the metrics, as they are at its place."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from river import linear_model, metrics, naive_bayes, preprocessing

from millrace.models.candidates.evaluation import Prequential
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.label_default import LabelDefault
from millrace.schemas import shipped
from millrace.schemas.records import Evaluation, RejectReason
from millrace.streams.formats.json import to_json
from millrace.streams.operators import event_blocks
from millrace.streams.operators.record import Record
from millrace.streams.topology.task import Task
from tests.unit.streams.operators.commanding import Control, folded, learning_of, make_task

Make = Callable[..., Any]
BEGIN_MS, MINUTE_MS = 1_700_000_000_000, 60_000
EVENTS = 1_150
MODELS: dict[str, dict[str, Any]] = {
    "binary": {
        "linear": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        "bayes": naive_bayes.GaussianNB,
    },
    "multiclass": {"bayes": naive_bayes.GaussianNB},
    "regression": {
        "linear": lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
        "passive": linear_model.PARegressor,
    },
}
BASELINES = ("no_change", "prior")
METRICS = {
    "binary": {"accuracy": True, "f1": False},
    "multiclass": {"accuracy": True, "macro_f1": False, "cohen_kappa": False},
    "regression": {"mae": True, "rmse": False, "r2": False},
}  # and whether there is a rolling one


class Odd(metrics.Accuracy):  # type: ignore[misc]  # River has no types
    """Raises at every seventh label, and is no number."""

    def __init__(self, cm: Any = None) -> None:
        super().__init__(cm)
        self.asked = 0

    def update(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        self.asked += 1
        if self.asked > 10 and self.asked % 7 == 0:
            raise ValueError("the seventh")
        super().update(y_true, y_pred, w)

    def get(self) -> float:
        return math.inf if self.asked > 10 else 0.5


class Silent(metrics.Accuracy):  # type: ignore[misc]
    """Cannot be read after a while."""

    def get(self) -> float:
        if self.cm.n_samples > 10:
            raise ValueError("is silent")
        return 0.5


def records(
    task: str, make_vector: Make, make_label: Make, delays: tuple[int, ...] = (0, 3, 40)
) -> list[Record]:
    """Return events, one a minute, and labels, of which some are inside events."""
    rng, made, due = random.Random(5), list[Record](), list[tuple[int, str, Any]]()
    for n in range(EVENTS):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(5, 3)}
        signal = x["a"] + rng.gauss(0, 0.5)
        label: Any = {"binary": signal > 0, "multiclass": "xyz"[int(abs(signal)) % 3]}.get(
            task, signal
        )
        delay = rng.choice(delays)
        at_ms = BEGIN_MS + n * MINUTE_MS
        made.append(make_vector(f"e{n}", at_ms, label=None if delay else label, **x))
        if delay:
            due.append((n + delay, f"e{n}", label))
        for each in [each for each in due if each[0] <= n]:
            due.remove(each)
            made.append(make_label(*each[1:]))
    return made


def evaluated(task: Task, taken: list[Record]) -> list[Evaluation]:
    """Return the blocks that a slice leads to."""
    return [each.value for each in folded(task, taken) if each.topic == "evaluations"]  # type: ignore[misc]


def cut(taken: list[Record], seed: int) -> Iterator[list[Record]]:
    """Cut a log into slices."""
    rng, at = random.Random(seed), 0
    while at < len(taken):
        end = at + rng.choice([1, 7, 150, 400])
        yield taken[at:end]
        at = end


@pytest.mark.parametrize("task", MODELS)
def test_what_a_tenth_block_has(
    task: str, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Every candidate and baseline has all metrics; one of them has a rolling value, too."""
    pipeline = make_pipeline(task, models=MODELS[task], rolling_window=50)
    made = evaluated(make_task(pipeline), records(task, make_vector, make_label))
    assert [each["number"] for each in made if each["metrics"]] == [9]
    found = made[9]["metrics"]
    assert {*found} == {*MODELS[task], *BASELINES}
    for values in found.values():
        for each in values.values():
            assert isinstance(each["cumulative"], float)
        assert {name: each["rolling"] is not None for name, each in values.items()} == METRICS[task]
    written = shipped("evaluation").encode(made[9])
    assert shipped("evaluation").decode(written) == made[9]


DEFINED: dict[str, dict[str, Any]] = {
    "plain": {},
    "held": {"label_conflicts": LabelConflicts(within=timedelta(minutes=9), keep="last")},
    "silence": {"label_default": LabelDefault(False, after=timedelta(minutes=45))},
}


@pytest.mark.parametrize("defined", DEFINED)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_they_are_those_after_the_record(
    task: str,
    defined: str,
    make_pipeline: Make,
    make_vector: Make,
    make_label: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block has them as they are once the record is taken that leads to it, wherever it is."""
    monkeypatch.setattr(event_blocks, "METRICS_EVERY", 1)
    more = DEFINED[defined]
    if task == "regression" and defined == "silence":
        more = {"label_default": LabelDefault(0.0, after=timedelta(minutes=45))}
    pipeline = make_pipeline(task, models=MODELS[task], rolling_window=70, **more)
    log = records(task, make_vector, make_label, (3, 40, EVENTS) if more else (0, 3, 40))
    one_by_one, after = make_task(pipeline), list[tuple[int, Any]]()
    for each in log:
        for made in evaluated(one_by_one, [each]):
            now = learning_of(one_by_one).evaluation
            assert now is not None
            after.append((made["number"], now.values()))
            assert made["metrics"] == now.values()
    assert len(after) > 7
    for seed in range(4):
        task_of_slices = make_task(pipeline)
        slices = [log] if not seed else cut(log, seed)
        made_of_slices = [made for part in slices for made in evaluated(task_of_slices, part)]
        assert [(each["number"], each["metrics"]) for each in made_of_slices] == after


def test_in_force_at_the_place(
    make_pipeline: Make, make_vector: Make, make_label: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a deploy there are its candidates and metrics; what is new begins there."""
    monkeypatch.setattr(event_blocks, "METRICS_EVERY", 1)
    before = make_pipeline(models=MODELS["binary"], metrics={"accuracy": metrics.Accuracy})
    models = {"linear": MODELS["binary"]["linear"], "other": linear_model.Perceptron}
    more = {"accuracy": metrics.Accuracy, "log_loss": metrics.LogLoss}
    after = make_pipeline(models=models, metrics=more)
    log = records("binary", make_vector, make_label, (3,))
    task, control = make_task(before), Control(before)
    earlier = evaluated(task, log[:1_000])[-1]["metrics"]
    heir = make_task(after, definition="d1")
    heir.inherit(task, control.deploy(after))
    first, *_, last = evaluated(heir, log[1_000:])
    assert {*earlier} == {"linear", "bayes", *BASELINES}
    assert {*first["metrics"]} <= {"linear", "other", *BASELINES}
    assert {*last["metrics"]} == {"linear", "other", *BASELINES}
    assert {*earlier["linear"]} == {"accuracy"}
    assert {*last["metrics"]["linear"]} == {"accuracy", "log_loss"}
    assert len(log[1_000:]) > 300


def test_a_metric_that_raises(
    make_pipeline: Make, make_vector: Make, make_label: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its labels are rejects as ever; it is null where it is no number, absent where it raises."""
    monkeypatch.setattr(event_blocks, "METRICS_EVERY", 3)
    own = {"odd": Odd, "silent": Silent, "f1": metrics.F1}
    pipeline = make_pipeline(models=MODELS["binary"], metrics=own)
    log = records("binary", make_vector, make_label)
    by_record = make_task(pipeline)
    one_by_one = [made for each in log for made in folded(by_record, [each])]
    made = folded(make_task(pipeline), log)
    for topic in ("rejects", "evaluations"):
        assert [to_json(each.value) for each in made if each.topic == topic] == [
            to_json(each.value) for each in one_by_one if each.topic == topic
        ]
    rejects = [each for each in made if each.topic == "rejects"]
    assert {each.value["reason"] for each in rejects} == {RejectReason.EVALUATE_ERROR}
    blocks = [each.value for each in made if each.topic == "evaluations"]
    found = [each["metrics"] for each in blocks if each["metrics"]]
    assert len(found) == 3
    for each in found:
        assert {*each["bayes"]} == {"odd", "f1", "accuracy"}
        assert each["bayes"]["odd"] == {"cumulative": None, "rolling": None}
        assert each["bayes"]["accuracy"]["cumulative"] is None
        assert each["bayes"]["f1"]["cumulative"] > 0.5


def test_before_the_first_label(
    make_pipeline: Make, make_vector: Make, make_label: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has measured nothing is not there: an event without labels leads to no metrics."""
    monkeypatch.setattr(event_blocks, "METRICS_EVERY", 1)
    pipeline = make_pipeline(models=MODELS["binary"])
    scores = Prequential("binary", ["bayes"], None, 10)
    assert scores.values() == {}
    log = [make_vector(f"e{n}", BEGIN_MS + n, label=None) for n in range(100)]
    log += [make_vector("last", BEGIN_MS + 10**10, label=None)]
    task = make_task(pipeline)
    assert evaluated(task, log) == []
    assert learning_of(task).evaluation is None


def test_apart(make_pipeline: Make, make_vector: Make, make_label: Make) -> None:
    """Where learning has an agent of its own, prediction does not know them."""
    pipeline = make_pipeline(models=MODELS["binary"])
    task = make_task(pipeline, "prediction")
    made = evaluated(task, records("binary", make_vector, make_label))
    assert len(made) > 9
    assert all(each["metrics"] == {} for each in made)
    assert to_json(made[9])
