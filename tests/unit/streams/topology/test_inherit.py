"""A task of another definition goes on with what is unchanged, bit for bit, and begins the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from river import linear_model, metrics, naive_bayes, optim, preprocessing, tree

from millrace.models.candidates.model_set import ModelSet
from millrace.models.features import calendar, fields, rolling
from millrace.models.features.base import Feature, Store
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.models.pipeline.on_change import Candidate
from millrace.schemas import DefinitionError
from millrace.schemas.records import Event
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.record import (
    AuditRecord,
    EventRecord,
    ExampleRecord,
    LabelRecord,
    PredictionRecord,
    Record,
    SnapshotRecord,
)
from millrace.streams.state import snapshot
from millrace.streams.topology.task import Task
from tests.chaos.likeness import difference, entries_of
from tests.unit.streams.operators.commanding import (
    KEY,
    Control,
    Log,
    as_written,
    folded,
    kept,
    learning_of,
    load_models,
    make_task,
    prediction_of,
)

Make = Callable[..., Any]
AGENT = "feature+prediction+learning+drift"
HALF, LENGTH = 240, 480
NOW_MS = 1_700_000_000_000
HOUR = timedelta(hours=1)


def linear(rate: float = 0.01) -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(rate))


def faster() -> Any:
    return linear(0.3)


MODELS: dict[str, Any] = {
    "linear": linear,
    "bayes": naive_bayes.GaussianNB,
    "tree": tree.HoeffdingTreeClassifier,
}
FEATURES: tuple[Feature, ...] = (
    fields("a", "b"),
    rolling("a", "count", "mean", window=HOUR),
    rolling("b", "max", window=HOUR),
)
METRICS: dict[str, Any] = {
    "accuracy": metrics.Accuracy,
    "f1": metrics.F1,
    "log_loss": metrics.LogLoss,
}
DRIFT = DriftSettings(replacement_after=5_000)


def of_two_thirds() -> Any:
    return metrics.FBeta(2 / 3)


@dataclass(frozen=True)
class Change:
    """A change of a definition, and what of it is unchanged."""

    name: str
    now: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)
    models: Collection[str] = tuple(MODELS)
    metrics: Collection[str] = tuple(METRICS)
    effects: Collection[tuple[str, str]] = ()
    windows: Collection[str] = ("a_count_1h", "b_max_1h")
    drift: Collection[str] = ("input:a", "input:b", "input:b_max_1h", "prediction")
    monitors: bool = True
    rolling: bool = True


CHANGES = [
    Change(
        "a candidate more",
        {"models": {**MODELS, "fast": faster}},
        effects=[("models['fast']", "begins")],
    ),
    Change(
        "a candidate less",
        {"models": {name: MODELS[name] for name in ("linear", "tree")}},
        models=("linear", "tree"),
        effects=[("models['bayes']", "retired")],
    ),
    Change(
        "another order", {"models": {name: MODELS[name] for name in ("tree", "bayes", "linear")}}
    ),
    Change(
        "a changed candidate",
        {"models": {**MODELS, "linear": faster}},
        effects=[("models['linear']", "challenges")],
    ),
    Change(
        "a replaced candidate",
        {"models": {**MODELS, "tree": Candidate(faster, on_change="replace")}},
        models=("linear", "bayes"),
        effects=[("models['tree']", "replaces")],
    ),
    Change(
        "an adopted candidate",
        {"models": {**MODELS, "linear": Candidate(faster, on_change="adopt")}},
        effects=[("models['linear']", "adopts")],
    ),
    Change(
        "another version of the same",
        {"models": {**MODELS, "linear": Candidate(faster, version="1")}},
        before={"models": {**MODELS, "linear": Candidate(linear, version="1")}},
    ),
    Change(
        "a feature more",
        {"features": (calendar("hour"), *FEATURES, rolling("b", "min", window=HOUR))},
        effects=[("features['hour']", "begins"), ("features['b_min_1h']", "begins")],
    ),
    Change(
        "features in another order",
        {"features": (FEATURES[2], FEATURES[1], FEATURES[0])},
    ),
    Change(
        "a name of a window less",
        {"features": (FEATURES[0], rolling("a", "mean", window=HOUR), FEATURES[2])},
        before={"models": {"own": naive_bayes.GaussianNB}, "on_invalid_prediction": "alert"},
        models=(),
        metrics=(),
        monitors=False,
        rolling=False,
        drift=("input:a", "input:b"),
        windows=("a_mean_1h", "b_max_1h"),
        effects=[("features['a_count_1h']", "ends")],
    ),
    Change(
        "metrics",
        {"metrics": {"f1": metrics.F1, "accuracy": of_two_thirds, "recall": metrics.Recall}},
        metrics=("f1",),
        effects=[
            ("metrics['accuracy']", "begins_anew"),
            ("metrics['recall']", "begins"),
            ("metrics['log_loss']", "ends"),
        ],
    ),
    Change(
        "the rolling window",
        {"rolling_window": 50},
        rolling=False,
        effects=[("rolling_window", "begins_anew")],
    ),
    Change(
        "detectors",
        {"drift": replace(DRIFT, loss="page_hinkley", predictions="page_hinkley")},
        monitors=False,
        drift=("input:a", "input:b", "input:b_max_1h"),
        effects=[("drift.loss", "begins_anew"), ("drift.predictions", "begins_anew")],
    ),
    Change("a policy", {"drift": replace(DRIFT, replacement_after=20), "on_error": "stop"}),
    Change("limits", {"pending": Pending(limit=300), "max_models": 50}),
]


@pytest.fixture(scope="module")
def pipeline_of(make_pipeline: Make, avro: Make) -> Callable[..., Pipeline]:
    """Make a definition with windows, three candidates and three metrics."""
    schema = avro(
        id="string", user="string", a="double", b="double", t="long", y=["null", "boolean"]
    )
    defaults = {
        "schema": schema,
        "key": "user",
        "event_time": "t",
        "features": FEATURES,
        "models": MODELS,
        "metrics": METRICS,
        "drift": DRIFT,
        "rolling_window": 100,
    }
    return lambda **changes: make_pipeline(**(defaults | changes))


@pytest.fixture(scope="module")
def records(make_rows: Make, make_origin: Make) -> list[Record]:
    """Make events of three users, half of them with their labels, the others labelled later."""
    rng = random.Random(7)
    found: list[tuple[float, Record]] = []
    for i, (x, label) in enumerate(make_rows("binary", LENGTH, flip_at=HALF)):
        user, time_ms = f"u{i % 3}", NOW_MS + i * 60_000
        inside = label if i % 2 else None
        event = Event(
            event_id=f"e{i}",
            key=user,
            event_time_ms=time_ms,
            label=inside,
            fields={"id": f"e{i}", "user": user, **x, "t": time_ms},
        )
        found.append((i, EventRecord(event, make_origin(topic="clean", offset=2 * i))))
        if inside is None and i % 10:
            given = {"event_id": f"e{i}", "label": label, "label_time_ms": None, "key": user}
            at = i + rng.choice([0.5, 5.5, 60.5])
            found.append((at, LabelRecord(given, make_origin(topic="clean", offset=2 * i + 1))))  # type: ignore[arg-type]
    return [record for _, record in sorted(found, key=lambda each: each[0])]


def named(changes: list[Change]) -> Any:
    return pytest.mark.parametrize("change", changes, ids=lambda each: each.name)


def deployed(task: Task, control: Control, now: Pipeline) -> tuple[Task, list[Any]]:
    """Return the task of another definition that has taken over, and what it says of that."""
    heir = make_task(now, AGENT)
    made = heir.inherit(task, control.deploy(now))
    return heir, [each.value for each in made if isinstance(each, AuditRecord)]


def served_by(made: list[Record]) -> set[str]:
    """Return which models' predictions are published."""
    return {each.value["model"] for each in made if isinstance(each, PredictionRecord)}  # type: ignore[misc]


