"""A definition as data: what decides how a pipeline behaves, and the identity of each part.

Whoever may run the author's code describes a pipeline; whoever may not compares descriptions
(`changes`). A model goes on with the parameters that it was made with, a window with its length,
and so on: each such part has an identity, and saved state is compared by them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias, cast

from millrace.models.features import Feature
from millrace.models.identity.description import identity_of, texts_in
from millrace.models.monitoring.detectors import Detector
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.parameters import require
from millrace.models.pipeline.default_metrics import default_metrics
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.metrics import MetricFactory
from millrace.models.pipeline.model import ModelFactory
from millrace.models.pipeline.on_change import MadeBy, as_candidate
from millrace.models.pipeline.record_parts import OF_ID
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import contained
from millrace.schemas import EventSchema

Description: TypeAlias = dict[str, Any]
"""A pipeline as JSON has it: each parameter of `Pipeline` by its name."""

DETECTORS = frozenset({"loss", "inputs", "predictions"})
"""Parameters of `DriftSettings` of which a description has identities, and no values."""

_KNOWN = "known_description"  # among a pipeline's attributes; a changed copy has it no more
_NEEDED_OF_EACH = {
    "models": frozenset({"name", "code", "version", "on_change"}),
    "features": frozenset({"name", "identity", "reads"}),
    "metrics": frozenset({"name", "identity"}),
}
_NEEDED = frozenset(
    {*_NEEDED_OF_EACH, "schema", "classes", "drift", "rolling_window", "name", "event_id", "key"}
    | {"event_time", "task", "label", "scope"}
)


def describe(pipeline: Pipeline) -> Description:
    """Return a pipeline as data for JSON: equal as long as the pipeline means the same.

    What is code is there by its identity, which is null where its source cannot be found. The
    schema is as it was written, earlier ones are fingerprints, time spans are text, and of
    `classes` there are all that can be.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> found = describe(pipeline)
    >>> found["name"], found["drift"]["policy"], [each["name"] for each in found["models"]]
    ('loans', 'replace', ['hoeffding_tree', 'logistic_regression', 'gaussian_naive_bayes'])
    """
    known: Description | None = vars(pipeline).get(_KNOWN)
    return _described(pipeline) if known is None else known


def know(pipeline: Pipeline, description: Mapping[str, Any]) -> Pipeline:
    """Return a pipeline, which `describe` describes so from now on.

    Code that has run may have changed what it refers to: a cache among the names of its module, for
    example. So a description is made where a definition is new, and goes with it.
    """
    vars(pipeline)[_KNOWN] = {**description, "name": pipeline.name}
    return pipeline


def _described(pipeline: Pipeline) -> Description:
    metrics = pipeline.metrics
    if metrics is None:
        metrics = default_metrics(Task(pipeline.task))
    code: Description = {
        "schema": pipeline.event_schema.as_written.schema,
        "earlier_schemas": [each.fingerprint for each in pipeline.event_schema.earlier],
        "classes": _data(pipeline.allowed_labels.classes),
        "models": [_model(name, each) for name, each in pipeline.models.items()],
        "features": [
            _feature(name, each, pipeline.event_schema)
            for each in pipeline.features
            for name in each.names
        ],
        "metrics": [_metric(name, each) for name, each in metrics.items()],
        "drift": _drift(pipeline.drift),
    }
    settings = [each.name for each in fields(pipeline) if each.name not in code]
    return code | {name: _data(getattr(pipeline, name)) for name in settings}


def read_description(data: object, source: str) -> Description:
    """Return what was read as a description, if it is one.

    Raises
    ------
    DefinitionError
        It is none, or lacks something.
    """
    must = "must be a description, as `millrace check FILE --describe` prints it"
    require(isinstance(data, dict), f"{source} {must}", data)
    found = cast(Description, data)
    missing = sorted(_NEEDED - found.keys())
    require(not missing, f"{source} {must}: it lacks {missing}", [*found])
    for kind, needed in _NEEDED_OF_EACH.items():
        is_listed = isinstance(found[kind], list) and all(
            isinstance(each, dict) and needed <= each.keys() for each in found[kind]
        )
        require(is_listed, f"{source} {must}: {kind} have {sorted(needed)}", found[kind])
    require(bool(found["models"]), f"{source} {must}: models are one or more", found["models"])
    detectors = found["drift"].get("detectors") if isinstance(found["drift"], dict) else None
    has_detectors = isinstance(detectors, list) and all(
        isinstance(each, dict) and {"name", "identity"} <= each.keys() for each in detectors
    )
    require(has_detectors, f"{source} {must}: drift has detectors", found["drift"])
    return found


def parts_of(description: Description) -> dict[str, str | None]:
    """Return the parts of which state keeps what it made, as one would write them: identities."""
    found = {
        place("models", each["name"]): _version(each) or each["code"]
        for each in description["models"]
    }
    for kind in ("features", "metrics"):
        found |= {place(kind, each["name"]): each["identity"] for each in description[kind]}
    return {
        **found,
        "rolling_window": identity_of(description["rolling_window"]),
        **{each["name"]: each["identity"] for each in description["drift"]["detectors"]},
    }


def made_by(pipeline: Pipeline) -> dict[str, MadeBy]:
    """Return each candidate's name, and what it is made by."""
    models = named(describe(pipeline)["models"])
    return {n: {"code": each["code"], "version": each["version"]} for n, each in models.items()}


