"""Whatever a parameter is given, it is taken or refused by its name, in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from river import drift, linear_model, metrics, preprocessing, tree

from millrace.models.candidates import catalogue
from millrace.models.certainty.conformal import Conformal
from millrace.models.features import Feature, calendar, derived, fields, rolling
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.parameters import suggestion
from millrace.models.pipeline.definition import LONGEST_NAME, Pending, Pipeline
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.sources import LabelSource
from millrace.models.selection.promotion import Promotion
from millrace.models.user_code import shown
from millrace.schemas import DefinitionError

HOUR = timedelta(hours=1)
SCHEMA = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "amount", "type": "double"},
        {"name": "town", "type": "string"},
        {"name": "bought", "type": "boolean"},
    ],
}
SHARED = linear_model.LogisticRegression()
SCALER = preprocessing.StandardScaler()
F1 = metrics.F1()


class Unprintable:
    """Raises when it is shown, compared or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("no")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no")


async def waits(*_: object) -> object:
    return SHARED


async def yields(*_: object) -> Any:
    yield SHARED


class Awaited:
    async def __call__(self, *_: object) -> object:
        return SHARED


def ends() -> object:
    raise SystemExit(3)


ODD = [
    *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**30, ..., NotImplemented),
    *("", "x", "a\nb", "\ud800", "500", "2020-01-01", b"a", "a" * 10_000),
    *([], ["a"], [[]], (), {}, {"a": 1}, set(), {"a"}, range(3), iter("ab")),
    *(HOUR, -HOUR, timedelta.max, date(2020, 1, 1)),
    *(datetime(2020, 1, 1), object(), Unprintable()),
    *(int, len, waits, yields, Awaited(), lambda: 1, lambda a, b: a, functools.partial(waits)),
]


def visits(**changes: Any) -> Pipeline:
    given: dict[str, Any] = {
        "name": "visits",
        "schema": SCHEMA,
        "event_id": "id",
        "label": "bought",
        "task": "binary",
        "models": {"linear": linear_model.LogisticRegression},
        "features": [fields("amount")],
    }
    return Pipeline(**(given | changes))


def refusal(make: Callable[[], object]) -> str:
    """Return the line by which a definition is refused; empty if it is taken."""
    try:
        make()
    except DefinitionError as error:
        line = str(error)
        assert "\n" not in line
        assert len(line) < 700
        return line
    return ""


