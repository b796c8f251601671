"""What went wrong, as a document that programs read. Source: RFC 9457.

`type` names the kind of problem and stays the same. `field` names the field or the parameter, where
one is to blame, and `fix` says what to do. A record that is rejected has the reason as its kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from millrace.schemas import RecordError, RejectReason

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:millrace:problem:"

_FIELD = re.compile(
    r"(?:field|must have) '([^']+)'"
    r"|(?:^|, )(?:a )?(label|label_time_ms) must (?:be|have the type)"
)
_STATUS = {
    RejectReason.MALFORMED: HTTPStatus.BAD_REQUEST,
    RejectReason.EMPTY: HTTPStatus.BAD_REQUEST,
    RejectReason.OVERSIZED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RejectReason.DUPLICATE_EVENT: HTTPStatus.CONFLICT,
}
_FIXES = {
    RejectReason.MALFORMED: "Send JSON.",
    RejectReason.WRONG_SHAPE: "Send one JSON object, or an array of them.",
    RejectReason.MISSING_FIELD: "Send the field, or give it a default in the schema.",
    RejectReason.ILL_TYPED_FIELD: "Send a value of the type that the OpenAPI document has.",
    RejectReason.NOT_FINITE: "Send null, or list the field in allow_non_finite.",
    RejectReason.MISSING_ID: "Send an id.",
    RejectReason.MISSING_KEY: "Send the key, in labels too.",
    RejectReason.TIMESTAMP_OUT_OF_RANGE: "Fix the clock or the unit of the time.",
    RejectReason.UNKNOWN_LABEL_TYPE: "Send a label of the type that the schema declares.",
    RejectReason.UNKNOWN_CLASS: "Send a label that is one of the classes.",
    RejectReason.OVERSIZED: "Send less.",
    RejectReason.DUPLICATE_EVENT: "Nothing, if this is a retry. Otherwise make ids unique.",
    RejectReason.INTERNAL_ERROR: "Report it, with the detail and the record.",
}
_ELSE = "See the reasons for rejects in the documentation."


class ProblemError(HTTPException):
    """An answer that is a problem.

    Parameters
    ----------
    status
        Of HTTP.
    kind
        The end of its `type`.
    detail
        What happened, in words.
    fix
        What to do.
    field
        Which field or parameter it is about.
    headers
        Of the answer.
    more
        Other members of the document.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        fix: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, {**(headers or {})})
        self.document = {
            "type": TYPE + kind,
            "title": kind.replace("_", " ").capitalize(),
            "status": int(status),
            "detail": detail,
            "fix": fix,
            **({"field": field} if field else {}),
            **more,
        }


def of_reject(reason: str, detail: str, fix: str = "", **more: Any) -> ProblemError:
    """Return the problem with a record that was rejected, or would be."""
    known = RejectReason(reason) if reason in [*RejectReason] else RejectReason.INTERNAL_ERROR
    found = _FIELD.search(detail)
    return ProblemError(
        _STATUS.get(known, HTTPStatus.UNPROCESSABLE_ENTITY),
        reason,
        detail,
        fix=fix or _FIXES.get(known, _ELSE),
        field=found[1] or found[2] if found else None,
        reason=reason,
        **more,
    )


def of_record_error(error: RecordError) -> ProblemError:
    """Return the problem with a record that cannot be used."""
    return of_reject(error.reason, error.detail)


def unavailable(kind: str, detail: str, fix: str, **more: Any) -> ProblemError:
    """Return the problem that something does not work at the moment."""
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return ProblemError(status, kind, detail, fix=fix, headers={"Retry-After": "1"}, **more)
