"""What a user's function returns reaches the vector, or the event is rejected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from millrace import derived
from millrace.schemas import DefinitionError, RecordError, RejectReason


def test_the_function_sees_the_fields(event, bind):
    """The result goes into the vector under the given name."""
    ratio = derived("ratio", lambda each: each["debt"] / each["income"])
    assert bind(ratio)(event(debt=1.0, income=4.0)) == {"ratio": 0.25}


def test_none_is_absent(event, bind):
    """A function may return None where the feature is missing."""
    assert bind(derived("x", lambda each: each["x"]))(event(x=None)) == {}


@pytest.mark.parametrize("value", [True, 0, -1.5, "", "text"])
def test_booleans_numbers_and_text_are_unchanged(value, event, bind):
    """Values that a model can see keep their type."""
    found = bind(derived("x", lambda _: value))(event())["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "plain"), [(np.int32(3), 3), (np.bool_(True), True), (np.array(0.5), 0.5)]
)
def test_numpy_scalars_become_python_values(value, plain, event, bind):
    """NumPy's scalars, arrays of no dimension among them, become Python's own."""
    found = bind(derived("x", lambda _: value))(event())["x"]
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda each: each["x"] / 0, "raised ZeroDivisionError('division by zero')"),
        (lambda each: each["nope"], "raised KeyError('nope')"),
        (lambda each: [each["x"]], "must return a boolean, a number, text or None; got [1]"),
        (lambda each: np.array([1]), "must return a boolean, a number, text or None; got array"),
        (lambda each: math.nan, "must return a finite number; got nan"),
        (lambda each: -math.inf, "must return a finite number; got -inf"),
        (lambda each: np.float32("nan"), "must return a finite number; got nan"),
    ],
)
def test_what_is_wrong_is_an_error_of_the_record(function, message, event, bind):
    """A function that raises or returns anything else leads to a reject that names it."""
    with pytest.raises(RecordError) as caught:
        bind(derived("x", function))(event(x=1))
    assert caught.value.reason is RejectReason.FEATURE_ERROR
    assert caught.value.detail.startswith(f"derived('x') {message}")


def test_the_exception_is_the_cause(event, bind):
    """Where the user's function raised can be found from the error."""
    with pytest.raises(RecordError) as caught:
        bind(derived("x", lambda _: 1 / 0))(event())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_required(name):
    """It is checked when the pipeline is loaded."""
    with pytest.raises(DefinitionError, match=rf"^derived\(\): name must be text; got {name!r}$"):
        derived(name, len)


def test_a_function_is_required():
    """Anything that can be called will do."""
    with pytest.raises(
        DefinitionError,
        match=r"^derived\('x'\): function must be a callable that returns a value; .* 3$",
    ):
        derived("x", 3)


def test_any_schema_will_do(payment):
    """Only the function knows what it reads."""
    feature = derived("x", len)
    feature.check(payment)
    assert feature.names == ("x",)


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit(2), GeneratorExit(), StopIteration(), Interrupt()])
def test_nothing_that_it_raises_gets_past(error, event, bind):
    """What would end the process is an error of the record, too."""

    def function(_):
        raise error

    with pytest.raises(RecordError, match=type(error).__name__):
        bind(derived("x", function))(event())


def test_an_interrupt_gets_past(event, bind):
    """Somebody wants the process to end."""

    def function(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bind(derived("x", function))(event())


def test_it_may_change_what_it_is_given(event, bind):
    """The event that the other features see stays as it is, nested values too."""

    def function(each):
        each["tags"].append("mine")
        each["by"]["k"].clear()
        return len(each.pop("tags"))

    given = event(tags=["a"], by={"k": [1]}, n=1)
    extract = bind(derived("x", function))
    assert [extract(given), extract(given)] == [{"x": 2}, {"x": 2}]
    assert given["fields"] == {"tags": ["a"], "by": {"k": [1]}, "n": 1}


@pytest.mark.parametrize("value", ["x" * 1_000_001, "\ud800", 2**63, 10**400])
def test_what_cannot_be_written_is_refused(value, event, bind):
    """Text without an end, half a character, a number of more than 64 bits."""
    with pytest.raises(RecordError, match="returned what cannot be written") as caught:
        bind(derived("x", lambda _: value))(event())
    assert len(caught.value.detail) < 300