MULTICLASS = {"task": "multiclass", "models": {"tree": tree.HoeffdingTreeClassifier}}
GIVEN: dict[str, Callable[[Any], object]] = {
    **{each.name: lambda v, n=each.name: visits(**{n: v}) for each in dataclass_fields(Pipeline)},
    **{
        f"drift.{each.name}": lambda v, n=each.name: DriftSettings(**{n: v})
        for each in dataclass_fields(DriftSettings)
    },
    **{
        f"promotion.{each.name}": lambda v, n=each.name: Promotion(**{n: v})
        for each in dataclass_fields(Promotion)
    },
    **{
        f"certainty.{each.name}": lambda v, n=each.name: Conformal(**{n: v})
        for each in dataclass_fields(Conformal)
    },
    "promotion.metric": lambda v: visits(promotion=Promotion(metric=v)),
    "promotion.group": lambda v: visits(promotion=Promotion(group=v)),
    "pending.limit": lambda v: Pending(limit=v),
    "pending.ttl": lambda v: Pending(ttl=v),
    "label_conflicts.within": lambda v: LabelConflicts(within=v),
    "label_conflicts.keep": lambda v: LabelConflicts(within=HOUR, keep=v),
    "priority": lambda v: LabelSource("t", event_id="id", label="y", priority=v),
    "models['m']": lambda v: visits(models={"m": v}),
    "metrics['m']": lambda v: visits(metrics={"m": v}),
    "classes": lambda v: visits(**MULTICLASS, label=None, classes=v),
    "features[0]": lambda v: visits(features=[v]),
    "drift.inputs['amount']": lambda v: DriftSettings(inputs={"amount": v}),
    "fields()": lambda v: visits(features=[fields(v)]),
    "rolling(": lambda v: visits(features=[rolling(v, "sum", window=HOUR)]),
    "aggregates": lambda v: rolling("amount", v, window=HOUR),
    "window": lambda v: rolling("amount", "sum", window=v),
    "max_events": lambda v: rolling("amount", "sum", window=HOUR, max_events=v),
    "by": lambda v: visits(features=[rolling("amount", "sum", window=HOUR, by=v)]),
    "rolling('amount')": lambda v: rolling("amount", "sum", window=HOUR, name=v),
    "derived(): name": lambda v: derived(v, len),
    "derived('d')": lambda v: derived("d", v),
    "calendar(): parts": calendar,
    "calendar(): timezone": lambda v: calendar("hour", timezone=v),
    "model": lambda v: catalogue.factory(v, "binary"),
    "task must be": lambda v: catalogue.factory("hoeffding_tree", v),
    "numeric": lambda v: catalogue.factory("hoeffding_tree", "binary", v),
}
TAKEN = {
    "name": {"'x'", "'500'", "'2020-01-01'"},
    "drift.cooldown": {"0"},
    "promotion.margin": {"0"},
    "reasons": {"0"},
    "promotion.probation": {"0"},
    "promotion.wait": {"datetime.timedelta(seconds=3600)"},
    "earlier_schemas": {"[]", "()"},
    "largest_feature": {"1.5", "1000000000000000000000000000000"},
    "features": {"[]", "()"},
    "allow_non_finite": {"[]", "()"},
    "carry_headers": {"[]", "()", "['a']"},
    "numbers_as_text": {"[]", "()"},
    "events": {"[]", "()"},
    "labels": {"[]", "()"},
    "ignore_tombstones": {"True"},
    "certainty.by_key": {"True"},
    "certainty.abstain": {"True"},
    "metrics": {"{}"},
    "drift.inputs": {"{}"},
    "max_ahead": {"datetime.timedelta(seconds=3600)"},
    "pending.ttl": {"datetime.timedelta(seconds=3600)"},
    "label_conflicts.within": {"datetime.timedelta(seconds=3600)"},
    "priority": {"0"},
    "window": {"datetime.timedelta(seconds=3600)"},
    "rolling('amount')": {"'x'", "'500'", "'2020-01-01'"},
    "derived(): name": {"'x'", "'500'", "'2020-01-01'"},
    "derived('d')": {"<class 'int'>", "<built-in function len>"},
    "numeric": {"True"},
}
OPTIONAL = {
    "largest_feature",
    "label",
    "label_default",
    "label_conflicts",
    "promotion",
    "certainty",
    "promotion.metric",
    "promotion.group",
    "promotion.wait",
    "key",
    "event_time",
    "metrics",
    "drift.loss",
    "drift.inputs",
} | {*("drift.predictions", "by", "rolling('amount')", "drift.inputs['amount']")}


