"""A definition is checked in full when it is made; an error names the parameter and the fix."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from river import anomaly, linear_model, naive_bayes

from millrace.models.candidates.tasks import Task
from millrace.models.features import derived, fields
from millrace.models.pipeline.definition import Pending, Pipeline, Scope
from millrace.schemas import DefinitionError

SCHEMA = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "user", "type": ["null", "string"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "age", "type": "int"},
        {"name": "price", "type": ["null", "double"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "bought", "type": "boolean"},
        {"name": "country", "type": "string"},
    ],
}
WITHOUT_FEATURES = {**SCHEMA, "fields": [*SCHEMA["fields"][:3], SCHEMA["fields"][6]]}


def visits(**changes: Any) -> Pipeline:
    given: dict[str, Any] = {
        "name": "visits",
        "schema": SCHEMA,
        "event_id": "id",
        "label": "bought",
        "key": "user",
        "event_time": "at",
        "task": "binary",
        "models": {"linear": linear_model.LogisticRegression, "bayes": naive_bayes.GaussianNB},
    }
    return Pipeline(**(given | changes))


def test_defaults() -> None:
    """A model sees every number, boolean and text that has no other role."""
    pipeline = visits()
    assert [name for each in pipeline.features for name in each.names] == [
        "age", "price", "country"
    ]  # fmt: skip
    assert (pipeline.task, pipeline.scope) == (Task.BINARY, Scope.GLOBAL)
    assert pipeline.champion == "linear"
    assert not pipeline.learns_without_labels


def test_without_roles_fields_are_features() -> None:
    """A field that is neither key, time nor label is a feature."""
    pipeline = visits(label=None, key=None, event_time=None)
    assert [*pipeline.features[0].names] == ["user", "at", "age", "price", "bought", "country"]


def test_schema_from_a_file(tmp_path: Path) -> None:
    """A schema may be the path of its file, as text or as a path."""
    path = tmp_path / "visit.avsc"
    path.write_text(json.dumps(SCHEMA))
    for source in (path, str(path)):
        assert visits(schema=source).event_schema.field_names == tuple(
            each["name"] for each in SCHEMA["fields"]
        )


def test_frozen_and_renamed() -> None:
    """A pipeline does not change; under another name it is another one, the same otherwise."""
    pipeline = visits()
    with pytest.raises(FrozenInstanceError):
        pipeline.name = "x"  # type: ignore[misc]
    renamed = pipeline.with_name("other")
    assert (renamed.name, pipeline.name) == ("other", "visits")
    assert (renamed.models, renamed.features) == (pipeline.models, pipeline.features)


def test_anomaly_without_labels_learns_at_once() -> None:
    """Only an anomaly detector has something to learn from an event alone."""
    detector = {"trees": lambda: anomaly.HalfSpaceTrees(seed=1)}
    assert visits(task="anomaly", label=None, models=detector).learns_without_labels
    assert not visits(task="anomaly", models=detector).learns_without_labels
    assert not visits(label=None).learns_without_labels


@pytest.mark.parametrize(
    "factory",
    [linear_model.LogisticRegression, lambda: linear_model.LogisticRegression(l2=0.1)],
    ids=["class", "lambda"],
)
def test_factories(factory: Any) -> None:
    """A class is a factory of models as much as a function is."""
    first, second = (visits(models={"own": factory}).models["own"]() for _ in range(2))
    assert first is not second


LONG = {"name": "l", "type": "long"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Visits"}, "name requires lower-case letters"),
        ({"name": ""}, "name requires"),
        ({"name": "a.b"}, "got 'a.b'"),
        ({"name": 5}, "name requires"),
        ({"task": "ranking"}, "task requires one of 'binary', 'multiclass'"),
        ({"scope": "user"}, "scope requires one of 'global', 'partition', 'key'; got 'user'"),
        ({"on_error": "ignore"}, "on_error requires one of 'reject', 'stop'; got 'ignore'"),
        ({"event_id": "no"}, "event_id requires a field of the schema"),
        ({"event_id": None}, "event_id requires a field of the schema"),
        ({"event_id": "price"}, "event_id 'price' requires one of the Avro types"),
        ({"event_id": "user"}, "event_id 'user' requires"),
        ({"label": "no"}, "label requires a field of the schema"),
        ({"label": "country"}, "label 'country' requires one of the Avro types"),
        ({"label": "price"}, "label 'price' requires"),
        ({"key": "no"}, "key requires a field of the schema"),
        ({"key": "tags"}, "key 'tags' requires"),
        ({"key": "price"}, "key 'price' requires"),
        ({"event_time": "no"}, "event_time requires a field"),
        ({"event_time": "age"}, "event_time 'age' requires"),
        ({"event_time": "user"}, "event_time 'user' requires"),
        ({"scope": "key", "key": None}, "scope 'key' requires the parameter key"),
        ({"allow_non_finite": ["no"]}, "allow_non_finite requires fields of the schema"),
        ({"models": {}}, "models requires at least one"),
        ({"models": {"Tree": linear_model.LogisticRegression}}, "models requires names of lower"),
        ({"models": {"prior": linear_model.LogisticRegression}}, "not ['no_change', 'prior']"),
        (
            {"models": {"own": linear_model.LogisticRegression()}},
            "models['own'] requires a callable",
        ),
        ({"models": {"own": "tree"}}, "models['own'] requires a callable"),
        ({"models": {"own": linear_model.LinearRegression}}, "models['own'] requires a Classifier"),
        ({"features": [fields("no")]}, "fields(): name must be a field of the schema"),
        ({"features": [fields("tags")]}, "'tags'"),
        (
            {"features": [fields("age"), fields("age")]},
            "features requires each name once; got 'age'",
        ),
        ({"features": [derived("bought", len)]}, "features requires names other than the label"),
        ({"features": [fields("bought")]}, "features requires names other than the label"),
        ({"schema": WITHOUT_FEATURES}, "schema requires at least one field to predict from"),
        ({"schema": {**SCHEMA, "name": "Label"}}, "'Label'"),
        ({"schema": "no.avsc"}, "schema requires a readable file; got 'no.avsc'"),
        ({"rolling_window": 0}, "rolling_window requires a number above 0; got 0"),
        ({"max_models": 0}, "max_models requires a number above 0; got 0"),
        ({"earliest": datetime(2020, 1, 1)}, "earliest requires a datetime with a time zone"),  # noqa: DTZ001, RUF100 - that is the error
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_errors(changes: dict[str, Any], says: str) -> None:
    """What is wrong is named, with what is required and what was given."""
    with pytest.raises(DefinitionError) as caught:
        visits(**changes)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limit": 0}, "pending.limit requires a number above 0; got 0"),
        ({"ttl": timedelta(0)}, "pending.ttl requires a time above 0"),
    ],
)
def test_pending_is_bounded(changes: dict[str, Any], says: str) -> None:
    """Events wait, but not without end."""
    with pytest.raises(DefinitionError) as caught:
        Pending(**changes)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("task", "label_type", "fits"),
    [
        ("binary", "int", True),
        ("binary", "string", False),
        ("multiclass", {"type": "enum", "name": "E", "symbols": ["X"]}, True),
        ("multiclass", "double", False),
        ("regression", ["null", "float"], True),
        ("regression", "boolean", False),
        ("anomaly", ["null", "long"], True),
        ("anomaly", "double", False),
    ],
)
def test_label_types(task: str, label_type: Any, fits: bool) -> None:
    """A task takes labels of the types that it can learn, null for one that is to come."""
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "y", "type": label_type}]}
    models = {
        "binary": linear_model.LogisticRegression,
        "multiclass": naive_bayes.GaussianNB,
        "regression": linear_model.LinearRegression,
        "anomaly": anomaly.GaussianScorer,
    }
    given = {"schema": schema, "label": "y", "task": task, "models": {"own": models[task]}}
    if fits:
        assert visits(**given).label == "y"
    else:
        with pytest.raises(DefinitionError, match="label 'y' requires one of the Avro types"):
            visits(**given)