def sets_of(task: Task) -> dict[str, ModelSet]:
    models = learning_of(task).models
    return {key: models.of(key) for key in models.by_scope_key}


def operator_of(task: Task, kind: type[Any]) -> Any:
    return next(each for each in task.operators if isinstance(each, kind))


@pytest.mark.parametrize("scope", ["global", "key"])
@named(CHANGES)
def test_what_is_unchanged_goes_on_bit_for_bit(
    change: Change, scope: str, pipeline_of: Make, records: list[Record]
) -> None:
    """It equals what a task has that ran the old definition all along."""
    before = pipeline_of(scope=scope, **change.before)
    now = pipeline_of(scope=scope, **(change.before | change.now))
    plain, task, control = (
        make_task(before, AGENT),
        make_task(before, AGENT),
        Control(before, "clean"),
    )
    half = len(records) // 2
    folded(plain, records[:half])
    folded(task, records[:half])
    stores = dict(task.stores())
    task, audit = deployed(task, control, now)
    first, *effects = [(each["subject"], each["action"]) for each in audit]
    assert (*first, audit[0]["after"]) == ("definition", "applied", "d1")
    assert sorted(effects) == sorted(change.effects)
    for name, store in task.stores():
        assert store is stores.get(name, store), name
    expected, found = folded(plain, records[half:]), folded(task, records[half:])
    champion = next(iter(before.models))
    if champion in change.models:
        answers = [
            [
                (each.value["value"], each.value["probabilities"], each.value["model"])
                for each in made
                if isinstance(each, PredictionRecord)
            ]
            for made in (expected, found)
        ]
        assert answers[0] == answers[1]
    theirs = sets_of(plain)
    for key, models in sets_of(task).items():
        assert [*models.candidates] == [*now.models]
        assert models.version == theirs[key].version
        assert models.champion == champion
        for name in change.models:
            ours = models.candidates[name]
            assert difference(theirs[key].candidates[name].model, ours.model) is None, name
    _compare_evaluation(change, plain, task)
    _compare_monitors(change, plain, task)
    _compare_features(change, plain, task)
    waiting, waits = (prediction_of(each).stores["waiting"] for each in (plain, task))
    for (_, one), (_, other) in zip(entries_of(waiting), entries_of(waits), strict=True):
        assert one.vector["event_id"] == other.vector["event_id"]  # type: ignore[attr-defined]
    for store in ("ends", "early", "progress", "classes"):
        one, other = (prediction_of(each).stores[store] for each in (plain, task))
        assert difference(entries_of(one), entries_of(other)) is None, store


