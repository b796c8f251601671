"""What user code returns and raises: functions of features, models, metrics, detectors.

Whatever comes back is converted or refused here, in constant time, without calling a method that
the value's own class defines. Whatever is raised stays with the record that led to it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from reprlib import Repr
from typing import TypeAlias, cast

import numpy as np

from millrace.schemas import BrokerError
from millrace.schemas.records import Fields

Scalar: TypeAlias = bool | int | float | str

PASSED_ON = (KeyboardInterrupt, MemoryError, BrokerError)
"""What ends a batch and not a record. Anything else that is raised, `SystemExit` too, is a
record's: the guard is `except PASSED_ON: raise`, then `except BaseException`."""

_Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"

LONGEST_TEXT = 1_000_000
"""Characters that text made by user code may have."""

_LEAST_LONG, _LARGEST_LONG = -(2**63), 2**63 - 1
_SCALAR_TYPES = frozenset({type(None), bool, int, float, str})
_NUMPY_FLOATS = (np.float16, np.float32, np.longdouble)  # the others are Python's own
_MISSING_IN_PANDAS = ("NAType'>", "NaTType'>")

_LONGEST_SHOWN = 2_000

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 200
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 50


def scalar(value: object) -> Scalar | None:
    """Return a value as Python's own boolean, whole number of 64 bits, float or text.

    Returns
    -------
    bool, int, float, str or None
        None for None, NA and NaT of pandas, and what NumPy has masked. A float may be NaN.

    Raises
    ------
    TypeError
        It is none of these, nor a scalar of NumPy, a Decimal or a Fraction that stands for one.
    ValueError, OverflowError
        It is a whole number of more than 64 bits, or text that is too long or is not Unicode.

    Examples
    --------
    >>> scalar(np.float32(0.5)), scalar(np.array(3)), scalar(Decimal("0.1"))
    (0.5, 3, 0.1)
    >>> scalar(10**400)
    Traceback (most recent call last):
    OverflowError: a whole number must fit into 64 bits with its sign; got one of 1329
    """
    kind = type(value)
    if kind is float or kind is bool or value is None:
        return value  # type: ignore[return-value]  # as its type says
    for known, convert in _CONVERSIONS:
        if issubclass(kind, known):
            return convert(value)
    if kind is Fraction:  # any other may be registered as one
        return Fraction.__float__(cast(Fraction, value))
    if not _is_missing(kind):
        raise _not_scalar(value)
    return None


def own_copy(fields: Fields) -> Fields:
    """Return a copy of an event's fields that user code may change, nested values too.

    Examples
    --------
    >>> fields = {"tags": ["new"], "n": 1}
    >>> own_copy(fields)["tags"].append("old")
    >>> fields
    {'tags': ['new'], 'n': 1}
    """
    copy = fields.copy()
    if not _SCALAR_TYPES.issuperset(map(type, copy.values())):
        for name, value in copy.items():
            copy[name] = _copied(value)
    return copy


class contained:  # noqa: N801 - reads like contextlib.suppress
    """Suppress whatever user code raises in the block, but for what is passed on.

    Examples
    --------
    >>> with contained():
    ...     raise SystemExit
    """

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> bool:
        return kind is None or not issubclass(kind, PASSED_ON)


def shown(value: object) -> str:
    """Return a value as a message quotes it: in one line, shortened, whatever its `__repr__` does.

    Examples
    --------
    >>> shown("a"), len(shown("a" * 10_000))
    ("'a'", 200)
    """
    with contained():
        return " ".join(_repr.repr(value).split())[:_LONGEST_SHOWN]
    return f"an object of {type.__repr__(type(value))}"


def told(error: BaseException) -> str:
    r"""Return the type and the text of an exception, in one line, whatever its `__str__` does.

    Examples
    --------
    >>> told(ValueError("two\nlines"))
    'ValueError: two lines'
    """
    text = ""
    with contained():
        text = " ".join(str(error)[:_LONGEST_SHOWN].split())
    return f"{type(error).__name__}: {text}"


def _long(value: int) -> int:
    bits = int.bit_length(value)
    if bits <= 64:
        plain = int.__pos__(value)
        if _LEAST_LONG <= plain <= _LARGEST_LONG:
            return plain
    raise OverflowError(f"a whole number must fit into 64 bits with its sign; got one of {bits}")


def _text(value: str) -> str:
    plain = str.__str__(value)  # a subclass may have methods of its own
    if len(plain) > LONGEST_TEXT:
        raise ValueError(f"text must have at most {LONGEST_TEXT} characters; got {len(plain)}")
    if not plain.isascii():
        plain.encode()  # half a character cannot be written
    return plain


def _of_numpy(value: np.generic) -> Scalar | None:
    kind = type(value)
    if issubclass(kind, (np.bool_, np.integer)) and not issubclass(kind, np.timedelta64):
        return scalar(np.generic.item(value))
    for each in _NUMPY_FLOATS:
        if issubclass(kind, each):
            return each.__float__(value)
    raise _not_scalar(value)


def _of_array(array: _Array) -> Scalar | None:
    if np.ndarray.ndim.__get__(array):
        raise _not_scalar(array)
    if isinstance(array, np.ma.MaskedArray) and np.any(np.ma.getmaskarray(array)):
        return None
    found = np.ndarray.item(array)
    if isinstance(found, np.ndarray):  # which may hold itself
        raise _not_scalar(array)
    return scalar(found)


_CONVERSIONS: tuple[tuple[type, Callable[..., Scalar | None]], ...] = (
    (int, _long),
    (str, _text),
    (float, float.__pos__),  # numpy.float64 too
    (np.generic, _of_numpy),
    (np.ndarray, _of_array),
    (Decimal, Decimal.__float__),
)


def _is_missing(kind: type) -> bool:
    name = type.__repr__(kind)
    return name.startswith("<class 'pandas.") and name.endswith(_MISSING_IN_PANDAS)


def _not_scalar(value: object) -> TypeError:
    return TypeError(f"a boolean, a number or text is needed; got {shown(value)}")


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
