"""A loss by which candidates are compared, for one prediction and for a column of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import inf
from typing import Any, TypeAlias

from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas.records import LabelValue, Predicted, Probabilities

One: TypeAlias = Callable[[LabelValue, LabelValue, Probabilities], float]
"""Returns the loss of a label, a predicted value, and probabilities; infinite where too large."""

Many: TypeAlias = Callable[
    [Sequence[Any], Sequence[Any], Sequence[Probabilities]], Sequence[float | None] | None
]
"""Returns the same of columns, with None for what is too large, or None if it cannot."""

_NO_PROBABILITIES: Probabilities = {}


@dataclass(frozen=True)
class ComparisonLoss:
    """A loss of predictions.

    Parameters
    ----------
    name
        What it is called in definitions and reports.
    tasks
        The tasks that it fits.
    one
        Its meaning.
    many
        The same for columns, only faster; None where there is no such function.
    needs_probabilities
        Whether it looks at probabilities, so that all candidates have to give them.
    is_own
        Whether it is what the task has by itself (`outcomes`, drift).
    is_whole
        Whether it is 0 or 1, so that sums of it are exact in any order.
    is_bounded
        Whether it is in [0, 1].
    scale
        What it was divided by to be so.

    Examples
    --------
    >>> strict = ComparisonLoss("strict", [Task.REGRESSION], lambda y, v, _: float(y != v))
    >>> strict.column([1.0, 2.0, 3.0], [1.0, 2.5, None])
    [0.0, 1.0, None]
    """

    name: str
    tasks: Collection[Task]
    one: One
    many: Many | None = None
    needs_probabilities: bool = False
    is_own: bool = False
    is_whole: bool = False
    is_bounded: bool = True
    scale: float = 1.0

    def of(self, label: LabelValue, predicted: Predicted) -> float | None:
        """Return the loss of a prediction; None where there is none.

        A loss too large for a float is none: no sum or mean would recover from it. Whatever a
        function of the user's raises is raised.
        """
        value = predicted["value"]
        if value is None:
            return None
        found = self.one(label, value, predicted["probabilities"])
        return found if found < inf else None

    def of_each(
        self, label: LabelValue, predicted: Mapping[str, Predicted]
    ) -> dict[str, float | None]:
        """Return the loss of each prediction of an event, by the names of these.

        Where a function of the user's fails for one of them, there is none of any.
        """
        failures: dict[int, BaseException] = {}
        found = {
            name: self.column([label], [each["value"]], [each["probabilities"]], failures)[0]
            for name, each in predicted.items()
        }
        return dict.fromkeys(found) if failures else found

    def column(
        self,
        labels: Sequence[LabelValue],
        values: Sequence[LabelValue | None],
        probabilities: Sequence[Probabilities] | None = None,
        failures: dict[int, BaseException] | None = None,
    ) -> list[float | None]:
        """Return the loss of what one candidate predicted for each of several events.

        Parameters
        ----------
        labels
            Of the events.
        values, probabilities
            What was predicted.
        failures
            Takes what a function of the user's raised, or that it returned no number in [0, 1], by
            the place of the event, unless there is something already. There is no loss then.
        """
        if probabilities is None:
            probabilities = [_NO_PROBABILITIES] * len(labels)
        if self.many is not None:
            found = self._by_columns(self.many, labels, values, probabilities)
            if found is not None:
                return found
        return [*self._one_by_one(labels, values, probabilities, failures)]

    def _by_columns(
        self,
        many: Many,
        labels: Sequence[LabelValue],
        values: Sequence[LabelValue | None],
        probabilities: Sequence[Probabilities],
    ) -> list[float | None] | None:
        if None not in values:
            found = many(labels, values, probabilities) if labels else ()
            return None if found is None else [*found]
        is_known = [value is not None for value in values]
        known: Sequence[float | None] | None = ()
        if any(is_known):
            answered = [*compress(values, is_known)]
            given = [*compress(probabilities, is_known)]
            known = many([*compress(labels, is_known)], answered, given)
        if known is None:
            return None
        rest = iter(known)
        return [next(rest) if is_there else None for is_there in is_known]

    def _one_by_one(
        self,
        labels: Sequence[LabelValue],
        values: Sequence[LabelValue | None],
        probabilities: Sequence[Probabilities],
        failures: dict[int, BaseException] | None,
    ) -> Iterator[float | None]:
        rows = zip(labels, values, probabilities, strict=True)
        for place, (label, value, given) in enumerate(rows):
            try:
                yield self.of(label, Predicted(value=value, probabilities=given))
            except PASSED_ON:
                raise
            except BaseException as error:  # the user's function may raise anything
                if failures is not None:
                    failures.setdefault(place, error)
                yield None
