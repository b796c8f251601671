"""Fields of an event reach the vector as they are, or not at all."""

from __future__ import annotations

import pytest

from millrace import fields
from millrace.schemas import DefinitionError


def test_values_are_unchanged_and_in_the_order_given(event, bind):
    """A model sees the very values, whatever the order of the schema."""
    found = bind(fields("b", "a"))(event(a=1, b="x", c=True))
    assert list(found.items()) == [("b", "x"), ("a", 1)]
    assert type(found["a"]) is int


def test_null_is_absent_and_falsy_is_not(event, bind):
    """Only null counts as missing; 0, False and empty text are values."""
    found = bind(fields("a", "b", "c", "d"))(event(a=None, b=0, c=False, d=""))
    assert found == {"b": 0, "c": False, "d": ""}


def test_the_event_is_not_changed(event, bind):
    """Extracting gives a new mapping."""
    given = event(a=1)
    bind(fields("a"))(given)["a"] = 2
    assert given["fields"] == {"a": 1}


def test_names_are_those_of_the_fields():
    """A feature is called like its field."""
    assert fields("b", "a").names == ("b", "a")


def test_a_field_that_no_model_can_see_is_refused(payment):
    """Every name is checked: one the schema does not have, and one that is an array."""
    fields("amount", "country", "approved").check(payment)
    with pytest.raises(DefinitionError, match=r"^fields\(\): name must be .*got 'amuont'"):
        fields("amount", "amuont").check(payment)
    with pytest.raises(DefinitionError, match=r"^fields\(\): name must be .*got 'tags'"):
        fields("tags", "amount").check(payment)


def test_no_fields_are_refused():
    """A feature that gives nothing is a mistake."""
    with pytest.raises(DefinitionError, match=r"^fields\(\): names must be one or more .*got \(\)"):
        fields()
