"""Drift: which streams of numbers are watched, by what detector, and what happens at a drift.

The learning operator watches the loss of the champion, where a policy can react within the
fold; the drift operator watches inputs and predictions, which need no label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from river import base, drift

from millrace.schemas import DefinitionError

Detector: TypeAlias = str | Callable[[], Any]
"""`adwin`, `kswin`, `page_hinkley`, or a callable that returns a fresh `base.DriftDetector`."""

_DETECTORS: Mapping[str, Callable[[], Any]] = {
    "adwin": drift.ADWIN,
    # it tests at every value: River's default alpha, 0.005, is a false alarm in 1,000 values
    "kswin": lambda: drift.KSWIN(alpha=1e-4, seed=1),
    "page_hinkley": drift.PageHinkley,
}


class DriftPolicy(StrEnum):
    """What the learning operator does when the loss drifts, beside the alert.

    Examples
    --------
    >>> DriftPolicy("reset")
    <DriftPolicy.RESET: 'reset'>
    """

    ALERT = "alert"
    """Nothing more."""
    RESET = "reset"
    """Put an untrained model in the drifted one's place."""
    REPLACE = "replace"
    """Train a replacement in the background, and swap it in once it does better."""


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """What is watched for drift, and what happens then.

    A detector is `adwin` (Bifet and Gavalda 2007; a fraction of a microsecond per value),
    `kswin` (Raab et al. 2020; sees changes of shape too, at some hundred times the cost),
    `page_hinkley` (Page 1954) or a callable that returns a River `DriftDetector`.

    Parameters
    ----------
    loss
        Detector on the champion's loss; only a rise counts. None: not watched.
    inputs
        Detector on each numeric feature, or a mapping of feature to detector.
    predictions
        Detector on the predicted value, score or probability.
    policy
        `alert`, `reset` or `replace`; see `DriftPolicy`.
    cooldown
        Values of a source after an alert in which it raises no other.
    replacement_after
        Examples that a replacement learns in the background before it may take over.

    Raises
    ------
    DefinitionError
        Naming the parameter and the choices.

    Examples
    --------
    >>> DriftSettings(loss="page_hinkley", inputs={"price": "kswin"}, policy="reset").policy
    <DriftPolicy.RESET: 'reset'>
    """

    loss: Detector | None = "adwin"
    inputs: Detector | Mapping[str, Detector] | None = "adwin"
    predictions: Detector | None = "adwin"
    policy: DriftPolicy | str = DriftPolicy.ALERT
    cooldown: int = 1_000
    replacement_after: int = 500

    def __post_init__(self) -> None:
        for parameter, detector in self._detectors():
            make_detector(detector, parameter)
        try:
            object.__setattr__(self, "policy", DriftPolicy(self.policy))
        except ValueError:
            choices = ", ".join(repr(each.value) for each in DriftPolicy)
            raise DefinitionError(
                f"drift.policy requires one of {choices}; got {self.policy!r}"
            ) from None
        _check_count("drift.cooldown", self.cooldown, least=0)
        _check_count("drift.replacement_after", self.replacement_after, least=1)

    def _detectors(self) -> list[tuple[str, Detector]]:
        given: dict[str, Detector | None] = {
            "drift.loss": self.loss,
            "drift.predictions": self.predictions,
        }
        if isinstance(self.inputs, Mapping):
            given |= {f"drift.inputs[{name!r}]": each for name, each in self.inputs.items()}
        else:
            given["drift.inputs"] = self.inputs
        return [(parameter, each) for parameter, each in given.items() if each is not None]


def make_detector(detector: Detector, parameter: str = "detector") -> Any:
    """Return a fresh River detector.

    Raises
    ------
    DefinitionError
        Not a name of one, nor a callable that returns one; or one that draws random numbers
        without a seed, which no replay could repeat.

    Examples
    --------
    >>> make_detector("adwin").delta
    0.002
    """
    factory = _DETECTORS.get(detector) if isinstance(detector, str) else detector
    if not callable(factory):
        raise _no_detector(parameter, detector)
    made = factory()
    if not isinstance(made, base.DriftDetector):
        raise _no_detector(parameter, made)
    if getattr(made, "seed", 0) is None:
        raise DefinitionError(
            f"{parameter} requires a detector with a seed, for example"
            f" lambda: drift.{type(made).__name__}(seed=1); got seed=None"
        )
    return made


def _no_detector(parameter: str, got: object) -> DefinitionError:
    choices = ", ".join(repr(each) for each in _DETECTORS)
    return DefinitionError(
        f"{parameter} requires one of {choices}, or a callable that returns a"
        f" river.base.DriftDetector; got {got!r}"
    )


def _check_count(parameter: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DefinitionError(
            f"{parameter} requires a whole number of at least {least}; got {value!r}"
        )
