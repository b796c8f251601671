"""Fields of nested objects, by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def at(document: Mapping[str, Any], path: str) -> Any:
    """Return the field at a path; None where there is none.

    A field of which the name has dots is found by that name, too.

    Examples
    --------
    >>> at({"payment": {"id": 7}}, "payment.id"), at({"a.b": 1}, "a.b"), at({}, "a.b")
    (7, 1, None)
    """
    if path in document:
        return document[path]
    first, _, rest = path.partition(".")
    inner = document.get(first)
    return at(inner, rest) if rest and isinstance(inner, Mapping) else None
