"""What changes in the classes: some may be added, and none that may have been learned taken away.

The classes of a description are all that there can be, or None where they are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from millrace.models.identity.definition import Description


def added_classes(before: Description, now: Description) -> Iterator[str]:
    """Yield which labels may come that could not before."""
    was, is_now = before["classes"], now["classes"]
    if was is not None and is_now is None:
        yield "classes are open: a label may be of any class"
    elif was is not None and (added := _missing(is_now, was)):
        yield f"classes may be {added} too"


def lost_classes(before: Description, now: Description) -> Iterator[str]:
    """Yield why classes cannot be taken away."""
    was, is_now = before["classes"], now["classes"]
    if was is None and is_now is not None:
        yield (
            f"classes must stay open, since others may have been learned; got {is_now}. Leave"
            " classes out"
        )
    elif is_now is not None and (lost := _missing(was, is_now)):
        yield (
            f"classes must keep {lost}, which may have been learned; got {is_now}. Leave in what no"
            " longer comes"
        )


def _missing(classes: list[Any], among: list[Any]) -> list[Any]:
    known = {(type(each), each) for each in among}  # True is not 1
    return [each for each in classes if (type(each), each) not in known]
