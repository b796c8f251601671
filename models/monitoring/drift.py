"""Drift: which streams of numbers are watched, by which detector, and what happens at a drift.

The learning operator watches the loss of every candidate, where a policy can react within the
fold; the drift operator watches inputs and predictions, which need no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from millrace.models.parameters import choice, named_fields, whole_number
from millrace.models.user_code import shown

if TYPE_CHECKING:
    from millrace.models.monitoring.detectors import Detector

T = TypeVar("T")


class DriftPolicy(StrEnum):
    """What the learning operator does when the loss of a candidate drifts, beside the alert.

    Examples
    --------
    >>> DriftPolicy("reset")
    <DriftPolicy.RESET: 'reset'>
    """

    ALERT = "alert"
    """Nothing more."""
    RESET = "reset"
    """Put an untrained model in its place."""
    REPLACE = "replace"
    """Train a challenger beside it, which takes its place once it is proven better."""


@named_fields
@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """What is watched for drift, and what happens when a detector fires.

    A detector is `adwin` (Bifet and Gavalda 2007; a fraction of a microsecond per value),
    `kswin` (Raab et al. 2020; sees changes of shape too, at some hundred times the cost),
    `page_hinkley` (Page 1954) or a callable that returns a River `DriftDetector`.

    A change is reported only where the values are independent but for it: a counter or a daily
    cycle changes all the time. With the policies `reset` and `replace`, every rise of the loss
    counts. Inputs and predictions with three alerts within 100,000 values are no longer watched.

    Parameters
    ----------
    loss
        Detector on the loss of each candidate; only a rise is reported. None: not watched.
    inputs
        Detector on each numeric feature, or a mapping of feature to detector.
    predictions
        Detector on the predicted value, score or probability.
    policy
        `alert`, `reset` or `replace`; see `DriftPolicy`.
    cooldown
        How many values of a source after an alert there is no other alert.
    replacement_after
        About how many examples a replacement takes. The challenger learns from half of them, and
        then takes the place of the model whose loss has drifted as soon as it is proven better: on
        50 labelled events at least, and 5,000 at most.

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
        from millrace.models.monitoring.detectors import make_detector  # noqa: PLC0415 - River: 1 s

        for parameter, detector in self.detectors():
            make_detector(detector, parameter)
        object.__setattr__(self, "policy", choice("drift.policy", self.policy, DriftPolicy))
        whole_number("drift.cooldown", self.cooldown, least=0)
        whole_number("drift.replacement_after", self.replacement_after)

    def detector_of(self, source: str) -> Detector | None:
        """Return what watches a source: `loss:<model>`, `input:<feature>` or `prediction`.

        Examples
        --------
        >>> DriftSettings(inputs={"price": "kswin"}).detector_of("input:price")
        'kswin'
        """
        kind, _, name = source.partition(":")
        if kind == "input":
            return self.inputs.get(name) if isinstance(self.inputs, Mapping) else self.inputs
        return self.loss if kind == "loss" else self.predictions

    def detectors(self) -> list[tuple[str, Detector]]:
        """Return the detectors that are given, each with its parameter."""
        return placed(self.loss, self.predictions, self.inputs)


def placed(
    loss: T | None, predictions: T | None, inputs: Mapping[str, T] | T | None
) -> list[tuple[str, T]]:
    """Return what there is of detectors, each with its parameter.

    Examples
    --------
    >>> placed("adwin", None, {"price": "kswin"})
    [('drift.loss', 'adwin'), ("drift.inputs['price']", 'kswin')]
    """
    given: dict[str, T | None] = {"drift.loss": loss, "drift.predictions": predictions}
    if isinstance(inputs, Mapping):
        given |= {input_place(name): each for name, each in inputs.items()}
    else:
        given["drift.inputs"] = inputs
    return [(parameter, each) for parameter, each in given.items() if each is not None]


def input_place(feature: str) -> str:
    """Return the parameter of the detector of one feature."""
    return f"drift.inputs[{shown(feature)}]"