def _compare_evaluation(change: Change, plain: Task, task: Task) -> None:
    theirs, ours = (learning_of(each).evaluation for each in (plain, task))
    assert theirs is not None
    assert ours is not None
    for name in (*change.models, "prior"):
        one, other = theirs._scores.get(name), ours._scores[name]
        if one is None:
            continue
        assert one.examples == other.examples
        for metric in change.metrics:
            assert difference(one._metrics[metric], other._metrics[metric]) is None, metric
        if change.rolling:
            assert one._newest == other._newest


def _compare_monitors(change: Change, plain: Task, task: Task) -> None:
    theirs, ours = (learning_of(each).stores["monitors"] for each in (plain, task))
    if not change.monitors:
        for key, monitors in entries_of(ours):
            for name, found in monitors.items():  # type: ignore[attr-defined]
                former = dict(entries_of(theirs))[key].get(name)  # type: ignore[attr-defined]
                assert former is None or found._position < former._position or not change.models
    if change.monitors:
        for key, monitors in entries_of(ours):
            of_key = dict(entries_of(theirs))[key]
            for name in change.models:
                found = monitors[name]  # type: ignore[index]
                found.go_on(of_key[name]._cooldown, quiet=True)  # type: ignore[index]
                assert difference(of_key[name], found) is None, name  # type: ignore[index]
    theirs, ours = (operator_of(each, DriftOperator).stores["monitors"] for each in (plain, task))
    for source in change.drift:
        found, expected = dict(entries_of(ours))[source], dict(entries_of(theirs))[source]
        found.go_on(expected._cooldown, quiet=True)  # type: ignore[attr-defined]
        assert difference(expected, found) is None, source
    if ("drift.predictions", "begins_anew") in change.effects:
        found, former = (dict(entries_of(each))["prediction"] for each in (ours, theirs))
        assert found._position < former._position  # type: ignore[attr-defined]


def _compare_features(change: Change, plain: Task, task: Task) -> None:
    theirs, ours = (operator_of(each, FeatureOperator).stores["windows"] for each in (plain, task))
    was = {f"{name}|{user}": window for name in change.windows for user in ("u0", "u1", "u2")
           for window in [dict(entries_of(theirs)).get(f"{name}|{user}")]}  # fmt: skip
    for key, window in was.items():
        former = window or dict(entries_of(theirs))[key.replace("a_mean", "a_count")]
        assert difference(former, dict(entries_of(ours))[key]) is None
    firsts = {key.partition("|")[0] for key, _ in entries_of(ours)}
    assert firsts >= {*change.windows}
    assert firsts <= {each.names[0] for each in learning_of(task).pipeline.features}


