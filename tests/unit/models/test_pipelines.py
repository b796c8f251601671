"""The shipped pipelines load, and their schemas take the data that they are for."""

from __future__ import annotations

import json
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from millrace.models.monitoring.drift_monitor import DriftMonitor
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.pipelines import loans
from millrace.models.tables.datasets import load_bundled
from millrace.models.tables.inference import Choices, infer
from millrace.models.tables.rows import records
from millrace.schemas.records import Event

FOLDER = Path(loans.__file__).parent
NAMES = {
    "loans": Task.BINARY,
    "phishing": Task.BINARY,
    "image_segments": Task.MULTICLASS,
    "trump_approval": Task.REGRESSION,
    "shuttle": Task.ANOMALY,
}
BUNDLED = [name for name in NAMES if name != "loans"]


def features(pipeline: Pipeline, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the feature vector of an event by features that keep no state."""
    event = Event(event_id="1", key=None, event_time_ms=0, label=None, fields=fields)
    extractors = [feature.bind(lambda _: {}) for feature in pipeline.features]
    return {name: value for extract in extractors for name, value in extract(event).items()}


def test_every_file_is_tested() -> None:
    """No pipeline ships untested, and each has its schema beside it."""
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == {*NAMES}
    assert {path.stem for path in FOLDER.glob("*.avsc")} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_loads_by_module_and_by_path(name: str) -> None:
    """A pipeline loads both ways, named as its file, for its task."""
    for spec in (f"millrace.models.pipelines.{name}", str(FOLDER / f"{name}.py:pipeline")):
        pipeline = load_pipeline(spec)
        assert (pipeline.name, pipeline.task) == (name, NAMES[name])


@pytest.mark.parametrize("name", BUNDLED)
def test_schema_is_that_of_the_data_set(name: str) -> None:
    """Field by field, the schema is the one inferred from the data set of the same name."""
    pipeline = load_pipeline(f"millrace.models.pipelines.{name}")
    frame, label, task = load_bundled(name)
    model = {Task.ANOMALY: "half_space_trees", Task.REGRESSION: "linear_regression"}
    choices = Choices(label=label, model=model.get(task, "hoeffding_tree"), task=task)
    found = infer(frame, choices, name=name)
    written = pipeline.event_schema.as_written.schema["fields"]
    assert written == found.schema["fields"]
    assert (pipeline.event_id, pipeline.label) == (found.event_id, found.label)
    assert task is pipeline.task


@pytest.mark.parametrize("name", BUNDLED)
def test_events_pass_and_models_learn(name: str) -> None:
    """Events of the data set pass the schema, and every model predicts and learns from them."""
    pipeline = load_pipeline(f"millrace.models.pipelines.{name}")
    models = {name: factory() for name, factory in pipeline.models.items()}
    for event, _ in zip(
        records(load_bundled(name)[0], pipeline.event_id), range(300), strict=False
    ):
        record = pipeline.event_schema.from_json(json.loads(json.dumps(event)))
        assert record == event
        label = NAMES[name].label(record.pop(pipeline.label or ""))
        x = features(pipeline, record)
        assert len(x) == len(event) - 2
        for model in models.values():
            if pipeline.task is Task.ANOMALY:
                assert 0 <= model.score_one(x) <= 1
                model.learn_one(x)
            else:
                model.predict_one(x)
                model.learn_one(x, label)


def test_applications_are_repeatable() -> None:
    """The same seed gives the same stream, another seed another, and more events only more."""
    ten = [*loans.applications(10, seed=1)]
    assert [*loans.applications(20, seed=1)][:10] == ten
    assert [*loans.applications(10, seed=2)] != ten
    assert [a["application_id"] for a in ten] == [str(i) for i in range(10)]


def test_applications_advance_in_event_time() -> None:
    """Event time begins at 2025-03-03, only rises, and by half a minute on average."""
    times = [each["applied_at"] for each in loans.applications(2_000)]
    assert times[0] >= 1_740_960_000_000
    assert all(later > earlier for earlier, later in pairwise(times))
    assert (times[-1] - times[0]) / 1_999 == pytest.approx(30_000, rel=0.1)


def test_the_rule_changes_at_the_drift_and_nothing_else_does() -> None:
    """Applicants stay the same; from the drift on, age alone decides, and before it never does."""
    plain = [*loans.applications(500)]
    drifted = [*loans.applications(500, drift_at=200)]
    assert drifted[:200] == plain[:200]
    for before, after in zip(plain, drifted, strict=True):
        assert {**before, "granted": None} == {**after, "granted": None}
    assert all(each["granted"] == (40 <= each["age"] < 60) for each in drifted[200:])
    assert not all(each["granted"] == (40 <= each["age"] < 60) for each in plain[200:])
    assert 0.3 < sum(each["granted"] for each in plain) / 500 < 0.7


def test_applications_pass_the_schema() -> None:
    """Applications are events of the pipeline, as Avro and as JSON, decided or not."""
    schema = loans.pipeline.event_schema
    for application in loans.applications(50):
        assert schema.from_json(json.loads(json.dumps(application))) == application
        encoded = schema.as_written.encode(application)
        assert schema.codec.decode(encoded) == ("LoanApplication", application)
        assert schema.as_written.encode({**application, "granted": None})


def test_total_income_is_a_feature() -> None:
    """The derived feature is what an applicant earns in all."""
    application = next(loans.applications(1))
    x = features(loans.pipeline, application)
    assert x["total_income"] == application["salary"] + application["commission"]
    assert not {"application_id", "applied_at", "granted"} & {*x}


def test_the_drift_is_seen_and_a_fresh_model_recovers() -> None:
    """The champion's accuracy falls by a third at the drift, the loss detector sees it, and a
    model trained from there on is right again within 2,000 events.
    """
    drift_at, n_events = 4_000, 6_500
    model, fresh = (loans.pipeline.models[loans.pipeline.champion]() for _ in range(2))
    monitor = DriftMonitor("adwin", 1_000, only_increase=True)
    hits: deque[bool] = deque(maxlen=500)
    accuracy, alerts = {}, []
    for n, event in enumerate(loans.applications(n_events, drift_at=drift_at)):
        x, label = features(loans.pipeline, event), event["granted"]
        hits.append(model.predict_one(x) == label)
        accuracy[n] = sum(hits) / len(hits)
        model.learn_one(x, label)
        if monitor.update_many([float(not hits[-1])]):
            alerts.append(n)
        if n >= drift_at:
            fresh.learn_one(x, label)
        if alerts and n == alerts[-1] + 500:
            model = fresh
    assert accuracy[drift_at - 1] > 0.85
    assert accuracy[drift_at + 500] < 0.65
    assert accuracy[n_events - 1] > 0.9
    assert len(alerts) == 1
    assert drift_at < alerts[0] < drift_at + 300
