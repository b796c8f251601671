"""What a pickle calls to make an iterator, or something of numpy's, with its arguments checked.

Numpy's own functions can be told to take bytes as pointers, to make room for any number of values,
and to call others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from millrace.schemas import SnapshotError
from millrace.streams.state.allowed import RefusedPartError
from millrace.streams.state.migrations import Name

_PLAIN_DTYPE = re.compile(r"[biufcSUO]\d+")
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def _iterator(items: object) -> object:
    if not isinstance(items, list | tuple):
        raise RefusedPartError("builtins", "iter")
    return iter(items)


def _dtype(kind: object, *_: object) -> np.dtype[Any]:
    if not isinstance(kind, str) or not _PLAIN_DTYPE.fullmatch(kind):
        raise RefusedPartError("numpy", f"dtype({kind!r})")
    return np.dtype(kind, False, True)  # a copy, whose byte order is set next


def check_dtype(dtype: np.dtype[Any], state: Any) -> None:
    """Refuse a state that makes another type of one: it says how bytes are taken as pointers."""
    genuine = dtype.__reduce__()[2]
    if state[:1] + state[2:] != genuine[:1] + genuine[2:]:
        raise SnapshotError(f"a snapshot must not change the layout of numpy's {dtype}")


def _empty_array(kind: object, *_: object) -> object:
    """Return an array that its state fills."""
    if kind is not np.ndarray:
        raise RefusedPartError("numpy", "_reconstruct")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _array(buffer: object, dtype: object, shape: Any, order: Any) -> object:
    if not isinstance(buffer, bytes | bytearray) or not isinstance(dtype, np.dtype):
        raise RefusedPartError("numpy", "_frombuffer")
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


def _scalar(dtype: Any, value: Any) -> object:
    if not isinstance(value, bytes) or not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise RefusedPartError("numpy", "scalar")
    return np.frombuffer(value, dtype=dtype)[0]


def _bit_generator(kind: object) -> object:
    """Return a bit generator of numpy's: what it is asked for by name or by class."""
    name = kind.__name__ if isinstance(kind, type) else kind
    if not isinstance(name, str) or name not in _BIT_GENERATORS:
        raise RefusedPartError("numpy.random", str(name))
    return getattr(np.random, name)()


def _generator(kind: Any, *_: object) -> object:
    return np.random.Generator(_made(kind))


def _random_state(kind: Any, *_: object) -> object:
    return np.random.RandomState(_made(kind))


def _made(kind: Any) -> Any:
    return kind if isinstance(kind, np.random.BitGenerator) else _bit_generator(kind)


_MULTIARRAY: Mapping[str, Callable[..., object]] = {"_reconstruct": _empty_array, "scalar": _scalar}
GUARDED: Mapping[Name, Callable[..., object]] = {
    ("builtins", "iter"): _iterator,
    ("numpy", "dtype"): _dtype,
    **{
        (f"numpy.{core}.multiarray", name): made
        for core in ("_core", "core")
        for name, made in _MULTIARRAY.items()
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _array for core in ("_core", "core")},
    ("numpy.random._pickle", "__bit_generator_ctor"): _bit_generator,
    ("numpy.random._pickle", "__generator_ctor"): _generator,
    ("numpy.random._pickle", "__randomstate_ctor"): _random_state,
}
"""What makes an object that could do more, with arguments that make what they say."""