@pytest.mark.parametrize("scope", ["global", "key"])
@named(CHANGES)
def test_a_task_that_took_over_is_saved_and_restored(
    change: Change, scope: str, pipeline_of: Make, records: list[Record]
) -> None:
    """Saved at once, later, or not at all, and however cut, outputs and state are the same."""
    before = pipeline_of(scope=scope, **change.before)
    now = pipeline_of(scope=scope, **(change.before | change.now))
    half = len(records) // 2
    results = []
    for saves, size in ([], 1), ([half], 40), ([half + 5, half + 150], len(records)):
        task, log, control = make_task(before, AGENT), Log(), Control(before, "clean")
        folded(task, records[:half])
        log.save(task)
        task, _ = deployed(task, control, now)
        made: list[Record] = []
        bounds = sorted({half, *range(half, len(records), size), len(records), *saves})
        for begin, end in pairwise(bounds):
            if begin in saves:
                log.save(task)
                sizes = {name: len(store) for name, store in task.stores() if len(store)}
                assert sizes == log.sizes
                task = log.restore(make_task(now, AGENT))
            made += folded(task, records[begin:end])
        sets_of(task)
        results.append((as_written(made), kept(task)))
    for written, state in results[1:]:
        assert written == results[0][0]
        for name, store in state.items():
            assert difference(results[0][1].get(name, []), store) is None, name


def test_a_new_candidate_is_as_if_it_had_begun_there(
    pipeline_of: Make, records: list[Record]
) -> None:
    """It learns and is measured from the deploy on; what waited it learns, too."""
    before, now = pipeline_of(), pipeline_of(models={**MODELS, "fast": faster})
    task = make_task(before, AGENT)
    folded(task, records[:300])
    version = sets_of(task)[""].version
    task, _ = deployed(task, Control(before, "clean"), now)
    folded(task, records[300:])
    learned = sets_of(task)[""].version - version
    scaler = sets_of(task)[""].candidates["fast"].model["StandardScaler"]  # type: ignore[index]
    assert scaler.counts["a"] == learned
    assert learning_of(task).evaluation._scores["fast"].examples < learned  # type: ignore[union-attr]


@pytest.mark.parametrize("scope", ["global", "key"])
def test_a_challenger_of_a_deploy_stays_until_it_is_promoted(
    scope: str, pipeline_of: Make, records: list[Record]
) -> None:
    """It has one name in all models; a lost trial begins anew; promoted, it takes its place."""
    trial = {"scope": scope, "drift": DriftSettings(replacement_after=20)}
    before = pipeline_of(**trial)
    hopeless = pipeline_of(models={**MODELS, "linear": Hopeless}, **trial)
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, records[:-200])
    task, _ = deployed(task, control, hopeless)
    folded(task, records[-200:-1])
    for models in sets_of(task).values():
        assert models.challengers["linear"].name == "linear.challenger@deploy1"
    command = control.accept("promote", model="linear.challenger@deploy1")
    made = folded(task, [command])
    actions = [each.value["action"] for each in made if isinstance(each, AuditRecord)]
    assert actions == ["promoted"]
    for models in sets_of(task).values():
        assert isinstance(models.candidates["linear"].model, Hopeless)
        assert models.candidates["linear"].made_by is None
        assert not models.challengers


@pytest.mark.parametrize("on_change", ["challenge", "replace"])
def test_a_challenger_competes_on_where_its_definition_stays(
    on_change: str, pipeline_of: Make, records: list[Record]
) -> None:
    """Another deploy says nothing of it, whatever its answer to a change would be."""
    before, now = pipeline_of(), pipeline_of(models={**MODELS, "linear": faster})
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, records[:100])
    task, _ = deployed(task, control, now)
    folded(task, records[100:150])
    challenger = sets_of(task)[""].challengers["linear"]
    again = {**MODELS, "linear": Candidate(faster, on_change=on_change)}
    task, audit = deployed(task, control, pipeline_of(models=again, rolling_window=50))
    assert [each["subject"] for each in audit] == ["definition", "rolling_window"]
    assert sets_of(task)[""].challengers["linear"] is challenger


