"""Promotion: when a candidate takes the champion's place, and when it is sent back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from millrace.models.parameters import choice, duration, fraction, named_fields, text, whole_number
from millrace.models.selection.costs import checked_costs
from millrace.schemas.records import PromotionTerms

Metric: TypeAlias = str | Mapping[Any, float] | Callable[..., float]
"""A loss by its name, a cost for each pair of label and prediction, or a function."""


class PromotionPolicy(StrEnum):
    """What happens once a candidate is proven better than the champion.

    Examples
    --------
    >>> PromotionPolicy("propose")
    <PromotionPolicy.PROPOSE: 'propose'>
    """

    AUTO = "auto"
    """It serves, and the champion before learns on beside it."""
    PROPOSE = "propose"
    """An alert says by which command it would serve."""
    OFF = "off"
    """Nothing; `millrace models` shows the evidence."""


@named_fields
@dataclass(frozen=True, kw_only=True)
class Promotion:
    """When a candidate takes the champion's place.

    The losses of both at the same events are compared by a test that is valid at any time, for
    losses that depend on each other, too. Decision 51 in the documentation says which.

    Parameters
    ----------
    metric
        The loss: `zero_one`, `log_loss` or `brier` for classes, `absolute_error` or `squared_error`
        for numbers; for classes also costs, `{(label, prediction): cost}`; or a function of label,
        prediction and probabilities that returns a number in [0, 1]. None: `zero_one` for classes,
        `absolute_error` otherwise.
    alpha
        The chance that a candidate is ever promoted that is not better, over all candidates, in
        the lifetime of a pipeline; in (0, 1).
    margin
        By how much a candidate has to be better: mean difference of losses, each in [0, 1]. With
        `zero_one`, 0.01 is one error fewer in a hundred events.
    min_labels
        Labelled events before a lead can be proven; and it has to show again in as many, twice.
    probation
        Labelled events after a promotion in which the candidate is sent back as soon as it raises,
        or answers what is no prediction, where another one answers. If it does worse than the
        champion before, it is sent back at any time.
    policy
        `auto`, `propose` or `off`; see `PromotionPolicy`.
    wait
        How long after a block of events its labels are waited for, in event time. None:
        `label_default.after` where there is one, else four times as long as 95 % of the labels
        took so far, at most `pending.ttl`.
    group
        A feature, or the pipeline's key: `evaluations` and `millrace models --by-group` show by its
        values where a candidate wins and where it loses. It decides nothing.

    Raises
    ------
    DefinitionError
        Naming the parameter.

    Examples
    --------
    >>> Promotion(metric="log_loss", policy="propose").policy
    <PromotionPolicy.PROPOSE: 'propose'>
    """

    metric: Metric | None = None
    alpha: float = 0.05
    margin: float = 0.01
    min_labels: int = 500
    probation: int = 2_000
    policy: PromotionPolicy | str = PromotionPolicy.AUTO
    wait: timedelta | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.metric, Mapping):
            object.__setattr__(self, "metric", checked_costs("promotion.metric", self.metric))
        elif self.metric is not None and not callable(self.metric):
            text("promotion.metric", self.metric)
        fraction("promotion.alpha", self.alpha)
        fraction("promotion.margin", self.margin, may_be_0=True)
        whole_number("promotion.min_labels", self.min_labels)
        whole_number("promotion.probation", self.probation, least=0)
        policy = choice("promotion.policy", self.policy, PromotionPolicy)
        object.__setattr__(self, "policy", policy)
        if self.group is not None:
            text("promotion.group", self.group)
        if self.wait is not None:
            duration("promotion.wait", self.wait, least=timedelta(milliseconds=1))

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever decided."""
        return self.policy is PromotionPolicy.OFF

    def terms(self, metric: str) -> PromotionTerms:
        """Return what a block of events is judged by.

        Parameters
        ----------
        metric
            Name of the loss.
        """
        return {
            "metric": metric,
            "alpha": self.alpha,
            "margin": self.margin,
            "min_labels": self.min_labels,
            "probation": self.probation,
            "policy": str(self.policy),
        }


COSTS, FUNCTION = "costs", "{}()"
"""What losses are called that a definition writes out: by costs, and as a function of that name."""


def is_custom(metric: str) -> bool:
    """Whether a loss of that name is one that a definition writes out.

    Examples
    --------
    >>> is_custom("log_loss"), is_custom(COSTS), is_custom(FUNCTION.format("weighted"))
    (False, True, True)
    """
    return metric == COSTS or metric.endswith(FUNCTION.format(""))


NO_PROMOTION = Promotion(policy=PromotionPolicy.OFF)
"""Where a pipeline says nothing of promotion."""
