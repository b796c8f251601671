"""Descriptions of a definition in which something was set, without the author's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.models.identity.definition import (
    DETECTORS,
    Description,
    detector_identity,
    named,
)
from millrace.models.monitoring.drift import input_place, placed
from millrace.models.pipeline.settings import INPUTS, Settings, applied, each_input


def described_with(description: Description, settings: Settings) -> Description:
    """Return what `describe` returns of a definition with some settings replaced.

    Raises
    ------
    DefinitionError
        There is no such setting or feature.

    Examples
    --------
    >>> from millrace.models.identity.definition import describe
    >>> from millrace.models.pipelines.loans import pipeline
    >>> described_with(describe(pipeline), {"drift.policy": "reset"})["drift"]["policy"]
    'reset'
    """
    if not settings:
        return description
    drift = applied(
        _drift(description),
        settings,
        [*named(description["features"])],
        lambda detector: (detector_identity(detector),),
    )
    return description | {"drift": _described(drift)}


def comparable(before: Description, now: Description) -> tuple[Description, Description]:
    """Return two descriptions, the detector of all inputs as one of each if the other has those.

    So monitors that go on are not taken for others that begin.
    """
    if _has_single(before) is _has_single(now):
        return before, now
    return _with_each_input(before), _with_each_input(now)


def is_same_with(description: Description, settings: Settings, others: Settings) -> bool:
    """Whether it makes no difference which of two are set.

    Raises
    ------
    DefinitionError
        See `described_with`.

    Examples
    --------
    >>> from millrace.models.identity.definition import describe
    >>> from millrace.models.pipelines.loans import pipeline
    >>> is_same_with(describe(pipeline), {}, {"drift.inputs.age": "adwin"})
    True
    """
    one, other = comparable(*(described_with(description, each) for each in (settings, others)))
    return _by_name(one) == _by_name(other)


def _by_name(description: Description) -> dict[str, Any]:
    drift: dict[str, Any] = description["drift"]
    return drift | {"detectors": {each["name"]: each["identity"] for each in drift["detectors"]}}


def _has_single(description: Description) -> bool | None:
    """Whether one detector watches all inputs; None where nothing does."""
    inputs = _drift(description)["inputs"]
    return None if inputs is None else not isinstance(inputs, Mapping)


def _with_each_input(description: Description) -> Description:
    drift = _drift(description)
    drift["inputs"] = each_input(drift["inputs"], [*named(description["features"])])
    return description | {"drift": _described(drift)}


def _drift(description: Description) -> dict[str, Any]:
    """Return what is described as `DriftSettings` has it, and a tuple in place of each detector."""
    drift = description["drift"]
    found = {each["name"]: (each["identity"],) for each in drift["detectors"]}
    places = {input_place(feature): feature for feature in named(description["features"])}
    of_inputs = {places[name]: each for name, each in found.items() if name in places}
    given = {name: value for name, value in drift.items() if name != "detectors"}
    return given | {
        "loss": found.get("drift.loss"),
        "predictions": found.get("drift.predictions"),
        "inputs": found.get(INPUTS, of_inputs or None),
    }


def _described(drift: Mapping[str, Any]) -> Description:
    detectors = placed(drift["loss"], drift["predictions"], drift["inputs"])
    given = {name: value for name, value in drift.items() if name not in DETECTORS}
    described = [{"name": name, "identity": identity} for name, (identity,) in detectors]
    return given | {"detectors": described}