def place(parameter: str, name: str) -> str:
    """Return a part as one would write it."""
    return f"{parameter}[{name!r}]"


def named(listed: Iterable[Description]) -> dict[str, Description]:
    """Return models, features or metrics of a description by name, in order."""
    return {each["name"]: each for each in listed}


def identities(pipeline: Pipeline) -> dict[str, str]:
    """Return the part's name, as one would write it, to its identity.

    A part has none where its source cannot be found, or the user's code raises.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> [name for name in identities(pipeline) if name.startswith("models")]
    ["models['hoeffding_tree']", "models['logistic_regression']", "models['gaussian_naive_bayes']"]
    """
    found = parts_of(describe(pipeline))
    return {name: identity for name, identity in found.items() if identity is not None}


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the parts that both have, and that are not the same."""
    return [name for name, each in now.items() if before.get(name, each) != each]


def _model(name: str, entry: ModelFactory) -> Description:
    given = as_candidate(entry)
    return {
        "name": name,
        "code": _identity(lambda: (given.factory, given.factory())),
        "version": given.version,
        "on_change": str(given.on_change),
    }


def _version(model: Description) -> str | None:
    return None if model["version"] is None else identity_of("version", model["version"])


def _feature(name: str, feature: Feature, schema: EventSchema) -> Description:
    texts = frozenset[str]()
    with contained():
        texts = texts_in(feature.alone(name).reads)
    in_maps = {each for each in texts.difference(schema.paths) if each in schema}
    return {
        "name": name,
        "identity": _identity(lambda: (feature.alone(name),)),
        "reads": [*filter(texts.__contains__, schema.paths), *sorted(in_maps)],
    }


def _metric(name: str, metric: MetricFactory) -> Description:
    return {"name": name, "identity": _identity(lambda: (metric, metric()))}


def detector_identity(detector: Detector) -> str | None:
    """Return the identity of a detector; None where its source cannot be found."""
    return _identity(lambda: (detector,))


def _drift(drift: DriftSettings) -> Description:
    detectors = [
        {"name": name, "identity": detector_identity(each)} for name, each in drift.detectors()
    ]
    settings = [each.name for each in fields(drift) if each.name not in DETECTORS]
    return {name: _data(getattr(drift, name)) for name in settings} | {"detectors": detectors}


def _identity(values: Callable[[], tuple[object, ...]]) -> str | None:
    with contained():
        return identity_of(*values())
    return None


def _data(value: Any) -> Any:
    """Return a setting as data for JSON."""
    if isinstance(value, StrEnum | timedelta):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        value = [*value.items()]
    if isinstance(value, list | tuple):
        return [*map(_data, value)]
    if is_dataclass(value):
        return _of_class(value)
    if callable(value):
        return {"code": _identity(lambda: (value,))}
    if value is not None and not isinstance(value, bool | int | float | str):
        must = "a setting must have a form as data"
        raise TypeError(f"{must}; got {type(value).__name__}")
    return value


def _of_class(value: Any) -> Any:
    if isinstance(value, OF_ID):  # which tell a thing by their class
        return repr(value)
    return {each.name: _data(getattr(value, each.name)) for each in fields(value)}
