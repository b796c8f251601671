"""What user code returns is converted or refused in constant time, whatever its classes define."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from millrace.models.user_code import (
    LONGEST_TEXT,
    PASSED_ON,
    contained,
    own_copy,
    scalar,
    shown,
    told,
)
from millrace.schemas import BrokerError


def forbidden(*_: object) -> Any:
    """Stand for a method that must not be called: it may never return."""
    raise LookupError("called")


class OddInt(int):
    __int__ = __index__ = __pos__ = __eq__ = __lt__ = __repr__ = forbidden
    __hash__ = forbidden


class OddFloat(float):
    __float__ = __pos__ = __eq__ = __repr__ = forbidden
    __hash__ = forbidden


class OddText(str):
    __str__ = __len__ = __eq__ = encode = isascii = forbidden  # type: ignore[assignment]
    __hash__ = forbidden  # type: ignore[assignment]


class OddFloat32(np.float32):
    __float__ = item = forbidden  # type: ignore[assignment]


class OddArray(np.ndarray):  # type: ignore[type-arg]
    item = forbidden  # type: ignore[assignment]


class OddDecimal(Decimal):
    __float__ = forbidden


class Odd:
    __eq__ = __repr__ = __getattr__ = forbidden
    __hash__ = forbidden
    __class__ = property(forbidden)  # type: ignore[assignment]


def of_an_odd_class() -> object:
    """Return an object whose class itself must not be looked at."""

    class Meta(type):
        __getattribute__ = __eq__ = forbidden
        __hash__ = forbidden

    class OddClass(metaclass=Meta):
        pass

    return OddClass()


class Level(enum.IntEnum):
    HIGH = 3


class Colour(enum.StrEnum):
    RED = "red"


class Plain(enum.Enum):
    ONE = 1


masked = np.ma.array(5, mask=True)
itself = np.empty((), dtype=object)
itself[()] = itself


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (7, 7),
        (0.5, 0.5),
        ("text", "text"),
        ("Zürich", "Zürich"),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (np.bool_(True), True),
        (np.int8(-3), -3),
        (np.uint64(5), 5),
        (np.float16(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.longdouble(1.5), 1.5),
        (np.str_("sky"), "sky"),
        (np.array(3), 3),
        (np.array("sky"), "sky"),
        (np.array(np.longdouble(2)), 2.0),
        (np.ma.array(5), 5),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 3), 1 / 3),
    ],
    ids=lambda value: type.__repr__(type(value)),
)
def test_scalars_become_pythons_own(value, expected):
    """Of the very type, so that nothing of the user's class goes any further."""
    found = scalar(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: OddInt(5), 5),
        (lambda: OddFloat(2.5), 2.5),
        (lambda: OddText("sky"), "sky"),
        (lambda: OddFloat32(1.5), 1.5),
        (lambda: np.array(4).view(OddArray), 4),
        (lambda: OddDecimal("1.5"), 1.5),
    ],
)
def test_no_method_of_a_subclass_is_called(make, expected):
    """One that compares slowly once walked over all whole numbers there are."""
    found = scalar(make())
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("make", [Odd, of_an_odd_class, lambda: OddInt(2**64)])
def test_what_is_refused_is_not_called_either(make):
    """Not even to be shown."""
    with pytest.raises((TypeError, OverflowError)):
        scalar(make())


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, np.ma.masked, masked, np.array(None)])
def test_what_is_missing_is_none(value):
    """pandas and NumPy have values of their own for it."""
    assert scalar(value) is None


@pytest.mark.parametrize("value", [np.longdouble("1e4000"), Decimal("1e400"), float("inf")])
def test_what_is_too_large_for_a_float_is_infinite(value):
    """Whether that will do, is for the caller to say."""
    assert scalar(value) == float("inf")


@pytest.mark.parametrize(
    "value",
    [
        *(b"x", 1j, [1], (1,), {}, {1}, range(3), object(), object, len, iter([])),
        *(dt.datetime(2026, 1, 1), dt.date(2026, 1, 1), dt.timedelta(1), Plain.ONE),
        *(np.bytes_(b"x"), np.complex64(1), np.void(b"ab"), np.datetime64("2026-01-01")),
        *(np.timedelta64(1, "s"), np.array(np.datetime64("2026-01-01")), np.array([1]), itself),
        *(pd.Timestamp(0), pd.Timedelta(1), pd.Series([1])),
        *(2**63, 10**400, np.uint64(2**63), Fraction(10**400), Decimal("sNaN")),
        *("\ud800", "x" * (LONGEST_TEXT + 1)),
    ],
    ids=lambda value: type.__repr__(type(value)),
)
def test_all_else_is_refused(value):
    """With an error that quotes it, without calling anything that its class defines."""
    with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
        scalar(value)
    assert len(str(raised.value)) < 500


def test_a_copy_shares_no_container():
    """Of the fields that an event has, nested ones too."""
    fields = {"a": 1.0, "tags": ["x", {"y": [1]}], "by": {"k": [2]}}
    copy = own_copy(fields)
    assert copy == fields
    copy["tags"][1]["y"].append(2)
    copy["by"]["k"].clear()
    copy["a"] = 2.0
    assert fields == {"a": 1.0, "tags": ["x", {"y": [1]}], "by": {"k": [2]}}


class Custom(BaseException):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), StopIteration(), Custom()])
def test_whatever_is_raised_is_contained(error):
    """What would end the process or a generator too."""
    with contained():
        raise error
    assert told(error).startswith(type(error).__name__)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, BrokerError])
def test_what_is_not_of_the_record_is_passed_on(error):
    """An interrupt, a lack of memory, the broker."""
    assert issubclass(error, PASSED_ON)
    with pytest.raises(error), contained():
        raise error


def test_anything_can_be_shown():
    """In a few words, whatever its `__repr__` does."""
    assert shown(Odd()) == f"an object of {Odd!r}"
    assert len(shown("x" * 10**6)) <= 200
    assert len(shown([[[1] * 1000] * 1000])) <= 2000
    assert shown(10**5000)