@pytest.mark.parametrize("parameter", GIVEN)
def test_every_parameter_refuses_what_it_cannot_be(parameter: str) -> None:
    """Of forty odd values, only those that mean something are taken."""
    taken = {shown(each) for each in ODD if not refusal(lambda each=each: GIVEN[parameter](each))}
    none = {"None"} if parameter in OPTIONAL else set()
    assert taken == TAKEN.get(parameter, set()) | none
    for each in ODD:
        line = refusal(lambda each=each: GIVEN[parameter](each))
        assert not line or parameter.partition(".")[0] in line or parameter in line


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: visits(rolling_windw=5),
            "Pipeline() has no parameter 'rolling_windw'. Did you me",
        ),
        (lambda: visits(champion="tree"), "Pipeline() has no parameter 'champion'. Its parameters"),
        (lambda: DriftSettings(polcy="reset"), "DriftSettings() has no parameter 'polcy'. Did you"),
        (lambda: Pending(limt=1), "Pending() has no parameter 'limt'. Did you mean 'limit'?"),
        (lambda: rolling("a", "sum", windw=HOUR), "rolling() has no parameter 'windw'. Did you me"),
        (lambda: rolling("a", "sum"), "rolling(): missing a required argument: 'window'. Its para"),
        (lambda: calendar("hour", zone="UTC"), "calendar() has no parameter 'zone'. Did you mean"),
        (
            lambda: derived("d"),
            "derived(): missing a required argument: 'function'. Its parameters",
        ),
        (lambda: fields(names=["a"]), "fields() has no parameter"),
        (lambda: Pipeline(name="a"), "Pipeline(): missing a required argument: 'schema'. Its para"),
        (
            lambda: catalogue.factory("knn", "binary", numerc=True),
            "factory() has no parameter 'num",
        ),
        (lambda: catalogue.factory("hoefding_tree", "binary"), "for the task 'binary', model must"),
        (
            lambda: catalogue.knn(numerc=False),
            "knn() has no parameter 'numerc'. Did you mean 'nume",
        ),
        (
            lambda: catalogue.knn("x"),
            "knn(): too many positional arguments. Its parameters are num",
        ),
        (
            lambda: catalogue.hoeffding_tree(1),
            "hoeffding_tree(): too many positional arguments. It",
        ),
        (lambda: catalogue.knn(numeric="no"), "knn(): numeric must be True or False; got 'no'"),
        (lambda: visits(task="bynary"), "task must be one of 'binary', 'multiclass', 'regression'"),
        (lambda: visits(label="bougt"), "label must be a field of the schema, one of ('id', 'amou"),
    ],
)
def test_a_misspelt_or_missing_parameter_is_named(make: Callable[[], object], line: str) -> None:
    """The message says which, and what was perhaps meant."""
    assert refusal(make).startswith(line)


def test_what_was_meant_is_suggested() -> None:
    """Only where it is close."""
    assert refusal(lambda: visits(label="bougt")).endswith("got 'bougt'. Did you mean 'bought'?")
    assert refusal(lambda: visits(task="bynary")).endswith("Did you mean 'binary'?")
    assert suggestion("price", ["bought"]) == suggestion(7, ["7"]) == ""


@pytest.mark.parametrize(
    ("factory", "line"),
    [
        (
            lambda: SHARED,
            "models['m'] must be a callable that returns a fresh model at every call;",
        ),
        (lambda: SCALER | linear_model.LogisticRegression(), "models['m'] must be a callable that"),
        (SHARED, "models['m'] must be a callable that returns a fresh model, for example lambda:"),
        (waits, "models['m'] must be a callable that returns a fresh River model, not `async`"),
        (yields, "models['m'] must be a callable that returns a fresh River model, not `async`"),
        (Awaited(), "models['m'] must be a callable that returns a fresh River model, not `async`"),
        (lambda l2: SHARED, "models['m'] must take no argument; got "),
        (ends, "models['m'] must be a callable that returns a fresh River model; got SystemExit"),
        (
            lambda: 1 / 0,
            "models['m'] must be a callable that returns a fresh River model; got Zero",
        ),
        (
            lambda: None,
            "models['m'] must be a river.base.Classifier for the task 'binary'; got None",
        ),
        (lambda: tree.HoeffdingTreeClassifier, "models['m'] must be a river.base.Classifier for"),
        (preprocessing.StandardScaler, "models['m'] must be a river.base.Classifier for the task"),
    ],
)
def test_a_factory_returns_a_fresh_model_of_the_task(factory: Any, line: str) -> None:
    """What returns one object twice, or none, or waits, is refused before the first event."""
    assert refusal(lambda: visits(models={"m": factory})).startswith(line)


