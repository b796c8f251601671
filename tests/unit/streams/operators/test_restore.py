"""A version that is restored takes the place of the models, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from river import linear_model, naive_bayes, preprocessing

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import ArchiveError
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
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
    folded,
    kept,
    learning_of,
    load_models,
    make_task,
    prediction_of,
)
from tests.unit.streams.operators.test_commanded import stream

Make = Callable[..., Any]
MODELS: dict[str, Any] = {
    "linear": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "bayes": naive_bayes.GaussianNB,
}
NOTHING_ELSE = {"learning/models", "learning/monitors", "audit/trail"}


class Version:
    """The models of a task, as the archive has them: a copy for each that reads them."""

    def __init__(self) -> None:
        self.saved: bytes | None = None

    def take(self, task: Task) -> None:
        self.saved = snapshot.dump(dict(learning_of(task).models.by_scope_key), KEY)

    def load(self, _command: AcceptedRecord) -> Mapping[str, ModelSet] | None:
        found: Mapping[str, ModelSet] | None = None
        if self.saved is not None:
            found = snapshot.load(self.saved, KEY)
        return found


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    made: Pipeline = make_pipeline(models=MODELS)
    return made


@pytest.fixture
def records(make_vector: Make, make_label: Make, make_rows: Make) -> list[Record]:
    return stream(make_vector, make_label, make_rows("binary", 400))


@pytest.fixture
def version() -> Version:
    return Version()


def restore(control: Control) -> AcceptedRecord:
    archived = '{"definition": "", "files": {"0": ["prediction-learning", "1f9a", 20]}}'
    return control.accept("restore", version="v", archived=archived)


def audits(made: list[Record]) -> list[Any]:
    return [each.value for each in made if isinstance(each, AuditRecord)]


def test_models_are_those_of_the_version_and_all_else_goes_on(
    pipeline: Pipeline, records: list[Record], version: Version
) -> None:
    """Bit for bit; events that wait are joined with their labels. The audit says from and to."""
    task = make_task(pipeline, load_version=version.load)
    other = make_task(pipeline)
    for each in (task, other):
        folded(each, records[:300])
    version.take(task)
    for each in (task, other):
        folded(each, records[300:500])
    before = kept(task)
    command = restore(Control(pipeline))

    (said,) = audits(folded(task, [command]))
    learned = learning_of(other).models.of("").version
    assert (said["subject"], said["action"]) == ("models", "restored")
    assert (said["before"], said["after"]) == (str(learned), "148")
    assert said["evidence"] == {"version": "v"}
    assert not difference(learning_of(task).models.of(""), version.load(command)[""])  # type: ignore[index]
    assert kept(task)["learning/monitors"] == []
    after = kept(task)
    for name in before.keys() - NOTHING_ELSE:
        assert not difference(after[name], before[name]), name

    outcomes = [
        each.value["fate"] for each in folded(task, records[500:]) if each.topic == "outcomes"
    ]
    expected = [
        each.value["fate"] for each in folded(other, records[500:]) if each.topic == "outcomes"
    ]
    assert outcomes == expected


def test_who_serves_and_what_was_reset_before_stays(
    pipeline: Pipeline, records: list[Record], version: Version
) -> None:
    """A reset of before the command is not done again to the models of the version."""
    task, control = make_task(pipeline, load_version=version.load), Control(pipeline)
    folded(task, records[:300])
    version.take(task)
    folded(task, records[300:350])
    folded(
        task, [control.accept("reset", model="linear"), control.accept("promote", model="bayes")]
    )
    folded(task, [restore(control)])
    models, saved = learning_of(task).models.of(""), version.load(restore(control))
    assert saved is not None
    assert (models.version, models.champion) == (148, "bayes")
    linear, other = (each.candidates["linear"].model for each in (models, saved[""]))
    assert not difference(linear, other)
    made = folded(task, records[350:360])
    predictions = [each.value for each in made if isinstance(each, PredictionRecord)]
    assert {each["model"] for each in predictions} == {"bayes"}
    assert predictions[0]["model_version"] in (148, 149)


def test_it_is_saved_and_counts_once(
    pipeline: Pipeline, records: list[Record], version: Version
) -> None:
    """The models are a change of the store; a command that is read again changes nothing."""
    task, control = make_task(pipeline, load_version=version.load), Control(pipeline)
    folded(task, records[:100])
    version.take(task)
    command = restore(control)
    folded(task, records[100:200])
    learning_of(task).models.by_scope_key.take_changes()
    folded(task, [command])
    assert [each.key for each in learning_of(task).models.by_scope_key.take_changes()] == [""]
    folded(task, records[200:300])
    learned = learning_of(task).models.of("").version
    assert audits(folded(task, [command])) == []
    assert learning_of(task).models.of("").version == learned


def test_a_version_without_models_lets_them_begin(
    pipeline: Pipeline, records: list[Record], version: Version
) -> None:
    """It was written before the first event."""
    task = make_task(pipeline, load_version=lambda _: {})
    folded(task, records[:100])
    (said,) = audits(folded(task, [restore(Control(pipeline))]))
    assert said["after"] == "0"
    assert learning_of(task).models.of("").version == 0


@pytest.mark.parametrize("scope", ["global", "key"])
def test_where_the_version_has_nothing_for_it_nothing_is_changed(
    make_pipeline: Make, records: list[Record], version: Version, scope: str
) -> None:
    """No state of the partition; or models by key, which come and go."""
    pipeline = make_pipeline(models=MODELS, scope=scope, key="id")
    task = make_task(pipeline, load_version=version.load)
    folded(task, records[:100])
    before = kept(task)
    (said,) = audits(folded(task, [restore(Control(pipeline))]))
    assert (said["subject"], said["action"]) == ("models", "no_effect")
    assert "no state of this partition, or the scope is key" in said["evidence"]["reason"]
    assert not difference(kept(task)["learning/models"], before["learning/models"])


def test_without_an_archive_it_halts(pipeline: Pipeline, records: list[Record]) -> None:
    """The error says what to set; nothing has changed, and the command is met again."""
    task, control = make_task(pipeline), Control(pipeline)
    folded(task, records[:100])
    with pytest.raises(ArchiveError, match=r"version v is to be restored.*set MILLRACE_ARCHIVE"):
        folded(task, [restore(control)])


def test_where_prediction_is_apart_it_follows(
    pipeline: Pipeline, records: list[Record], version: Version
) -> None:
    """With the next models that are published."""
    learner = make_task(pipeline, "learning", load_version=version.load)
    predictor = make_task(pipeline, "prediction", load_models=load_models)
    made = folded(predictor, records[:200])
    folded(learner, [each for each in made if each.topic == "examples"])
    version.take(learner)
    learned = learning_of(learner).models.of("").version
    made = folded(predictor, records[200:300])
    folded(learner, [each for each in made if each.topic == "examples"])
    folded(learner, [restore(Control(pipeline))])
    models = learning_of(learner).models.of("")
    published = SnapshotRecord(
        {"scope_key": "", "payload": snapshot.dump(models, KEY)},  # type: ignore[typeddict-item]
        records[0].origin,
    )
    folded(predictor, [published])
    assert prediction_of(predictor)._models.of("").version == learned
