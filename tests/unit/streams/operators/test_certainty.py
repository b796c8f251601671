"""Each prediction has an interval, or a set of classes, that holds so often, if that is asked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from river import base

from millrace.models.certainty.conformal import Conformal
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.selection.promotion import Promotion
from millrace.schemas import shipped
from millrace.schemas.records import Predicted
from millrace.streams.operators.certainty import Certainty
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from tests.chaos.likeness import difference, entries_of

Make = Callable[..., Any]


class Half(base.Classifier):
    """Gives each class that it has seen the share that the feature `a` says, or the rest."""

    def __init__(self) -> None:
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.learned += 1

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        return {True: x["a"], False: 1.0 - x["a"]}


class Silent(base.Classifier):
    """Predicts a class without a probability."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:  # type: ignore[override]
        return True


class Mean(base.Regressor):
    """Predicts the feature `a`."""

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> float:  # type: ignore[override]
        return float(x["a"])


def operator_of(pipeline: Pipeline) -> PredictionOperator:
    models = ScopedModels(pipeline)
    return PredictionOperator(
        pipeline,
        models,
        LearningOperator(pipeline, models),
        lambda _: pytest.fail("there are no snapshots"),
    )


def folded(operator: PredictionOperator, records: Sequence[Record], size: int = 97) -> list[Record]:
    return [
        each
        for at in range(0, len(records), size)
        for each in operator.run(Slice(records[at : at + size]))
    ]


def certainties(records: Sequence[Record]) -> list[Any]:
    return [each.value["certainty"] for each in records if each.topic == "predictions"]


@pytest.fixture
def numbers(make_vector: Make, make_label: Make) -> Callable[..., list[Record]]:
    """Make events whose labels are off by a normal error, each label so many events later."""

    def make(
        count: int, delay: int | None, sigma: Callable[[int], float] = lambda _: 1.0, first: int = 0
    ) -> list[Record]:
        rng, made, waiting = random.Random(first), list[Record](), list[Record]()
        for i in range(first, first + count):
            a = rng.gauss(0, 1)
            y = a + rng.gauss(0, sigma(i))
            label = y if delay == 0 else None
            made.append(make_vector(f"e{i}", i * 1_000, label=label, a=a, b=0.0))
            if delay:
                waiting.append(make_label(f"e{i}", y))
                if len(waiting) > delay:
                    made.append(waiting.pop(0))
        return made

    return make


@pytest.fixture
def regression(make_pipeline: Make) -> Callable[..., Pipeline]:
    """Make a definition."""
    return lambda **more: make_pipeline(
        "regression", **({"models": {"mean": Mean}, "certainty": Conformal()} | more)
    )


@pytest.mark.parametrize(("delay", "least"), [(0, 0.75), (100, 0.6)])
@pytest.mark.parametrize("method", ["sf_ogd", "pi"])
def test_intervals_hold_so_often(
    method: str, delay: int, least: float, regression: Any, numbers: Any
) -> None:
    """Through a change; in all, and in any 200 events in a row."""
    operator = operator_of(regression(certainty=Conformal(method=method)))
    records = numbers(10_000, delay, lambda i: 1.0 if i < 5_000 else 2.0)
    made = folded(operator, records)
    labels = {r.value["event_id"]: r.value["label"] for r in made if r.topic == "outcomes"}
    hits = [
        said["lower"] <= label <= said["upper"]
        for each in made
        if each.topic == "predictions"
        and not (said := each.value["certainty"])["why_none"]
        and (label := labels.get(each.value["event_id"])) is not None
    ]
    assert len(hits) > 9_700
    assert sum(hits) / len(hits) == pytest.approx(0.9, abs=0.01)
    assert min(sum(hits[at : at + 200]) for at in range(len(hits) - 200)) >= 200 * least
    shown = {each.labels: each.value for each in operator.readings() if each.metric == "coverage"}
    assert shown["all",] == sum(hits) / len(hits)
    blocks = [each.value["certainty"] for each in made if each.topic == "evaluations"]
    published = [each for each in blocks if each]
    counted = sum(each["labels"] for each in published)
    assert counted > 9_500
    assert sum(each["covered"] for each in published) / counted == pytest.approx(0.9, abs=0.01)
    assert all(each["wanted"] == 0.9 for each in published)


