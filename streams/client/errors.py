"""What a client raises.

::

    ClientError                 what was asked for did not come
    ├── RefusedError            it cannot be used as it is: sending it again changes nothing
    │   └── DuplicateError      an event with its id was sent before, and is not known any more
    ├── ForbiddenError          the token is not known, or its role may not do this
    ├── UnknownPredictionError  no prediction of this event is known
    └── UnavailableError        nobody has answered in time; it may have been taken all the same
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from millrace.schemas.errors import MillraceError


class ClientError(MillraceError):
    """What was asked of `millrace serve` did not come.

    Parameters
    ----------
    status
        Of HTTP; 0 where there was no answer.
    problem
        The document of the answer: `type`, `title`, `detail`, `fix`, and perhaps `field`, `reason`,
        `event_id`. Source: RFC 9457.

    Attributes
    ----------
    detail
        What happened.
    fix
        What to do.
    field
        Which field or parameter is to blame; None where it is none.
    reason
        Why a record was rejected; None where it was not.
    """

    public = "a request to millrace serve failed"

    def __init__(self, status: int, problem: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.status, self.problem = status, dict(problem)
        self.detail = str(self.problem.get("detail") or f"status {status}, and nothing said why")
        self.fix = str(self.problem.get("fix") or "")
        self.field: str | None = self.problem.get("field")
        self.reason: str | None = self.problem.get("reason")
        super().__init__(f"{self.detail}. {self.fix}".removesuffix(". "))

    def __reduce__(self) -> tuple[type[ClientError], tuple[int, dict[str, Any]]]:
        return type(self), (self.status, self.problem)


class RefusedError(ClientError):
    """What was sent cannot be used as it is; sending it again changes nothing."""


class DuplicateError(RefusedError):
    """An event with this id was sent before, and its prediction is not known here."""


class ForbiddenError(ClientError):
    """The token is not known, or its role may not do this."""


class UnknownPredictionError(ClientError):
    """No prediction of this event is known: it is too old, or not made yet, or never will be."""


class UnavailableError(ClientError):
    """Nobody has answered in time. What was sent may be there; sent again, it counts once."""


_FORBIDDEN = frozenset({401, 403, 421})
_LATER = frozenset({0, 408, 429, 502, 503, 504})
"""Statuses after which the same request may succeed; 0: there was no answer."""


def error_of(status: int, problem: Mapping[str, Any]) -> ClientError:
    """Return the error that an answer stands for.

    Examples
    --------
    >>> error_of(422, {"detail": "field 'a' must be double", "fix": "Send one.", "field": "a"})
    RefusedError("field 'a' must be double. Send one.")
    """
    if status in _LATER:
        return UnavailableError(status, problem)
    if status in _FORBIDDEN:
        return ForbiddenError(status, problem)
    if status == 409:
        return DuplicateError(status, problem)
    if status == 404 and str(problem.get("type")).endswith(":unknown_prediction"):
        return UnknownPredictionError(status, problem)
    return ClientError(status, problem) if status == 500 else RefusedError(status, problem)
