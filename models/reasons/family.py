"""A family of models: what each of them is asked for reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from millrace.models.reasons.reasons import NoExactReasonsError, Reasons, Scale
from millrace.schemas.records import LabelValue

Seen: TypeAlias = dict[str, Any]
"""What a model sees of an event: feature, or what a transformer made of it, to value."""

Find: TypeAlias = Callable[[object], "Family"]
"""Returns the family of a model, or raises `NoExactReasonsError`."""


class Question(NamedTuple):
    """What is asked of a model, and of the models inside it.

    Attributes
    ----------
    of
        The class that the answer has to be about; None where a number is predicted.
    find
        Returns the family of a model inside.
    """

    of: LabelValue | None
    find: Find

    def ask(self, model: object, x: Seen) -> Reasons:
        """Return the answer of a model inside."""
        return self.find(model).explain(model, x, self)


Explain: TypeAlias = Callable[[Any, Seen, Question], Reasons]
"""Returns what the prediction of a model is made of, by the names of the features it is given.

It changes neither the model nor the features. It raises `NoExactReasonsError` where an event has no
exact reasons, and whatever the model raises.
"""


Check: TypeAlias = Callable[[Any, Find], Scale]
"""Returns the scale on which a model answers.

It raises `NoExactReasonsError` where a model of the kind never has exact reasons: with another
loss, for example, or with another model inside.
"""


@dataclass(frozen=True)
class Family:
    """Models of one kind.

    Parameters
    ----------
    explain
        Answers for one of them.
    check
        Says on which scale.
    """

    explain: Explain
    check: Check


def always(scale: Scale) -> Check:
    """Return the check of models that always answer, and on one scale."""
    return lambda _model, _find: scale


def checked(model: object, find: Find) -> Scale:
    """Return the scale on which a model answers, which may be inside another one.

    Raises
    ------
    NoExactReasonsError
        It is of no known family, or its family refuses it.
    """
    return find(model).check(model, find)


def refused(why: str) -> NoExactReasonsError:
    """Return the error that says why there are no exact reasons."""
    return NoExactReasonsError(why)