def test_an_interval_is_around_the_prediction(regression: Any, numbers: Any) -> None:
    """By the threshold that it says; before the first label there is none."""
    first, *others = certainties(folded(operator_of(regression()), numbers(50, 0)))
    nothing = {"threshold": None, "lower": None, "upper": None, "classes": {}, "abstained": ""}
    assert first == {**nothing, "coverage": 0.9, "why_none": "no_label"}
    for each in others:
        assert each["upper"] - each["lower"] == pytest.approx(2 * each["threshold"])
        assert each["why_none"] == ""
    encode, decode = shipped("prediction").encode, shipped("prediction").decode
    made = folded(operator_of(regression()), numbers(9, 0))
    last = [each.value for each in made if each.topic == "predictions"][-1]
    assert decode(encode(last)) == last


def test_without_certainty_nothing_is_said(regression: Any, numbers: Any) -> None:
    """Nor is anything kept, shown or counted."""
    operator = operator_of(regression(certainty=None))
    made = folded(operator, numbers(300, 0))
    assert {*certainties(made)} == {None}
    blocks = [each.value["certainty"] for each in made if each.topic == "evaluations"]
    assert len(blocks) == 3
    assert {*blocks} == {None}
    assert "certainty" not in operator.stores


def test_labels_that_are_known_early_do_not_count_first(
    regression: Any, make_vector: Make, make_label: Make
) -> None:
    """Where small errors are known at once, and large ones 50 events later."""
    rng, records, waiting = random.Random(2), list[Record](), list[tuple[int, Record]]()
    for i in range(6_000):
        y = rng.gauss(0, 1)
        records.append(make_vector(f"e{i}", i * 1_000, a=0.0, b=0.0))
        waiting.append((i + (50 if abs(y) > 1 else 0), make_label(f"e{i}", y)))
        records += [label for due, label in waiting if due <= i]
        waiting = [(due, label) for due, label in waiting if due > i]
    made = folded(operator_of(regression(promotion=Promotion(wait=timedelta(hours=1)))), records)
    thresholds = [each["threshold"] for each in certainties(made)[1_000:]]
    assert sum(thresholds) / len(thresholds) == pytest.approx(1.645, abs=0.1)


def test_an_event_that_gets_no_label_holds_up_none_for_longer_than_blocks_wait(
    regression: Any, numbers: Any
) -> None:
    """Then thresholds are moved without it."""
    records = numbers(400, 0)
    del records[200].value["label"]
    records[200].value["label"] = None
    operator = operator_of(regression(promotion=Promotion(wait=timedelta(seconds=30))))
    thresholds = [each["threshold"] for each in certainties(folded(operator, records))]
    held_up = thresholds[201:235]
    assert len({*held_up[:28]}) == 1
    assert len({*thresholds[240:300]}) == 60


def test_each_key_by_itself(regression: Any, make_vector: Make) -> None:
    """Where that is asked for: errors of one are ten times as large."""
    rng = random.Random(3)
    records = []
    for i in range(4_000):
        key = f"k{i % 2}"
        y = rng.gauss(0, 10.0 if i % 2 else 1.0)
        records.append(make_vector(f"e{i}", i * 1_000, key=key, label=y, a=0.0, b=0.0))
    operator = operator_of(regression(key="id", certainty=Conformal(by_key=True)))
    said = certainties(folded(operator, records))
    narrow = sum(each["threshold"] for each in said[2_000::2]) / 1_000
    wide = sum(each["threshold"] for each in said[2_001::2]) / 1_000
    assert (narrow, wide) == (pytest.approx(1.645, abs=0.2), pytest.approx(16.45, abs=2.0))


