"""Whether an object that another version of River has written is whole in this one.

A pickle sets the attributes that an object had. Where this version's code relies on what the other
did not have, the object loads, and fails at its first prediction.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from copy import deepcopy
from functools import cache
from typing import Any

from millrace.models.pipeline.parts import parts
from millrace.models.user_code import contained
from millrace.streams.state.allowed import RIVER, is_in

_ROOMS = (f"{RIVER}.", "millrace.models.candidates.accelerated.")  # which derive from River's
_ANSWERS = ("predict_proba_one", "predict_one", "score_one", "transform_one")


def fault_of(obj: object, own: Collection[str] = ()) -> str:
    """Return what a part of an object lacks, with its place; empty if none lacks anything.

    Parameters
    ----------
    obj
        As it was loaded.
    own
        Modules of the user's, with their submodules, of which the code has changed.

    Examples
    --------
    >>> from river.linear_model import LogisticRegression
    >>> model = LogisticRegression()
    >>> fault_of([model])
    ''
    >>> del model.intercept
    >>> fault_of([model])
    'state[0] has no intercept'
    """
    for place, part in parts("state", obj):
        kind: Any = type(part)
        if is_in(kind.__module__, own):
            missing = [name for name in _attributes(kind) if not hasattr(part, name)]
            if missing:
                return f"{place} has no {min(missing)}"
        elif kind.__module__.startswith(_ROOMS) and hasattr(part, "__dict__"):
            missing = [name for name in _attributes(kind) if name not in vars(part)]
            if missing:
                return f"{place} has no {min(missing)}"
            if error := _first_error(part):
                return f"{place} answers {error}"
    return ""


@cache
def _attributes(kind: Any) -> frozenset[str]:
    """Return the attributes of an object as its constructor makes it without parameters."""
    with suppress(Exception):  # it cannot
        return frozenset(vars(kind()))
    return frozenset()


def _first_error(part: Any) -> str:
    """Return the error of a copy of a part, asked for an answer, that misses an attribute."""
    asked = [name for name in _ANSWERS if hasattr(type(part), name)]
    copy = deepcopy(part) if asked else None
    for name in asked:
        with contained():
            try:
                getattr(copy, name)({})
            except AttributeError as error:
                # Pipelines ask their last step for all of them, and not each step has all.
                if type(error.obj).__module__.startswith(_ROOMS) and error.name not in _ANSWERS:
                    return str(error)
    return ""