@pytest.mark.parametrize(
    ("on_change", "then"),
    [
        ("challenge", linear),
        ("challenge", Candidate(faster, on_change="replace")),
        ("replace", faster),
        ("adopt", faster),
        ("adopt", linear),
        ("adopt", Candidate(linear, on_change="replace")),
    ],
)
def test_models_that_were_not_used_between_deploys(
    on_change: str, then: Any, pipeline_of: Make, records: list[Record]
) -> None:
    """They become what those are that were used: what each deploy has said is remembered."""
    hour, month = (*FEATURES, calendar("hour")), (*FEATURES, calendar("hour", "month"))
    before, *later = (
        pipeline_of(scope="key", models=MODELS | {"linear": made}, features=features)
        for made, features in (
            (linear, FEATURES),
            (Candidate(faster, on_change=on_change), hour),
            (then, month if on_change == "adopt" else hour),  # what is untrained sees all of now
        )
    )
    found = []
    for is_used in (True, False):
        task, control = make_task(before, AGENT), Control(before, "clean")
        folded(task, records[:100])
        for each in later:
            task, _ = deployed(task, control, each)
            if is_used:
                sets_of(task)
        folded(task, records[100:])
        found.append(sets_of(task))
    assert difference(*found) is None


def test_what_was_replaced_while_it_was_not_used_is_gone(
    pipeline_of: Make, records: list[Record]
) -> None:
    """Though its definition has come back: the summary has said that it begins untrained."""
    replacing = {**MODELS, "linear": Candidate(faster, on_change="replace")}
    before, *later = (
        pipeline_of(scope="key", models=models) for models in (MODELS, replacing, MODELS)
    )
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, records[:100])
    for each in later:
        task, _ = deployed(task, control, each)
    for models in sets_of(task).values():
        assert not models.challengers
        assert not models.candidates["linear"].model["StandardScaler"].counts  # type: ignore[index]


def test_a_challenger_of_a_deploy_stays_though_it_raises(
    pipeline_of: Make, records: list[Record]
) -> None:
    """The failures are counted; it may learn again, or be replaced by another deploy."""
    before, now = pipeline_of(), pipeline_of(models={**MODELS, "linear": Failing})
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, records[:100])
    task, _ = deployed(task, control, now)
    folded(task, records[100:200])
    (models,) = sets_of(task).values()
    assert models.failures["linear"] > 20
    assert isinstance(models.challengers["linear"].model, Failing)
    task, _ = deployed(task, control, pipeline_of(models={**MODELS, "linear": faster}))
    (models,) = sets_of(task).values()
    assert models.challengers["linear"].name == "linear.challenger@deploy2"


class Failing(naive_bayes.GaussianNB):  # type: ignore[misc]
    """Cannot learn."""

    def learn_one(self, x: Any, y: Any) -> None:
        raise ValueError


class Hopeless(naive_bayes.GaussianNB):  # type: ignore[misc]
    """Is never right."""

    def predict_proba_one(self, x: Any) -> Any:
        return {}

    def predict_one(self, x: Any) -> Any:
        return "neither"


def test_a_challenger_of_a_deploy_wins(pipeline_of: Make, records: list[Record]) -> None:
    """With lower losses it takes the place of the old one, whose metrics go on."""
    trial = {"drift": DriftSettings(replacement_after=20)}
    before = pipeline_of(models={"own": Hopeless}, **trial)
    task = make_task(before, AGENT)
    folded(task, records[:100])
    now = pipeline_of(models={"own": linear}, **trial)
    task, _ = deployed(task, Control(before, "clean"), now)
    folded(task, records[100:])
    (models,) = sets_of(task).values()
    assert not models.challengers
    assert isinstance(
        models.candidates["own"].model["LogisticRegression"], linear_model.LogisticRegression
    )  # type: ignore[index]


