"""What each mistake costs, as the author of a pipeline writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from millrace.models.parameters import require
from millrace.models.user_code import shown
from millrace.schemas.records import LabelValue

Costs: TypeAlias = Mapping[tuple[LabelValue, LabelValue], float]
"""A label and what was predicted instead of it, to what that costs."""

_LARGEST = 1e100


def checked_costs(parameter: str, given: Mapping[object, object]) -> Costs:
    """Return costs in their one form: as floats, in an order that does not depend on how they came.

    Parameters
    ----------
    parameter
        Where they were given.
    given
        Pair of label and prediction to its cost. Which classes there are need not be known.

    Raises
    ------
    DefinitionError
        There are none, a key is no pair of classes, a cost is no number from 0, or all are 0.

    Examples
    --------
    >>> checked_costs("costs", {("good", "bad"): 1, ("bad", "good"): 5})
    {('bad', 'good'): 5.0, ('good', 'bad'): 1.0}
    """
    example = "for example {('bad', 'good'): 5.0, ('good', 'bad'): 1.0}"
    must = f"{parameter} must have costs of pairs of label and prediction, {example}"
    require(len(given) > 0, must, given)
    found: dict[tuple[LabelValue, LabelValue], float] = {}
    for pair, cost in given.items():
        match pair:
            case (bool() | int() | str() as label, bool() | int() | str() as predicted):
                found[label, predicted] = _number(f"{parameter}[{shown(pair)}]", cost)
            case _:
                require(False, must, pair)
    require(any(found.values()), f"{parameter} must have a cost above 0", given)
    return dict(sorted(found.items(), key=repr))


def _number(parameter: str, cost: object) -> float:
    must = f"{parameter} must be a finite number, 0 or more"
    is_number = isinstance(cost, int | float) and not isinstance(cost, bool)
    require(is_number, must, cost)
    number = cast(float, cost)
    require(0 <= number < _LARGEST, must, cost)
    return float(number)