def test_sets_of_classes(make_pipeline: Make, make_vector: Make) -> None:
    """One of two that are equally likely has both, or the model is silent if it is to be."""
    rng = random.Random(5)
    records = []
    for i in range(2_000):
        share = rng.choice([0.5, 0.99, 0.01])
        label = rng.random() < share
        records.append(make_vector(f"e{i}", i, label=label, a=share, b=0.0))
    for abstains in (False, True):
        conformal = Conformal(abstain=abstains)
        pipeline = make_pipeline("binary", models={"half": Half}, certainty=conformal)
        made = folded(operator_of(pipeline), records)
        predictions = [each.value for each in made if each.topic == "predictions"][1_000:]
        of_half = [each for each in predictions if each["features"]["a"] == 0.5]
        both = [
            each for each in of_half if each["certainty"]["classes"] == {"true": 0.5, "false": 0.5}
        ]
        assert len(both) > 0.6 * len(of_half)  # the threshold goes to and fro between two scores
        for each in both:
            abstained = "several_classes" if abstains else ""
            assert each["certainty"]["abstained"] == abstained
            assert (each["value"] is None) == abstains
        sure = [each for each in predictions if len(each["certainty"]["classes"]) == 1]
        assert {each["value"] for each in sure} == {True, False}
        learned = [each for each in made if each.topic == "outcomes"]
        assert all(each.value["losses"]["half"] in (0.0, 1.0) for each in learned[1:])


def test_a_model_without_probabilities(make_pipeline: Make, make_vector: Make) -> None:
    """Has no set, and the reason is said."""
    records = [make_vector(f"e{i}", i, label=i % 3 == 0, a=float(i % 3), b=0.0) for i in range(50)]
    pipeline = make_pipeline("binary", models={"silent": Silent}, certainty=Conformal())
    said = certainties(folded(operator_of(pipeline), records))
    assert {each["why_none"] for each in said} == {"no_probabilities"}
    assert {tuple(each["classes"]) for each in said} == {()}