def test_a_definition_that_comes_back_goes_on_with_what_it_had(
    pipeline_of: Make, records: list[Record]
) -> None:
    """A candidate is compared by what really made it, and not by the definition before."""
    before, now = pipeline_of(), pipeline_of(models={**MODELS, "linear": faster})
    plain, task, control = (
        make_task(before, AGENT),
        make_task(before, AGENT),
        Control(before, "clean"),
    )
    folded(plain, records)
    folded(task, records[:200])
    task, _ = deployed(task, control, now)
    folded(task, records[200:250])
    task, audit = deployed(task, control, before)
    assert [each["subject"] for each in audit] == ["definition"]
    folded(task, records[250:])
    (ours,), (theirs,) = sets_of(task).values(), sets_of(plain).values()
    assert not ours.challengers
    assert ours.candidates["linear"].made_by is None
    assert difference(dict(theirs.models), dict(ours.models)) is None


def test_candidates_see_the_features_that_they_began_with(
    pipeline_of: Make, records: list[Record]
) -> None:
    """New ones see all there are; one that adopts sees the added ones from then on."""
    added = (*FEATURES, rolling("b", "min", window=HOUR))
    before = pipeline_of()
    adopting = {
        **MODELS,
        "fast": faster,
        "bayes": Candidate(naive_bayes.GaussianNB, on_change="adopt"),
    }
    now = pipeline_of(features=added, models=adopting)
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, records[:200])
    task, audit = deployed(task, control, now)
    assert ("models['bayes']", "adopts") in [(each["subject"], each["action"]) for each in audit]
    folded(task, records[200:400])
    candidates = sets_of(task)[""].candidates
    names = tuple(name for each in FEATURES for name in each.names)
    assert {name: each.sees for name, each in candidates.items()} == {
        "linear": names, "bayes": None, "tree": names, "fast": None,
    }  # fmt: skip
    assert "b_min_1h" in candidates["bayes"].model.gaussians[True]  # type: ignore[attr-defined]
    assert "b_min_1h" in candidates["fast"].model["StandardScaler"].counts  # type: ignore[index]
    assert "b_min_1h" not in candidates["linear"].model["StandardScaler"].counts  # type: ignore[index]
    task, _ = deployed(task, control, pipeline_of(models=adopting))
    folded(task, records[400:])
    assert {each.sees for each in sets_of(task)[""].candidates.values()} == {None}


def test_what_becomes_of_features_is_said_where_learning_is(pipeline_of: Make) -> None:
    """The agent of the features, where it is another, does not write to `audit`."""
    before, now = pipeline_of(), pipeline_of(features=(*FEATURES[:2], calendar("hour")))
    said = []
    for agent in ("feature", "prediction+learning"):
        task, heir = make_task(before, agent), make_task(now, agent)
        made = heir.inherit(task, Control(before, "clean").deploy(now))
        said.append([each.value["subject"] for each in made if isinstance(each, AuditRecord)])
    assert said == [[], ["definition", "features['hour']", "features['b_max_1h']"]]


def test_the_champion_stays(pipeline_of: Make, records: list[Record]) -> None:
    """Whatever comes first in `models`; and a definition without it is refused."""
    before = pipeline_of()
    task, control = make_task(before, AGENT), Control(before, "clean")
    folded(task, [control.accept("promote", model="tree"), *records[:50]])
    task, _ = deployed(task, control, pipeline_of(models={"bayes": MODELS["bayes"], **MODELS}))
    made = folded(task, records[50:60])
    assert served_by(made) == {"tree"}
    with pytest.raises(DefinitionError, match="the candidate that serves"):
        deployed(task, control, pipeline_of(models={"linear": linear}))


class Counted(Feature):
    """How many events have come."""

    def __init__(self, name: str, store: str) -> None:
        self._name, self._store = name, store

    @property
    def names(self) -> tuple[str, ...]:
        return (self._name,)

    def check(self, schema: Any) -> None:
        pass

    def bind(self, stores: Any) -> Any:
        counts = stores(Store[Any](self._store))

        def extract(event: Event) -> Any:
            counts["n"] = counts.get("n", 0) + 1
            return {self._name: counts["n"]}

        return extract


