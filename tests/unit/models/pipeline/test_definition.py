"""A definition is checked in full when it is made; an error names the parameter."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from river import anomaly, linear_model, naive_bayes

from millrace.models.features import derived, fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import OnError, Pending, Pipeline, Scope
from millrace.models.pipeline.tasks import Task
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
ENUM = {"type": "enum", "name": "E", "symbols": ["X"]}
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


def test_earlier_schemas(tmp_path: Path) -> None:
    """Earlier schemas are given as the schema is, and each is checked against it."""
    before = SCHEMA | {"fields": SCHEMA["fields"][:-1]}
    path = tmp_path / "visit.1.avsc"
    path.write_text(json.dumps(before))
    after = [*before["fields"], {"name": "country", "type": "string", "default": ""}]
    now = SCHEMA | {"fields": after}
    found = visits(schema=now, earlier_schemas=[path, before]).event_schema
    assert [each.as_written.schema for each in found.earlier] == [before, before]
    for given, message in (
        (path, r"earlier_schemas must be a list of schemas; got"),
        ([3], r"earlier_schemas\[0\] must be the path of an \.avsc file, or Avro's JSON as a"),
        ([path, {}], r"earlier_schemas\[1\]: schema must be an Avro record"),
        ([SCHEMA | {"fields": SCHEMA["fields"][:2]}], r"earlier_schemas\[0\] must .* field 'age'"),
    ):
        with pytest.raises(DefinitionError, match=f"^{message}"):
            visits(schema=now, earlier_schemas=given)


def test_frozen_and_renamed() -> None:
    """A pipeline does not change; under another name it is another one, the same otherwise."""
    pipeline = visits()
    with pytest.raises(DefinitionError, match=r"^Pipeline\(\): too many .*; give them by name$"):
        Pipeline("visits")  # type: ignore[call-arg, misc]
    with pytest.raises(FrozenInstanceError):
        pipeline.pending.limit = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        pipeline.name = "x"  # type: ignore[misc]
    renamed = pipeline.with_name("other")
    assert (renamed.name, pipeline.name) == ("other", "visits")
    assert (renamed.models, renamed.features) == (pipeline.models, pipeline.features)


def test_anomaly_without_labels_learns_at_once() -> None:
    """Only an anomaly detector learns from an event alone."""
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Visits"}, "name must consist of lower-case letters"),
        ({"name": ""}, "name must consist"),
        ({"name": "-a"}, "name must consist"),
        (
            {"name": "a.b"},
            "name must consist of lower-case letters, digits, '-' and '_', and begin with a letter"
            " or a digit; got 'a.b'",
        ),
        ({"name": 5}, "name must consist"),
        (
            {"task": "ranking"},
            "task must be one of 'binary', 'multiclass', 'regression', 'anomaly'",
        ),
        ({"scope": "user"}, "scope must be one of 'global', 'partition', 'key'; got 'user'"),
        ({"on_error": "ignore"}, "on_error must be one of 'reject', 'stop'; got 'ignore'"),
        (
            {"on_invalid_prediction": "stop"},
            "on_invalid_prediction must be one of 'alert', 'reset', 'replace'; got 'stop'",
        ),
        *(
            (
                {"largest_feature": each},
                "largest_feature must be a finite number above 0, or None; got",
            )
            for each in (0, -1.0, "1e6", True, float("nan"), float("inf"))
        ),
        ({"event_id": "no"}, "event_id must be a field of the schema, one of ('id', 'user'"),
        ({"event_id": None}, "event_id must be a field of the schema"),
        (
            {"event_id": "price"},
            "event_id 'price' must be of the Avro types ['int', 'long', 'string'];"
            " got ['null', 'double']",
        ),
        ({"event_id": "user"}, "event_id 'user' must be"),
        ({"label": "no"}, "label must be a field of the schema"),
        ({"label": "country"}, "label 'country' must be of the Avro types"),
        ({"label": "price"}, "label 'price' must be"),
        ({"key": "no"}, "key must be a field of the schema"),
        ({"key": "tags"}, "key 'tags' must be of the Avro types"),
        ({"key": "price"}, "key 'price' must be"),
        ({"event_time": "no"}, "event_time must be a field"),
        ({"event_time": "age"}, "event_time 'age' must be of the Avro types ['long', 'string']"),
        ({"event_time": "user"}, "event_time 'user' must be"),
        ({"scope": "key", "key": None}, "key must be a field of the schema where scope is 'key'"),
        ({"allow_non_finite": ["price", "no"]}, "allow_non_finite must be a field of the schema"),
        ({"models": {}}, "models must be a dictionary of names and callables, one or more"),
        ({"models": {"Tree": linear_model.LogisticRegression}}, "models must have names that"),
        ({"models": {"prior": linear_model.LogisticRegression}}, "models must have names that"),
        (
            {"models": {"no_change": linear_model.LogisticRegression}},
            "models must have names that consist of lower-case letters, digits, '-' and '_', and"
            " begin with a letter or a digit, not ['no_change', 'prior']; got 'no_change'",
        ),
        (
            {"models": {"own": linear_model.LogisticRegression()}},
            "models['own'] must be a callable that returns a fresh model, for example lambda: ",
        ),
        ({"models": {"own": "tree"}}, "models['own'] must be a callable"),
        (
            {"models": {"own": linear_model.LinearRegression}},
            "models['own'] must be a river.base.Classifier",
        ),
        ({"features": [fields("no")]}, "fields(): name must be a field of the schema"),
        ({"features": [fields("tags")]}, "fields(): name must be a field of numbers"),
        (
            {"features": [fields("age"), fields("age")]},
            "features must have each name once; got 'age'",
        ),
        ({"features": [derived("bought", len)]}, "features must have names other than the label's"),
        ({"features": [fields("bought")]}, "fields(): name must not be the label, which is not"),
        (
            {"schema": WITHOUT_FEATURES},
            "schema must have a field to predict from, beside id, key, event time and label;"
            " got ['id', 'user', 'at', 'bought']",
        ),
        ({"schema": {**SCHEMA, "name": "Label"}}, "the schema's name must not be 'Label'"),
        ({"schema": "no.avsc"}, "schema must be"),
        ({"rolling_window": 0}, "rolling_window must be a whole number of 1 or more; got 0"),
        ({"max_models": 0}, "max_models must be a whole number of 1 or more; got 0"),
        (
            {"earliest": datetime(2020, 1, 1)},  # noqa: DTZ001, RUF100 - that is the error
            "earliest must be a datetime with a time zone, for example datetime(2020, 1, 1, ",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_errors(changes: dict[str, Any], message: str) -> None:
    """The message names the parameter, what it must be and what was given."""
    with pytest.raises(DefinitionError) as caught:
        visits(**changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", ["string", "int", "long", "boolean", ["null", "string"], ENUM])
def test_types_of_keys(kind: Any) -> None:
    """A key may be text, an integer, a boolean, a symbol, or missing."""
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "k", "type": kind}]}
    assert visits(schema=schema, key="k", scope="key").key == "k"


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("event_id", "string"),
        ("event_id", "int"),
        ("event_id", "long"),
        ("event_time", "string"),
        ("event_time", "long"),
    ],
)
def test_types_of_ids_and_times(role: str, kind: str) -> None:
    """An id is text or an integer, a time is text or milliseconds."""
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "r", "type": kind}]}
    assert getattr(visits(schema=schema, **{role: "r"}), role) == "r"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "9_a-b"},
        {"rolling_window": 1, "max_models": 1},
        {"event_id": "age"},
        {"key": "bought", "label": None, "scope": "key"},
        {"event_time": "country"},
        {"label": None, "scope": "partition"},
        {"allow_non_finite": ["price"]},
        {"on_error": "stop"},
        {"on_invalid_prediction": "alert", "largest_feature": 1e-9},
        {"pending": Pending(limit=1, ttl=timedelta(microseconds=1))},
    ],
)
def test_definitions_at_the_limits_are_accepted(changes: dict[str, Any]) -> None:
    """What is just allowed is allowed, and kept as it was given."""
    pipeline = visits(**changes)
    assert {name: getattr(pipeline, name) for name in changes} == changes


def test_limits_by_default() -> None:
    """The defaults that the documentation names."""
    pipeline = visits()
    assert (pipeline.max_models, pipeline.rolling_window) == (10_000, 1_000)
    assert (pipeline.earliest, pipeline.max_ahead) == (
        datetime(1971, 1, 1, tzinfo=UTC),
        timedelta(days=1),
    )
    assert pipeline.max_id_bytes == 1_024
    assert pipeline.pending == Pending(limit=100_000, ttl=timedelta(days=7))
    assert (pipeline.on_error, pipeline.allow_non_finite) == (OnError.REJECT, ())
    assert (pipeline.on_invalid_prediction, pipeline.largest_feature) == ("reset", None)
    assert pipeline.metrics is None
    assert pipeline.drift == DriftSettings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 0}, "pending.limit must be a whole number of 1 or more; got 0"),
        (
            {"ttl": timedelta(0)},
            "pending.ttl must be a timedelta of 0:00:00.000001 or more, for example"
            " timedelta(hours=1); got datetime.timedelta(0)",
        ),
    ],
)
def test_pending_is_bounded(changes: dict[str, Any], message: str) -> None:
    """Events wait, but not without end; the limits are given by name."""
    with pytest.raises(DefinitionError, match="give them by name"):
        Pending(1)  # type: ignore[misc]
    with pytest.raises(DefinitionError) as caught:
        Pending(**changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("task", "label_type", "fits"),
    [
        ("binary", "int", True),
        ("binary", "string", False),
        ("multiclass", ENUM, True),
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
        with pytest.raises(DefinitionError, match="label 'y' must be of the Avro types"):
            visits(**given)