def test_an_alert_where_it_is_clearly_less(
    regression: Any, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, at the same place wherever the log is cut; and none before there are 1,000 labels."""
    monkeypatch.setattr(Certainty, "_learn_at_once", stubborn)
    records = numbers(4_000, 0, lambda i: 1.0 if i < 2_500 else 3.0)
    found = []
    for size in (4_000, 61):
        made = folded(operator_of(regression()), records, size)
        alerts = [each.value for each in made if each.topic == "alerts"]
        found.append([each for each in alerts if each["detector"] == "coverage"])
    (alert,) = found[0]
    assert found[1] == found[0]
    assert alert["source"] == "coverage:mean"
    assert 2_500 < alert["position"] < 3_000
    assert alert["position"] % 100 == 0
    assert alert["event_id"] == f"e{alert['position'] - 1}"
    assert (alert["mean_before"], alert["action"]) == (0.9, "alert")
    assert alert["mean_after"] < 0.9 - 3 * (0.09 / 1_000) ** 0.5
    assert alert["detail"].endswith("were inside their intervals; 90.0% are wanted")


def stubborn(self: Certainty, columns: dict[str, list[float | None]]) -> list[float | None]:
    """Serve the threshold that is right for normal errors of 1, whatever comes."""
    scores = columns[self.champion]
    self._met += [(self.champion, 0.9, each, 1.645) for each in scores]
    return [1.645 for _ in scores]


@pytest.mark.parametrize("delay", [0, 150])
def test_it_goes_on_after_a_restart(delay: int, regression: Any, numbers: Any, move: Make) -> None:
    """With what waiting events were served with."""
    records = numbers(1_500, delay)
    whole = folded(operator_of(regression()), records)
    operator = operator_of(regression())
    first = folded(operator, records[:777], 50)
    fresh = operator_of(regression())
    for name, store in fresh.stores.items():
        store.restore(operator.stores[name].take_changes())  # type: ignore[attr-defined]
    learning = [each for each in fresh.nested if isinstance(each, LearningOperator)]
    assert learning
    second = folded(fresh, records[777:], 50)
    assert certainties(first + second) == certainties(whole)


def test_a_deploy_goes_on_or_forgets(regression: Any, numbers: Any) -> None:
    """With another coverage from where thresholds are; without certainty, all is dropped."""
    pipeline = regression()
    operator = operator_of(pipeline)
    folded(operator, numbers(500, 50))
    before = operator._join
    other = regression(certainty=Conformal(coverage=0.8, method="pi"))
    join = LabelJoin(other, LearningOperator(other, ScopedModels(other)), operator.tally)
    join.inherit(before, other)
    assert join.certainty is not None
    vector = numbers(1, 0)[0].value
    assert join.certainty.serve(vector) == pytest.approx(1.645, abs=0.5)
    assert len(join.certainty.stores["served"]) > 0
    none = regression(certainty=None)
    last = LabelJoin(none, LearningOperator(none, ScopedModels(none)), operator.tally)
    last.inherit(join, none)
    assert last.certainty is None
    for name in ("certainty", "served", "coverage"):
        assert difference(entries_of(last.stores[name]), []) is None


def test_a_block_wants_what_its_events_were_served_with(
    regression: Any, numbers: Any, make_label: Make
) -> None:
    """Whatever is deployed before their labels come; nothing, where nothing was asked for."""
    for before, then, wanted in (
        (Conformal(coverage=0.8), Conformal(coverage=0.9), [0.8, 0.9]),
        (Conformal(coverage=0.8), None, [0.8, None]),
        (None, Conformal(coverage=0.9), [None, 0.9]),
    ):
        operator = operator_of(regression(certainty=before))
        folded(operator, numbers(50, 100))
        pipeline = regression(certainty=then)
        join = LabelJoin(pipeline, LearningOperator(pipeline, ScopedModels(pipeline)), Counter())
        join.inherit(operator._join, pipeline)
        join.serve_by("mean", 1)
        for record in numbers(100, 1_000, first=50):
            predicted = {"mean": Predicted(value=0.0, probabilities={})}
            join.add_event(record.value, predicted, record.origin, 0, 1.0)
        for i in range(150):
            label = make_label(f"e{i}", 0.5)
            join.add_label(label.value, label.origin, 0)
        _, _, evaluations = join.settle([], lambda *_: pytest.fail("the loss is a plain one"))
        said = [each.value["certainty"] for each in evaluations]
        assert [each and each["wanted"] for each in said] == wanted


def test_another_coverage_is_counted_anew(regression: Any, numbers: Any, make_label: Make) -> None:
    """Without the labels of events that were served for the former one."""
    operator = operator_of(regression(certainty=Conformal(coverage=0.8)))
    folded(operator, numbers(2_000, 100))
    pipeline = regression(certainty=Conformal(coverage=0.99))
    join = LabelJoin(pipeline, LearningOperator(pipeline, ScopedModels(pipeline)), Counter())
    join.inherit(operator._join, pipeline)
    join.serve_by("mean", 1)
    assert join.certainty is not None
    for record in numbers(50, 1_000, first=2_000)[:50]:
        predicted = {"mean": Predicted(value=0.0, probabilities={})}
        threshold = join.certainty.serve(record.value)
        join.add_event(record.value, predicted, record.origin, 0, threshold)
    for i in range(1_950, 2_050):
        label = make_label(f"e{i}", 1e6)
        join.add_label(label.value, label.origin, 0)
    made, _, _ = join.settle([], lambda *_: pytest.fail("the loss is a plain one"))
    alerts = [each.value["detector"] for _, each in made if each.topic == "alerts"]
    assert "coverage" not in alerts
    (counted,) = join.certainty.stores["coverage"].values()  # type: ignore[attr-defined]
    assert (counted.labels, counted.covered) == (50, 0)


def saved_after(operator: PredictionOperator, *pipelines: Pipeline) -> dict[str, dict[str, object]]:
    """Let deploys follow one upon the other, without a save between them; return what is saved."""
    before = operator._join
    saved = {
        name: {each.key: each.value for each in store.take_changes()}  # type: ignore[attr-defined]
        for name, store in before.stores.items()
    }
    for pipeline in pipelines:
        training = LearningOperator(pipeline, ScopedModels(pipeline))
        join = LabelJoin(pipeline, training, operator.tally)
        join.inherit(before, pipeline)
        before = join
    for name, store in before.stores.items():
        for each in store.take_changes():  # type: ignore[attr-defined]
            saved[name][each.key] = each.value
    return {
        name: {key: value for key, value in entries.items() if value is not None}
        for name, entries in saved.items()
    }


def test_what_deploys_forget_is_forgotten_by_the_saved_state(regression: Any, numbers: Any) -> None:
    """Whatever is deployed after a definition without certainty, before anything is saved."""
    none = regression(certainty=None)
    for then in (regression(), none):
        operator = operator_of(regression())
        folded(operator, numbers(500, 50))
        saved = saved_after(operator, none, then)
        assert [saved[name] for name in ("certainty", "served", "coverage")] == [{}, {}, {}]


def test_another_method_is_saved(regression: Any, numbers: Any) -> None:
    """So that what only the former one keeps is not there if it comes back."""
    by_pi = regression(certainty=Conformal(method="pi"))
    operator = operator_of(by_pi)
    folded(operator, numbers(500, 0))
    saved = saved_after(operator, regression(), by_pi)
    assert saved["certainty"][""]["mean"].excess == 0.0  # type: ignore[index]


def test_an_id_comes_again_that_is_not_remembered(
    regression: Any, make_vector: Make, make_label: Make
) -> None:
    """It is another event; the former one has ended, and still follows one that waits."""
    conformal, wait = Conformal(), Promotion(wait=timedelta(hours=1))
    pending = Pending(limit=10, ttl=timedelta(days=1))
    pipeline = regression(certainty=conformal, promotion=wait, pending=pending)
    events = [make_vector(f"e{i}", i, label=float(i % 7), a=0.0, b=0.0) for i in range(3_000)]
    again = make_vector("e0", 3_000, label=1.0, a=0.0, b=0.0)
    records = [make_vector("first", 0, a=0.0, b=0.0), *events, again, make_label("first", 1.0)]
    operator = operator_of(pipeline)
    said = certainties(folded(operator, records))
    assert len(said) == 3_002
    assert {each["why_none"] for each in said} == {"no_label"}  # nothing could be learned so far
    assert len(operator.stores["served"]) == 0
    scores: list[float | None] = [1.0, *(float(i % 7) for i in range(3_000)), 1.0]
    expected = conformal.threshold()
    expected.learn(scores, [None] * len(scores), coverage=0.9)
    (thresholds,) = operator.stores["certainty"].values()  # type: ignore[attr-defined]
    assert thresholds == {"mean": expected}


@pytest.mark.parametrize("delay", [0, 20])
def test_whoever_comes_to_serve_has_a_threshold(
    delay: int, make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """Of classes, too: it is moved by what a candidate predicts that does not serve."""
    models = {"half": Half, "other": Half}
    pipeline = make_pipeline("binary", models=models, certainty=Conformal())
    operator = operator_of(pipeline)
    rng, records = random.Random(6), list[Record]()
    for i in range(300):
        share, label = rng.random(), rng.random() < 0.5
        inside = None if delay else label
        records.append(make_vector(f"e{i}", i * 1_000, label=inside, a=share, b=0.0))
        if i >= delay > 0:
            records.append(make_label(f"e{i - delay}", label))
    folded(operator, records, 50)
    (thresholds,) = operator.stores["certainty"].values()  # type: ignore[attr-defined]
    assert thresholds["other"].threshold == pytest.approx(thresholds["half"].threshold, abs=0.2)