def test_stores_of_features_that_are_gone_are_removed(
    pipeline_of: Make, records: list[Record]
) -> None:
    """They go from what is saved; a feature that comes back under the name begins empty."""
    first, second = Counted("first", "one"), Counted("second", "two")
    both, one = pipeline_of(features=(fields("a"), first, second)), pipeline_of(
        features=(fields("a"), first)
    )  # fmt: skip
    task, log, control = make_task(both, AGENT), Log(), Control(both, "clean")
    folded(task, records[:100])
    log.save(task)
    assert "feature/two" in log.sizes
    task, _ = deployed(task, control, one)
    log.save(task)
    assert "feature/two" not in log.sizes
    assert "feature/one" in log.sizes
    task, _ = deployed(log.restore(make_task(one, AGENT)), control, both)
    made = folded(task, records[100:101])
    (features,) = [each.value["features"] for each in made if isinstance(each, PredictionRecord)]
    assert (features["first"], features["second"]) == (_events(records[:101]), 1)


def _events(records: list[Record]) -> int:
    return sum(isinstance(each, EventRecord) for each in records)


def test_counts_are_not_lost(pipeline_of: Make, records: list[Record]) -> None:
    """What the task before has counted, and nobody has taken, is counted by its heir."""
    before = pipeline_of()
    task, plain = make_task(before, AGENT), make_task(before, AGENT)
    folded(task, records[:50])
    folded(plain, records[:50])
    heir, _ = deployed(task, Control(before, "clean"), before)
    assert heir.take_tally() == plain.take_tally()


@pytest.mark.parametrize("scope", ["global", "key"])
def test_prediction_apart_goes_on_and_follows_the_models(
    scope: str, pipeline_of: Make, records: list[Record], make_origin: Make
) -> None:
    """It predicts with all candidates at once; learning publishes all models as they are then."""
    before = pipeline_of(scope=scope)
    now = pipeline_of(scope=scope, models={"fast": faster, **MODELS, "bayes": linear})
    control = Control(before)
    prediction = make_task(before, "feature+prediction", load_models=load_models)
    learning = make_task(before, "learning")

    def passed(part: list[Record]) -> list[Record]:
        made = folded(prediction, part)
        folded(learning, [each for each in made if each.topic == "examples"])
        return made

    def publish() -> list[Record]:
        changes = learning_of(learning).stores["models"].take_changes()  # type: ignore[attr-defined]
        origin = make_origin(topic="models")
        values = [
            {"scope_key": each.key, "payload": snapshot.dump(each.value, KEY)} for each in changes
        ]
        return [SnapshotRecord(each, origin, "models") for each in values]  # type: ignore[arg-type]

    passed(records[:200])
    folded(prediction, publish())
    folded(learning, [control.accept("promote", model="tree")])
    command = control.deploy(now)
    heir = make_task(now, "feature+prediction", load_models=load_models)
    (on_examples,) = heir.inherit(prediction, command)
    prediction = heir
    made = passed(records[200:220])
    assert {each.value["model"] for each in made if isinstance(each, PredictionRecord)} == {
        "linear"
    }
    (example, *_) = [each.value for each in made if isinstance(each, ExampleRecord)]
    assert {"fast", "bayes", "linear", "tree"} <= example["predicted"].keys()
    heir = make_task(now, "learning")
    made = heir.inherit(learning, on_examples)  # type: ignore[arg-type,assignment]
    assert {each.value["subject"] for each in made} == {
        "definition", "models['fast']", "models['bayes']",
    }  # fmt: skip
    learning = heir
    snapshots = publish()
    assert len(snapshots) == (3 if scope == "key" else 1)
    folded(prediction, snapshots)
    made = folded(prediction, records[220:240])
    assert served_by(made) == {"tree"}
    for models in prediction_of(prediction)._models.by_scope_key.values():
        assert models.challengers["bayes"].name == "bayes.challenger@deploy2"


def test_new_limits_apply(pipeline_of: Make, records: list[Record]) -> None:
    """What there is no room for any more goes with the next event."""
    limits = {"pending": Pending(limit=3), "max_models": 1}
    before, now = pipeline_of(scope="key"), pipeline_of(scope="key", **limits)
    task = make_task(before, AGENT)
    folded(task, records[:200])
    assert len(learning_of(task).models.by_scope_key) == 3
    task, audit = deployed(task, Control(before, "clean"), now)
    assert audit[0]["evidence"] == {"max_models": "10000 -> 1", "pending.limit": "100000 -> 3"}
    folded(task, records[200:220])
    assert len(entries_of(prediction_of(task).stores["waiting"])) <= 3
    assert len(learning_of(task).models.by_scope_key) == 1