def test_two_candidates_share_no_part() -> None:
    """A scaler in two pipelines would learn each event twice."""
    models = {
        "one": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        "two": lambda: SCALER | tree.HoeffdingTreeClassifier(),
    }
    assert "the same .steps['StandardScaler'] in two of its models" in refusal(
        lambda: visits(models=models)
    )
    parts = iter([SCALER, SCALER, *(preprocessing.StandardScaler() for _ in range(2))])
    one = functools.partial(lambda: next(parts) | linear_model.LogisticRegression())
    assert "Make every part inside the callable" in refusal(lambda: visits(models={"one": one}))


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        (
            metrics.Accuracy(),
            "metrics['m'] must be a callable that returns a fresh metric, for exam",
        ),
        (
            metrics.MAE,
            "metrics['m'] must be a River ClassificationMetric for the task 'binary'; got",
        ),
        (
            metrics.Silhouette,
            "metrics['m'] must be a River ClassificationMetric for the task 'binar",
        ),
        (
            metrics.ClassificationReport,
            "metrics['m'] must measure predictions of the task 'binary'",
        ),
        (
            metrics.ConfusionMatrix,
            "metrics['m'] must measure predictions of the task 'binary' by on",
        ),
        (
            metrics.FBeta,
            "metrics['m'] must take no argument; got <class 'river.metrics.fbeta.FBeta'",
        ),
        (
            lambda: F1,
            "metrics['m'] must be a callable that returns a fresh metric, fo",
        ),
        (waits, "metrics['m'] must be a callable that returns a fresh River metric, not `async`"),
        (
            lambda: 1 / 0,
            "metrics['m'] must be a callable that returns a fresh River metric; got Zer",
        ),
    ],
)
def test_a_wrong_metric_is_found_in_the_definition(metric: Any, line: str) -> None:
    """And not at the first label."""
    assert refusal(lambda: visits(metrics={"m": metric})).startswith(line)


@pytest.mark.parametrize("metric", [metrics.F1, metrics.LogLoss, metrics.Precision])
def test_a_metric_of_two_classes_does_not_measure_many(metric: Any) -> None:
    """Unless it is told which class is the positive one."""
    wrong = refusal(lambda: visits(**MULTICLASS, label="town", metrics={"m": metric}))
    assert wrong.startswith(
        "metrics['m'] must be a metric of many classes for the task 'multiclass'"
    )


def test_a_metric_of_one_class_against_the_rest() -> None:
    """`pos_val` is a class of the type that the labels have."""
    told = {"m": lambda: metrics.F1(pos_val="Bern")}
    assert not refusal(lambda: visits(**MULTICLASS, label="town", metrics=told))
    told = {"m": lambda: metrics.F1(pos_val=1)}
    assert refusal(lambda: visits(**MULTICLASS, label="town", metrics=told))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"features": [rolling("bought", "sum", window=HOUR)]},
            "rolling('bought'): field must not",
        ),
        (
            {"features": [rolling("amount", "sum", window=HOUR, by="bought")]},
            "rolling('amount'): by must not be the label, which is not known when an event",
        ),
        ({"features": fields("amount")}, "features must be a list of features, for example [field"),
        ({"features": ["amount"]}, "features[0] must be a feature, for example fields('age') or"),
        ({"features": [Feature]}, "features[0] must be a feature, for example fields('age')"),
        ({"features": [fields("amount"), derived("amount", len)]}, "features must have each name"),
        (
            {"label": "id"},
            "label must be another field than event_id, key and event_time; got 'id'",
        ),
        (
            {"name": "a" * 245},
            "name must have up to 150 letters, so that Kafka takes its topics' na",
        ),
        (
            {"drift": "replace"},
            "drift must be DriftSettings(...), for example DriftSettings(policy=",
        ),
        (
            {"drift": DriftSettings(inputs={"amuont": "adwin"})},
            "drift.inputs must be of the features",
        ),
        ({"pending": 1000}, "pending must be Pending(limit=..., ttl=...); got 1000"),
        ({"models": [SHARED]}, "models must be a dictionary of names and callables, one or more"),
        (
            {"models": {"a" * 151: tree.HoeffdingTreeClassifier}},
            "models must have names of up to 150",
        ),
        (
            {"max_ahead": timedelta.max},
            "max_ahead must be 365,000 days or less; got datetime.timedel",
        ),
        ({"models": None}, "models must be a dictionary of names and callables, one or more, for"),
        (
            {"rolling_window": "500"},
            "rolling_window must be a whole number of 1 or more; got '500'",
        ),
        (
            {"earliest": "2020-01-01"},
            "earliest must be a datetime with a time zone, for example dat",
        ),
        ({"max_ahead": 3600}, "max_ahead must be a timedelta of 0:00:00 or more, for example"),
        ({"key": "id", "label": None, "max_classes": 1}, "max_classes must be a whole number of 2"),
    ],
)
def test_what_would_fail_later_is_refused(changes: dict[str, Any], line: str) -> None:
    """The message names the parameter, what it must be, and what was given."""
    assert refusal(lambda: visits(**changes)).startswith(line)


