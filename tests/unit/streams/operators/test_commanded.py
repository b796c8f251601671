"""Commands change who serves, and models, at their place in the log, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

import pytest
from river import linear_model, naive_bayes, preprocessing, tree

from millrace.models.candidates.model_set import ModelSet
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.schemas import CommandError
from millrace.streams.operators.base import Tally
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
    ExampleRecord,
    OutcomeRecord,
    PredictionRecord,
    Record,
    SnapshotRecord,
)
from millrace.streams.state import snapshot
from millrace.streams.topology.task import Task
from tests.chaos.likeness import difference
from tests.unit.streams.operators.commanding import (
    KEY,
    Control,
    Log,
    Written,
    as_written,
    folded,
    kept,
    learning_of,
    load_models,
    make_task,
    prediction_of,
)
from tests.unit.streams.operators.drawn import cuts, drawn, drawn_pipeline

Make = Callable[..., Any]
SCOPES = ("global", "partition", "key")
SEEDS = range(36)
MODELS: dict[str, Any] = {
    "linear": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "bayes": naive_bayes.GaussianNB,
    "tree": tree.HoeffdingTreeClassifier,
}


@pytest.fixture(params=SCOPES)
def pipeline(request: pytest.FixtureRequest, make_pipeline: Make) -> Pipeline:
    """Make a pipeline of three models that give probabilities."""
    made: Pipeline = make_pipeline(models=MODELS, scope=request.param, key="id")
    return made


def stream(make_vector: Make, make_label: Make, rows: list[Any], begin: int = 0) -> list[Record]:
    """Return events of two keys, each labelled a little later."""
    records: list[Record] = []
    for i, (x, _) in enumerate(rows, begin):
        records.append(make_vector(f"e{i}", 1_000 * i, **x, key=f"k{i % 2}"))
        if i >= begin + 3:
            records.append(make_label(f"e{i - 3}", rows[i - begin - 3][1]))
    return records


@pytest.fixture
def records(make_vector: Make, make_label: Make, make_rows: Make) -> list[Record]:
    """Make 400 events and their labels."""
    return stream(make_vector, make_label, make_rows("binary", 400))


def of_type(records: list[Record], kind: type[Record]) -> list[Any]:
    return [each.value for each in records if isinstance(each, kind)]


def models_of(task: Task) -> dict[str, ModelSet]:
    models = learning_of(task).models
    return {key: models.of(key) for key in models.by_scope_key}


def ask(rng: random.Random, control: Control, task: Task) -> AcceptedRecord | None:
    """Return a command that fits what is in force, of candidates and challengers that there are."""
    sets = learning_of(task).models.by_scope_key.values()
    challengers = sorted({each.name for models in sets for each in models.challengers.values()})
    models = [*control.in_force.models, *challengers * 3]
    name = rng.choice(["promote", "promote", "rollback", "reset", "pause", "resume", "resume"])
    candidates = {"promote": models, "reset": [*control.in_force.models]}
    try:
        if name in candidates:
            return control.accept(name, model=rng.choice(candidates[name]))
        return control.accept(name)
    except CommandError:
        return None


def keyed(records: list[Record]) -> list[Record]:
    """Let events share a few keys."""
    for each in records:
        number = int(str(each.value["event_id"])[1:])
        each.value["key"] = f"k{number % 5}"  # type: ignore[index]
    return records


class Folded(NamedTuple):
    """A log with commands, and what folding it record by record has led to."""

    pipeline: Pipeline
    log: list[Record]
    written: Written
    actions: list[Any]
    kept: dict[str, Any]
    tally: Tally


@pytest.fixture(scope="module")
def drawn_log(make_pipeline: Make, make_origin: Make) -> Callable[[int], Folded]:
    """Draw a definition and a log with commands, and fold it record by record."""

    @cache
    def draw(seed: int) -> Folded:
        rng = random.Random(seed)
        pipeline = drawn_pipeline(rng, make_pipeline, [SCOPES[seed % 3]])
        control, task = Control(pipeline), make_task(pipeline)
        log: list[Record] = []
        written: list[Record] = []
        for record in keyed(drawn(rng, pipeline, make_origin)):
            command = ask(rng, control, task) if rng.random() < 0.03 else None
            for each in (command, record):
                if each is not None:
                    log.append(each)
                    written += folded(task, [each])
        audit = of_type(written, AuditRecord)
        return Folded(pipeline, log, as_written(written), audit, kept(task), task.take_tally())

    return draw


@pytest.mark.parametrize("seed", SEEDS)
def test_a_log_with_commands_is_folded_alike(seed: int, drawn_log: Any) -> None:
    """However a log is cut, and wherever a task goes on from saved state, the fold is the same."""
    pipeline, log, written, _, state, counted = drawn_log(seed)
    rng = random.Random(seed)
    task, saved, tally = make_task(pipeline), Log(), Tally()
    found: list[Record] = []
    at = 0
    for size in cuts(rng, len(log)):
        found += folded(task, log[at : at + size])
        at += size
        if rng.random() < 0.2:
            tally += task.take_tally()
            saved.save(task)
            task = saved.restore(make_task(pipeline))
    assert as_written(found) == written
    assert tally + task.take_tally() == counted
    for name, store in state.items():
        assert difference(store, kept(task)[name]) is None, name


@pytest.mark.parametrize("seed", SEEDS[:12])
def test_a_log_is_folded_again_from_an_earlier_save(seed: int, drawn_log: Any) -> None:
    """A task that begins at a place before commands applies them again, each once."""
    pipeline, log, written, _, state, _ = drawn_log(seed)
    half = len(log) // 2
    task, saved = make_task(pipeline), Log()
    first = folded(task, log[:half])
    saved.save(task)
    folded(task, log[half:])
    again = saved.restore(make_task(pipeline))
    assert as_written(first + folded(again, log[half:])) == written
    for name, store in state.items():
        assert difference(store, kept(again)[name]) is None, name


def test_the_logs_are_worth_it(drawn_log: Any) -> None:
    """Every command changes something somewhere, with every scope."""
    done = Counter[tuple[str, str]]()
    for seed in SEEDS:
        drawn = drawn_log(seed)
        for each in drawn.actions:
            done[str(drawn.pipeline.scope), each["action"]] += 1
            if each["after"] and ".challenger@" in each["after"]:
                done[str(drawn.pipeline.scope), "challenger"] += 1
    actions = ("promoted", "rolled_back", "reset", "paused", "resumed", "challenger")
    assert {*done} >= {(scope, action) for scope in SCOPES for action in actions}


@pytest.mark.parametrize("at", [0, 5, 300])
def test_a_promoted_candidate_is_as_if_it_had_always_served(
    at: int, pipeline: Pipeline, make_pipeline: Make, records: list[Record]
) -> None:
    """From the command on, predictions, outcomes and models equal those of its own pipeline."""
    order = ("tree", "linear", "bayes")
    other = make_pipeline(
        models={name: MODELS[name] for name in order}, scope=pipeline.scope, key="id"
    )
    task, always = make_task(pipeline), make_task(other)
    folded(task, records[:at])
    folded(always, records[:at])
    (promoted,) = of_type(
        folded(task, [Control(pipeline).accept("promote", model="tree")]), AuditRecord
    )
    found, expected = folded(task, records[at:]), folded(always, records[at:])
    predictions = of_type(found, PredictionRecord)
    assert predictions == of_type(expected, PredictionRecord)
    assert {each["model"] for each in predictions} == {"tree"}
    assert any(each["probabilities"] for each in predictions)
    for ours, theirs in zip(
        of_type(found, OutcomeRecord), of_type(expected, OutcomeRecord), strict=True
    ):
        assert ours == theirs
    for key, models in models_of(task).items():
        for name, candidate in models_of(always)[key].candidates.items():
            assert difference(candidate, models.candidates[name]) is None
        assert models.champion == "tree"
    subject = promoted["subject"], promoted["action"], promoted["before"], promoted["after"]
    assert subject == ("champion", "promoted", "linear", "tree")
    assert (promoted["who"], promoted["why"], promoted["command_id"]) == ("anna", "a trial", "c1")


def test_a_rollback_lets_the_one_before_serve(pipeline: Pipeline, records: list[Record]) -> None:
    """Each rollback goes back by one, in the task as in control."""
    control, task = Control(pipeline), make_task(pipeline)
    served = []
    for name, model in [
        *[("promote", "tree"), ("promote", "bayes"), ("rollback", ""), ("rollback", "")]
    ]:
        folded(task, [control.accept(name, **({"model": model} if model else {}))])
        found = folded(task, [records[len(served)]])
        served += [each["model"] for each in of_type(found, PredictionRecord)]
        assert learning_of(task).models.commanded.champion == control.in_force.champion
    assert served == ["tree", "bayes", "tree", "linear"]


def test_a_reset_begins_one_candidate_anew(pipeline: Pipeline, records: list[Record]) -> None:
    """Its models and monitors are those of a task that begins there; the others go on."""
    task, plain = make_task(pipeline), make_task(pipeline)
    folded(task, records[:300])
    folded(plain, records[:300])
    (reset,) = of_type(
        folded(task, [Control(pipeline).accept("reset", model="bayes")]), AuditRecord
    )
    assert (reset["subject"], reset["action"]) == ("models['bayes']", "reset")
    fresh = ModelSet(pipeline).candidates["bayes"]
    for key, models in models_of(task).items():
        assert difference(models.candidates["bayes"].model, fresh.model) is None
        assert (
            difference(models.candidates["linear"], models_of(plain)[key].candidates["linear"])
            is None
        )
    folded(task, records[300:])
    folded(plain, records[300:])
    monitors, others = (learning_of(each).stores["monitors"] for each in (task, plain))
    for key, of_key in monitors.items():  # type: ignore[attr-defined]
        ours = {name: each._position for name, each in of_key.items()}
        theirs = {name: each._position for name, each in others[key].items()}  # type: ignore[index]
        assert ours["linear"] == theirs["linear"]
        assert ours["bayes"] < theirs["bayes"]


@pytest.mark.parametrize("policy", ["reset", "replace"])
def test_nothing_is_learned_while_learning_is_paused(
    policy: str, pipeline: Pipeline, make_pipeline: Make, records: list[Record], make_rows: Make,
    make_vector: Make, make_label: Make,
) -> None:  # fmt: skip
    """Models stay as they are, to the last bit; what comes is scored, watched, never learned."""
    settings = DriftSettings(policy=policy, loss="page_hinkley", cooldown=10)
    pipeline = make_pipeline(
        models=MODELS, scope=pipeline.scope, key="id", drift=settings,
        pending=Pending(ttl=timedelta(days=9_000)),
    )  # fmt: skip
    control, task = Control(pipeline), make_task(pipeline)
    folded(task, records[:301])
    version = {key: each.version for key, each in models_of(task).items()}
    before, measured = kept(task)["learning/models"], learning_of(task).evaluation
    assert measured is not None
    examples = measured.examples["tree"]
    without = make_task(pipeline)
    folded(without, records[:301])
    paused = folded(task, [control.accept("pause")])
    turned = [(x, not y) for x, y in make_rows("binary", 400)]
    during = stream(make_vector, make_label, turned, begin=1_000)
    found = folded(task, during)
    assert len(of_type(found, PredictionRecord)) == 400
    assert {each["action"] for each in of_type(paused, AuditRecord)} == {"paused"}
    assert "alert" in {each["action"] for each in as_alerts(found)}
    assert learning_of(task).evaluation.examples["tree"] > examples + 300  # type: ignore[union-attr]
    for (key, models), (_, then) in zip(kept(task)["learning/models"], before, strict=True):
        assert models.version == version[key]  # type: ignore[attr-defined]
        assert models.passed_over > 150  # type: ignore[attr-defined]
        assert not models.challengers  # type: ignore[attr-defined]
        assert then is models
    folded(task, [control.accept("resume")])
    for key, models in models_of(task).items():
        ours, theirs = models, models_of(without)[key]
        assert difference(dict(ours.models), dict(theirs.models)) is None
    folded(task, records[301:])
    folded(without, records[301:])
    for key, models in models_of(task).items():
        assert difference(dict(models.models), dict(models_of(without)[key].models)) is None


def as_alerts(records: list[Record]) -> Iterator[Any]:
    return (each.value for each in records if each.topic == "alerts")


def test_models_without_labels_learn_nothing_while_paused(
    make_pipeline: Make, avro: Make, make_vector: Make, make_rows: Make
) -> None:
    """Where models learn from each event, they do not while learning is paused."""
    schema = avro(id="string", a="double", b="double")
    pipeline = make_pipeline("anomaly", schema=schema, label=None)
    task, control = make_task(pipeline), Control(pipeline)
    rows = make_rows("anomaly", 90)
    events = [make_vector(f"e{i}", i, **x) for i, (x, _) in enumerate(rows)]
    folded(task, events[:40])
    folded(task, [control.accept("pause"), *events[40:70], control.accept("resume")])
    assert models_of(task)[""].version == 40
    folded(task, events[70:])
    assert models_of(task)[""].version == 60


@pytest.mark.parametrize("scope", SCOPES)
def test_prediction_apart_follows_the_models(
    scope: str, make_pipeline: Make, records: list[Record], make_origin: Make
) -> None:
    """Where learning has an agent of its own, it alone applies; prediction serves by its models."""
    pipeline = make_pipeline(models=MODELS, scope=scope, key="id")
    prediction = make_task(pipeline, "prediction", load_models=load_models)
    learning, control = make_task(pipeline, "learning"), Control(pipeline)

    def passed(part: list[Record]) -> list[Record]:
        made = folded(prediction, part)
        folded(learning, [each for each in made if each.topic == "examples"])
        return made

    def publish() -> list[Record]:
        found: list[Record] = []
        for change in learning_of(learning).stores["models"].take_changes():  # type: ignore[attr-defined]
            value = {"scope_key": change.key, "payload": snapshot.dump(change.value, KEY)}
            found.append(SnapshotRecord(value, make_origin(topic="models"), "models"))  # type: ignore[arg-type]
        return found

    passed(records[:101])
    folded(prediction, publish())
    commands = [control.accept("pause"), control.accept("resume")]
    command = control.accept("promote", model="tree")
    made = folded(prediction, [commands[0], *records[101:201], commands[1], command])
    assert not of_type(made, AuditRecord)
    assert {each["model"] for each in of_type(made, PredictionRecord)} == {"linear"}
    on_examples = [each for each in made if each.topic == "examples"]
    assert of_type(on_examples, AcceptedRecord) == [each.value for each in (*commands, command)]
    assert of_type(on_examples, ExampleRecord)
    audit = of_type(folded(learning, on_examples), AuditRecord)
    assert [each["action"] for each in audit] == ["paused", "resumed", "promoted"]
    snapshots = publish()
    assert len(snapshots) == (2 if scope == "key" else 1)
    found = folded(prediction, [records[201], *snapshots, *records[202:220]])
    predictions = of_type(found, PredictionRecord)
    assert [each["model"] for each in predictions] == ["linear"] + ["tree"] * 9
    assert all(each["staleness_examples"] < 10 for each in predictions[1:])  # none is of the pause
    new = folded(prediction, [records[221], records[223]])
    assert {each["model"] for each in of_type(new, PredictionRecord)} == {"tree"}


def test_a_broken_candidate_that_is_promoted_is_known_to_be_broken(
    make_pipeline: Make, make_vector: Make, make_label: Make
) -> None:
    """What it predicted before it served tells whether it is broken, or an event odd."""
    pipeline = make_pipeline(models={"linear": MODELS["linear"], "own": Breaking})
    task = make_task(pipeline)
    for i in range(40):
        folded(task, [make_vector(f"e{i}", i, a=1.0), make_label(f"e{i}", True)])
    folded(task, [Control(pipeline).accept("promote", model="own")])
    made = folded(task, [make_vector("odd", 41, a=1.0), make_label("odd", True)])
    found = [each.topic for each in made if each.topic not in ("alerts", "evaluations")]
    assert found == ["outcomes", "rejects"]


class Breaking(naive_bayes.GaussianNB):  # type: ignore[misc]
    """Raises for each event once it has learned 39."""

    def __init__(self) -> None:
        super().__init__()
        self.learned = 0

    def learn_one(self, x: Any, y: Any) -> None:
        self.learned += 1
        super().learn_one(x, y)

    def predict_proba_one(self, x: Any) -> Any:
        if self.learned > 38:
            raise ValueError
        return super().predict_proba_one(x)


def test_waiting_events_are_sized_by_who_serves(make_pipeline: Make, records: list[Record]) -> None:
    """The champion's probabilities take room; a promotion changes that for events to come."""
    pipeline = make_pipeline(models=MODELS, metrics={})
    task = make_task(pipeline)
    folded(task, [Control(pipeline).accept("promote", model="tree"), records[0]])
    assert prediction_of(task)._join.champion == "tree"
