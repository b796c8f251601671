"""A family of models: what each of them is asked for reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from millrace.models.candidates.accelerated import Instance
from millrace.models.reasons.reasons import NoExactReasonsError, Reasons
from millrace.schemas.records import LabelValue

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

    def ask(self, model: object, x: Instance) -> Reasons:
        """Return the answer of a model inside."""
        return self.find(model).explain(model, x, self)


Explain: TypeAlias = Callable[[Any, Instance, Question], Reasons]
"""Returns what the prediction of a model is made of, by the names of the features it is given.

It changes neither the model nor the features. It raises `NoExactReasonsError` where an event has no
exact reasons, and whatever the model raises.
"""


def _accept(_model: object, _find: Find) -> None:
    pass


@dataclass(frozen=True)
class Family:
    """Models of one kind.

    Parameters
    ----------
    explain
        Answers for one of them.
    check
        Raises `NoExactReasonsError` where a model of the kind never has exact reasons: with
        another loss, for example, or with another model inside.
    """

    explain: Explain
    check: Callable[[Any, Find], None] = _accept


def checked(model: object, find: Find) -> None:
    """Raise an error where a model inside another one never has exact reasons.

    Raises
    ------
    NoExactReasonsError
        It is of no known family, or its family refuses it.
    """
    find(model).check(model, find)


def refused(why: str) -> NoExactReasonsError:
    """Return the error that says why there are no exact reasons."""
    return NoExactReasonsError(why)