def test_the_longest_name_is_taken() -> None:
    """And not one letter more."""
    assert visits(name="a" * LONGEST_NAME).name == "a" * LONGEST_NAME
    assert refusal(lambda: visits(name="a" * (LONGEST_NAME + 1)))


def test_a_definition_does_not_change_with_what_it_was_made_of() -> None:
    """Dictionaries and lists are copied."""
    models: dict[str, Any] = {"linear": linear_model.LogisticRegression}
    features = [fields("amount")]
    pipeline = visits(models=models, features=features)
    models.clear()
    features.clear()
    assert [*pipeline.models] == ["linear"]
    assert len(pipeline.features) == 1


class Failing(Feature):
    names = ("own",)

    def check(self, schema: object) -> None:
        raise KeyError("no")

    def bind(self, stores: object) -> Any:
        raise NotImplementedError


def test_a_users_own_feature_may_raise_anything() -> None:
    """It is named by its place, as are names that are no list of names."""
    assert refusal(lambda: visits(features=[Failing()])) == (
        "features[0] could not be checked; got KeyError('no')"
    )
    named = type("Named", (Failing,), {"names": "own", "check": lambda *_: None})
    assert refusal(lambda: visits(features=[named()])) == (
        "features[0].names must be a list of names; got 'own'"
    )


def node(name: str, *inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    simple = [{"name": "id", "type": "string"}, {"name": "amount", "type": "double"}]
    return {"type": "record", "name": name, **more, "fields": [*simple, *inner]}


@pytest.mark.parametrize(
    "schema",
    [
        node("Event", {"name": "n", "type": node("EventFields")}),
        node("V", {"name": "n", "type": node("Event", namespace="millrace")}),
        node("V", {"name": "n", "type": "V"}),
        node("V", {"name": "n", "type": []}),
        node("V", {"name": "n", "type": {"type": "array"}}),
        functools.reduce(
            lambda inner, _: {"type": "array", "items": inner}, range(2_000), {"type": "int"}
        ),
    ],
    ids=["EventFields", "millrace.Event", "endless", "no type", "no items", "deep"],
)
def test_a_schema_that_topics_cannot_carry_is_refused(schema: dict[str, Any]) -> None:
    """A clash with Millrace's own types, or what Avro does not know, is found in the definition."""
    if schema["type"] == "array":
        schema = node("V", {"name": "n", "type": schema})
    assert refusal(lambda: visits(schema=schema, label=None)).startswith("schema ")


@pytest.mark.parametrize("name", ["Event", "EventFields", "Fields", "FeatureVector", "Reject"])
def test_an_event_may_be_called_as_a_record_of_millrace(name: str) -> None:
    """Such a name stands for the user's record, in a namespace of its own."""
    schema = visits(schema=node(name), label=None).event_schema
    event = {"event_id": "1", "key": None, "event_time_ms": 0, "label": None}
    event["fields"] = {"id": "1", "amount": 2.5}
    assert schema.clean_codec.decode(schema.clean_codec.encode("Event", event)) == ("Event", event)


def test_a_schema_that_contains_itself_is_refused() -> None:
    """It would crash the Avro library, which is written in C."""
    loop: dict[str, Any] = {"type": "array"}
    loop["items"] = loop
    schema = node("V", {"name": "n", "type": loop})
    assert refusal(lambda: visits(schema=schema, label=None)).startswith("schema must be Avro as")


def test_earliest_has_a_zone() -> None:
    """Any zone will do."""
    assert visits(earliest=datetime(2020, 1, 1, tzinfo=UTC)).earliest.year == 2020


def test_a_detector_is_made_anew() -> None:
    """A callable that needs an argument, waits or raises is refused by the parameter's name."""
    for wrong in (waits, lambda a: drift.ADWIN(), ends):
        assert refusal(lambda wrong=wrong: DriftSettings(loss=wrong)).startswith("drift.loss must")
