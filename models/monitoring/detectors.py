"""Drift detectors: those that a definition can name, and users' own.

To add a detector, add it to `DETECTORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from river import base, drift

from millrace.models.parameters import function, made, suggestion
from millrace.models.user_code import PASSED_ON, shown
from millrace.schemas import DefinitionError

Detector: TypeAlias = str | Callable[[], object]
"""One of `DETECTORS`, or a callable that returns a fresh `base.DriftDetector`."""

_FRESH = "a fresh river.base.DriftDetector"

DETECTORS: Mapping[str, Callable[[], base.DriftDetector]] = {
    "adwin": drift.ADWIN,
    # It tests at every value; with River's default alpha of 0.005, there is a false alarm in every
    # thousand values.
    "kswin": lambda: drift.KSWIN(alpha=1e-4, seed=1),
    "page_hinkley": drift.PageHinkley,
}
"""Name to a callable that returns a fresh detector."""


def make_detector(detector: Detector, parameter: str = "detector") -> base.DriftDetector:
    """Return a fresh River detector.

    Parameters
    ----------
    detector
        A name or a callable, as in the definition.
    parameter
        What the definition calls it, for the error.

    Raises
    ------
    DefinitionError
        Neither a name nor a callable that returns a detector; or a detector that draws random
        numbers without a seed, so that no replay could repeat it.

    Examples
    --------
    >>> make_detector("adwin").delta
    0.002
    """
    factory = DETECTORS.get(detector) if isinstance(detector, str) else detector
    if not callable(factory) or isinstance(factory, base.DriftDetector):
        raise _no_detector(parameter, detector)
    function(parameter, factory, arguments=0, returns=_FRESH)
    fresh = made(parameter, factory, returns=_FRESH)
    if not isinstance(fresh, base.DriftDetector):
        raise _no_detector(parameter, fresh)
    if getattr(fresh, "seed", 0) is None:
        raise DefinitionError(
            f"{parameter} must be a detector with a seed, for example"
            f" lambda: drift.{type(fresh).__name__}(seed=1); got seed=None"
        )
    if made(parameter, factory, returns=_FRESH) is fresh:
        raise DefinitionError(f"{parameter} must return {_FRESH} at every call; got one twice")
    return fresh


def update_until_drift(
    detector: base.DriftDetector, values: Iterable[float]
) -> tuple[bool, BaseException | None]:
    """Update a detector with values, up to the one at which it fires or raises an exception.

    River's ADWIN wraps an object that returns whether it fires, and takes half the time.

    Returns
    -------
    bool, BaseException or None
        Whether it has fired, and what it has raised.
    """
    try:
        if type(detector) is drift.ADWIN:
            return any(map(detector._helper.update, values)), None
        return any(_is_drift(detector, value) for value in values), None
    except PASSED_ON:
        raise
    except BaseException as error:  # a user's detector may raise anything
        return False, error


def next_check(detector: base.DriftDetector) -> int:
    """Return which of the next values, counted from 1, is the first at which it may fire.

    River's ADWIN looks for a change at every 32nd value only (`clock`).

    Examples
    --------
    >>> adwin = make_detector("adwin")
    >>> update_until_drift(adwin, [0.5] * 33)
    (False, None)
    >>> next_check(adwin)
    31
    """
    if type(detector) is not drift.ADWIN or detector._helper.get_n_detections():
        return 1
    seen = detector.width
    least = max(seen, detector.grace_period) + 1
    return int(least + -least % max(detector.clock, 1) - seen)


def _is_drift(detector: base.DriftDetector, value: float) -> bool:
    detector.update(value)
    return bool(detector.drift_detected)


def _no_detector(parameter: str, got: object) -> DefinitionError:
    choices = ", ".join(repr(each) for each in DETECTORS)
    return DefinitionError(
        f"{parameter} must be one of {choices}, or a callable that returns a"
        f" river.base.DriftDetector; got {shown(got)}{suggestion(got, DETECTORS)}"
    )
