"""What every operator promises: state that survives, memory that is bounded, no hidden input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from millrace.models.candidates.model_set import ModelSet
from millrace.models.features import derived, fields, rolling
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.schemas.records import Label
from millrace.streams.formats.json import to_json
from millrace.streams.operators.base import Operator
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.examples import ExampleWriter
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import RawRecord, Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.codec import TopicCodec
from tests.chaos.likeness import difference, entries_of

NOW_MS = 1_700_000_000_000
LENGTH = 300
TASKS = ("binary", "multiclass", "regression", "anomaly")
Make = Callable[..., Any]


def sensitive() -> Any:
    return drift.PageHinkley(min_instances=5, threshold=1.0)


def most_sensitive() -> Any:
    return drift.PageHinkley(min_instances=5, threshold=0.2)


def ratio(values: Any) -> float:
    return float(values["a"] / values["b"])


@dataclass(frozen=True)
class Case:
    """An operator, and records that exercise all that it keeps."""

    name: str
    pipeline: Pipeline
    make: Callable[[], Operator]
    records: list[Record]


def user(i: int) -> str:
    """Return one user mostly, so that its model gets to learn, and sometimes one of two more."""
    return "u1" if i % 9 == 0 else "u2" if i % 31 == 0 else "u0"


def events(pipeline: Pipeline, rows: list[Any], make_origin: Make) -> list[Record]:
    """Return raw events, most with their labels, some twice, some bad, and labels apart."""
    made = []
    for i, (x, y) in enumerate(rows):
        document = {"id": f"e{i - (i % 37 == 0)}", "user": user(i), **x}
        document["a"] += 0 if i < LENGTH // 2 else 9
        document["t"] = NOW_MS + i * 1_000
        of = i + (i % 5 == 0) - (i % 7 == 0)
        label = Label(event_id=f"e{of}", label=y, label_time_ms=None, key=user(of), source=None)
        good = to_json({**document, "y": None if i % 4 else y}).encode()
        value = b"broken" if i % 41 == 0 else good
        made.append(("events", value))
        if i % 4:
            made.append(("labels", to_json(label).encode()))
    return [
        RawRecord.of(make_origin(value, topic=topic, offset=i))
        for i, (topic, value) in enumerate(made)
    ]


@pytest.fixture(scope="module")
def cases(
    avro: Make, make_pipeline: Make, make_origin: Make, make_rows: Make, fold: Make
) -> dict[str, Case]:
    """Make every operator, for every task, with what the operator before it made."""
    found = {}
    for task in (*TASKS, "unlabelled"):
        label_types = {"multiclass": "string", "regression": "double"}
        schema = avro(
            id="string",
            user="string",
            a="double",
            b="double",
            t="long",
            y=(["null", label_types.get(task, "boolean")], None),
        )
        pipeline = make_pipeline(
            "anomaly" if task == "unlabelled" else task,
            schema=schema,
            label=None if task == "unlabelled" else "y",
            key="user",
            scope="key",
            event_time="t",
            features=(
                fields("a", "b"),
                derived("ratio", ratio),
                rolling("a", "mean", "std", window=timedelta(minutes=1)),
            ),
            pending=Pending(limit=20, ttl=timedelta(seconds=30)),
            drift=DriftSettings(
                loss=sensitive if task in ("binary", "multiclass") else most_sensitive,
                policy="reset" if task in ("anomaly", "unlabelled") else "replace",
                cooldown=20,
                replacement_after=40,
            ),
            max_models=2,
            rolling_window=25,
        )
        rows = make_rows("anomaly" if task == "unlabelled" else task, LENGTH, flip_at=LENGTH // 2)
        records = events(pipeline, rows, make_origin)
        for case in operators(task, pipeline, records, fold):
            found[case.name] = case
    return found


def operators(task: str, pipeline: Pipeline, records: list[Record], fold: Make) -> list[Case]:
    def ingest() -> Operator:
        return IngestOperator(pipeline, 1, lambda _: None, 10_000)

    def feature() -> Operator:
        return FeatureOperator(pipeline, max_entries=2)

    def prediction() -> Operator:
        return apart(pipeline, ScopedModels(pipeline))

    def learning() -> Operator:
        return LearningOperator(pipeline, ScopedModels(pipeline))

    def watch() -> Operator:
        return DriftOperator(pipeline)

    cases = []
    for make in (ingest, feature, prediction, learning, watch):
        operator = make()
        taken = [each for each in records if each.topic in operator.topics.reads]
        cases.append(Case(f"{operator.name}-{task}", pipeline, make, taken))
        made = fold(make(), taken) if make is not prediction else learning_beside(pipeline, taken)
        records = [*records, *made]
    return cases


def apart(pipeline: Pipeline, models: ScopedModels) -> PredictionOperator:
    """Return a prediction operator whose learning has an agent of its own."""
    return PredictionOperator(
        pipeline,
        models,
        ExampleWriter(pipeline, models),
        lambda _: ModelSet(pipeline),
    )


def learning_beside(pipeline: Pipeline, records: list[Record]) -> list[Record]:
    """Return what prediction makes of records while the models learn."""
    models = ScopedModels(pipeline)
    prediction, learning = apart(pipeline, models), LearningOperator(pipeline, models)
    made = []
    for record in records:
        for each in prediction.run(Slice([record])):
            made.append(each)
            if each.topic == "examples":
                learning.run(Slice([each]))
    return made


NAMES = [
    f"{operator}-{task}"
    for task in (*TASKS, "unlabelled")
    for operator in ("ingest", "feature", "prediction", "learning", "drift")
]


def outputs(made: list[Record]) -> list[tuple[str, str, Any]]:
    return [(each.topic, each.type, to_json(each.value)) for each in made]


def kept_by(operator: Operator) -> dict[str, list[Any]]:
    """Return what is in each store."""
    return {name: entries_of(store) for name, store in operator.stores.items()}


@pytest.fixture(scope="module")
def uninterrupted(cases: dict[str, Case]) -> Callable[[str], list[list[tuple[str, str, Any]]]]:
    """Run a case once from start to end; give what each record led to."""
    known: dict[str, list[list[tuple[str, str, Any]]]] = {}

    def run(name: str) -> list[list[tuple[str, str, Any]]]:
        if name not in known:
            operator = cases[name].make()
            known[name] = [outputs(operator.run(Slice([each]))) for each in cases[name].records]
        return known[name]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_the_case_is_worth_its_name(name: str, cases: dict[str, Case], uninterrupted: Any) -> None:
    """The records of every case lead to every kind of output that the operator has."""
    operator = cases[name].make()
    topics = {topic for made in uninterrupted(name) for topic, _, _ in made}
    never_fail = (
        {"audit", "rejects"} if name.startswith(("feature", "learning", "drift")) else set()
    )
    if name.startswith("prediction"):
        never_fail.add("alerts")  # of predictions that are none
    if name.startswith("learning"):
        never_fail.add("evaluations")  # where the champion alone cannot learn
    if name.startswith("learning") and not name.endswith(("binary", "multiclass")):
        never_fail |= {"alerts", "audit"}  # a loss is scaled by more values than a key has here
    assert topics <= operator.topics.writes <= topics | never_fail
    assert len(cases[name].records) >= 200


@pytest.mark.parametrize("name", NAMES)
def test_repeatable(name: str, cases: dict[str, Case], uninterrupted: Any) -> None:
    """The same records lead to the same outputs and the same state, seed, order and all."""
    runs = []
    for _ in range(2):
        operator = cases[name].make()
        made = [outputs(operator.run(Slice([each]))) for each in cases[name].records]
        assert made == uninterrupted(name)
        runs.append(
            [(store, [*kept]) for store, kept in operator.stores.items()] + [operator.tally]
        )
    assert runs[0] == runs[1]


@pytest.fixture(scope="module")
def final_state(cases: dict[str, Case]) -> Callable[[str], dict[str, list[Any]]]:
    """Run a case once from start to end; give what is kept then."""
    known: dict[str, dict[str, list[Any]]] = {}

    def run(name: str) -> dict[str, list[Any]]:
        if name not in known:
            operator = cases[name].make()
            operator.run(Slice(cases[name].records))
            known[name] = kept_by(operator)
        return known[name]

    return run


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4)
@given(cuts=st.sets(st.integers(min_value=1, max_value=240), min_size=1, max_size=3))
def test_state_survives_at_any_cut(
    name: str,
    cuts: set[int],
    cases: dict[str, Case],
    uninterrupted: Any,
    final_state: Any,
    move: Make,
) -> None:
    """Saved and restored at any place, an operator makes the same outputs and the same state."""
    case, log = cases[name], {}
    operator = case.make()
    for i, record in enumerate(case.records):
        if i in cuts:
            operator = move(operator, case.make(), log)
        assert outputs(operator.run(Slice([record]))) == uninterrupted(name)[i], i
    operator = move(operator, case.make(), log)
    kept = kept_by(operator)
    for store, expected in final_state(name).items():
        assert difference(expected, kept[store]) is None, store


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith("learning")])
def test_models_survive_a_reaction(
    name: str, cases: dict[str, Case], uninterrupted: Any, move: Make
) -> None:
    """A cut before and after any alert loses nothing of what the policy did to the models."""
    case, log = cases[name], {}
    whole, parted = case.make(), case.make()
    for i, record in enumerate(case.records):
        reacts = any(topic == "alerts" for topic, _, _ in uninterrupted(name)[i])
        if reacts:
            parted = move(parted, case.make(), log)
        whole.run(Slice([record]))
        parted.run(Slice([record]))
        if reacts:
            parted = move(parted, case.make(), log)
            kept, x = parted.stores["models"], record.value["features"]
            for key, models in whole.stores["models"].items():
                assert kept[key].predict(x) == models.predict(x)
                assert [*kept[key].challengers] == [*models.challengers]


@pytest.mark.parametrize("name", NAMES)
def test_metrics_leave_a_save_alone(name: str, cases: dict[str, Case]) -> None:
    """What a save has yet to take is not taken by who only looks, in another thread."""
    operator, taken = cases[name].make(), list[Change]()
    operator.run(Slice(cases[name].records))
    due = {store: kept.begin_save(taken.append) for store, kept in operator.stores.items()}
    assert all(math.isfinite(value) for _, _, value in operator.readings())
    assert taken == []
    for store, kept in operator.stores.items():
        assert len([*iter(kept.next_change, None)]) == due[store]


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_bounded(name: str, cases: dict[str, Case]) -> None:
    """However long the log, no store outgrows its bound."""
    case = cases[name]
    bounds = {
        "windows": 2,
        "cut": 1,
        "evicted": 1,
        "window_time": 1,
        "waiting": 20,
        "early": 20,
        "ends": 2,
        "progress": 1,
        "classes": 3,
        "examples": 2,
        "models": 2,
        "evaluation": 1,
        "commanded": 5,
        "monitors": 6 if case.name.startswith("drift") else 2,
        "held": 1,
        "reasons": 2,
        "invalid": 1,
        "first": 1,
        "blocks": 2,
        "blocks_progress": 1,
    }
    operator = case.make()
    for record in case.records:
        operator.run(Slice([record]))
        for store, kept in operator.stores.items():
            assert len(kept) <= bounds[store], store


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_operator_has_nothing_to_save(name: str, cases: dict[str, Case]) -> None:
    """State is written only when it has changed."""
    operator = cases[name].make()
    for record in cases[name].records[:50]:
        operator.run(Slice([record]))
    for store in operator.stores.values():
        store.take_changes()
        assert store.take_changes() == []


@pytest.mark.parametrize("name", NAMES)
def test_outputs_go_over_the_wire(name: str, cases: dict[str, Case]) -> None:
    """Every output is written and read back the same, so a topic may stand between any two."""
    case = cases[name]
    codec, operator = TopicCodec(case.pipeline), case.make()
    for record in case.records:
        for made in operator.run(Slice([record])):
            key, value = codec.encode(made)
            origin = made.origin._replace(topic=made.topic, key=key, value=value)
            back = codec.decode(origin)
            assert (back.type, back.value) == (made.type, made.value)
