"""Settings of a definition that may be set while it runs: each by a name, its value as text.

They are those of `DriftSettings`, named as in error messages: `drift.policy`. A detector is one of
those that have names; `drift.inputs.<feature>` is the detector of one feature alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from millrace.models.monitoring.drift import DriftSettings
from millrace.models.parameters import one_of
from millrace.models.user_code import shown

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline

Settings: TypeAlias = Mapping[str, str]
"""Name of a setting to its value, as it was set."""

T = TypeVar("T")

NONE = "none"
"""The value of a detector where nothing is watched."""

INPUTS = "drift.inputs"
OF_INPUT = f"{INPUTS}."
"""What the name of a setting begins with that is the detector of one feature."""

_DRIFT = "drift."
_MOST_DIGITS = 18


def parsed(name: str, value: str) -> Any:
    """Return the value that the text of a setting stands for, as `DriftSettings` takes it.

    Raises
    ------
    DefinitionError
        There is no such setting, or it may not have that value; the error lists what may be.

    Examples
    --------
    >>> parsed("drift.cooldown", "0500"), parsed("drift.loss", "none")
    (500, None)
    >>> parsed("drift.policy", "resett")
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: drift.policy must be one of 'alert', 'reset',
    'replace'; got 'resett'. Did you mean 'reset'?
    """
    whole = _whole(name)
    one_of(f"name must be one of {', '.join(NAMES)}", whole, _READ)
    found = _READ[whole](name, value)
    DriftSettings(**{whole.removeprefix(_DRIFT): found})
    return found


def canonical(name: str, value: str) -> str:
    """Return the text of a setting in its one form.

    Raises
    ------
    DefinitionError
        See `parsed`.

    Examples
    --------
    >>> canonical("drift.cooldown", "0500")
    '500'
    """
    return _text(parsed(name, value))


def text_of(pipeline: Pipeline, name: str) -> str:
    """Return the value of a setting in a definition as text, for people.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> text_of(pipeline, "drift.policy"), text_of(pipeline, "drift.inputs.age")
    ('replace', 'adwin')
    """
    if name.startswith(OF_INPUT):
        return _text(pipeline.drift.detector_of(f"input:{name.removeprefix(OF_INPUT)}"))
    value = getattr(pipeline.drift, name.removeprefix(_DRIFT))
    if isinstance(value, Mapping):
        return ", ".join(f"{feature}: {_text(each)}" for feature, each in value.items()) or NONE
    return _text(value)


def with_settings(pipeline: Pipeline, settings: Settings) -> Pipeline:
    """Return a definition with some settings replaced.

    Raises
    ------
    DefinitionError
        It has no such setting or feature.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> with_settings(pipeline, {"drift.policy": "reset"}).drift.policy
    <DriftPolicy.RESET: 'reset'>
    """
    features = [name for each in pipeline.features for name in each.names]
    given = applied({"inputs": pipeline.drift.inputs}, settings, features)
    return replace(pipeline, drift=replace(pipeline.drift, **given))


def applied(
    drift: Mapping[str, Any],
    settings: Settings,
    features: Collection[str],
    detector: Callable[[str], object] = lambda each: each,
) -> dict[str, Any]:
    """Return fields of `DriftSettings` with some replaced.

    Parameters
    ----------
    drift
        At least `inputs`.
    settings
        What replaces them.
    features
        All that there are.
    detector
        Returns what stands for the detector of a name.

    Raises
    ------
    DefinitionError
        There is no such setting or feature.
    """
    given = {**drift}
    for name, value in sorted(settings.items()):
        field, found = name.removeprefix(_DRIFT), parsed(name, value)
        if _READ[_whole(name)] is _detector and found is not None:
            found = detector(found)
        if name.startswith(OF_INPUT):
            feature = name.removeprefix(OF_INPUT)
            one_of(f"{INPUTS} must be of the features {shown([*features])}", feature, features)
            given["inputs"] = {**each_input(given["inputs"], features), feature: found}
        else:
            given[field] = found
    return given


def each_input(inputs: Mapping[str, T] | T | None, features: Collection[str]) -> dict[str, T]:
    """Return the detector of each feature that is watched.

    Examples
    --------
    >>> each_input("adwin", ["a", "b"]), each_input({"a": "adwin"}, ["a", "b"])
    ({'a': 'adwin', 'b': 'adwin'}, {'a': 'adwin'})
    """
    if isinstance(inputs, Mapping):
        return {**inputs}
    return {} if inputs is None else dict.fromkeys(features, inputs)


def _whole(name: str) -> str:
    """Return the setting that a name is of, which may be that of one feature."""
    return INPUTS if name.startswith(OF_INPUT) else name


def _number(_name: str, value: str) -> object:
    return int(value) if value.isdecimal() and len(value) <= _MOST_DIGITS else value


def _detector(name: str, value: str) -> object:
    from millrace.models.monitoring.detectors import DETECTORS  # noqa: PLC0415 - River: 1 s

    known = [*DETECTORS, NONE]
    one_of(f"{name} must be one of {', '.join(map(repr, known))}", value, known)
    return None if value == NONE else value


def _text(value: object) -> str:
    """Return a value as text that is the same in every process."""
    if value is None:
        return NONE
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return str(value)


_READ: Mapping[str, Callable[[str, str], Any]] = {
    "drift.policy": lambda _, value: value,
    "drift.cooldown": _number,
    "drift.replacement_after": _number,
    "drift.loss": _detector,
    INPUTS: _detector,
    "drift.predictions": _detector,
}

NAMES = (*_READ, f"{OF_INPUT}<feature>")
"""The names that there are, for people."""
