"""Whether two objects are alike to the last bit, however they came to be.

Pickles of equal objects differ with what they share, and models have no equality of their own.
So an object is taken apart, the way pickle would, into a list of plain values, each with the path
to it; two objects are alike if these are.

A generator of random numbers that was given no seed is left out: River's distributions each have
one, which only `sample` uses. A model that drew from such a one would differ in all the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, cast

import numpy as np

from millrace.streams.operators.keyed_state import KeyedState, StateStore
from millrace.streams.operators.waiting_state import WaitingState

_ATOMS = (str, bytes, int, float, bool, complex, type(None))


def difference(left: Any, right: Any) -> str | None:
    """Return where two objects are first unlike, and what is there; None where they are alike.

    Examples
    --------
    >>> difference({"a": [1, 2.0]}, {"a": [1, 2.0]})
    >>> difference({"a": [1, 2.0]}, {"a": [1, 2]})
    'a/1: float 2.0 != int 2'
    """
    end = ("", "(nothing)")
    for (path, ours), (_, theirs) in zip_longest(parts(left), parts(right), fillvalue=end):
        if ours != theirs:
            return f"{path}: {ours} != {theirs}"
    return None


def parts(value: Any, path: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every plain value in an object with its path; mappings and lists in their order."""
    if isinstance(value, _ATOMS) and type(value) in _ATOMS:
        yield path, f"{type(value).__name__} {value!r}"
    elif isinstance(value, type) or type(value).__name__ in (
        *("function", "builtin_function_or_method", "cython_function_or_method"),
    ):
        yield path, f"{value.__module__}.{value.__qualname__}"
    elif id(value) in above:
        yield path, f"cycle of {len(above) - above.index(id(value))}"
    else:
        yield from _inner_parts(value, path, (*above, id(value)))


def _inner_parts(value: Any, path: str, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    yield path, f"a {type(value).__name__}"
    if type(value) is dict:
        for key, each in value.items():
            yield from parts(key, f"{path}/(key)", above)
            yield from parts(each, f"{path}/{key}".lstrip("/"), above)
    elif type(value) in (list, tuple, deque):
        for index, each in enumerate(value):
            yield from parts(each, f"{path}/{index}".lstrip("/"), above)
    elif type(value) in (set, frozenset):
        for text in sorted(str([*parts(each)]) for each in value):
            yield path, text
    elif isinstance(value, np.ndarray | np.generic):
        yield path, f"{value.dtype} {value.tobytes().hex()}"
    else:
        made = value.__reduce_ex__(4)
        if isinstance(made, str):
            yield path, made
            return
        _make, arguments, *rest = made
        state, items, pairs = (*rest, None, None, None)[:3]
        if isinstance(state, dict) and state.get("seed", 0) is None:
            state = {name: each for name, each in state.items() if name != "_rng"}
        yield from parts(arguments, f"{path}()", above)
        yield from parts(state, path, above)
        yield from parts([*items] if items is not None else None, f"{path}[]", above)
        yield from parts(dict(pairs) if pairs is not None else None, path, above)


def entries_of(store: StateStore) -> list[tuple[str, object]]:
    """Return what a store keeps, whatever form it is kept in.

    How events that wait are packed, and in which blocks they are, depends on restarts.
    """
    if isinstance(store, WaitingState):
        return [(each.vector["event_id"], each) for each in store.events]
    entries = cast(KeyedState[object], store).items()
    return [(key, _without_place(value)) for key, value in entries]


def _without_place(value: object) -> object:
    """Return a value, but for where the events of a block wait."""
    if isinstance(value, dict) and "first_chunk" in value:
        return {name: each for name, each in value.items() if name != "first_chunk"}
    return value
