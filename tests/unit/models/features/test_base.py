"""The interface of features: what a stateless one leaves out, and what a stateful one asks for."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from millrace import calendar, derived, fields, rolling
from millrace.models.features import Feature, StatelessFeature, Store
from millrace.models.features.base import check_field, require
from millrace.schemas import DefinitionError


class Doubled(StatelessFeature):
    names = ("doubled",)

    def check(self, schema):
        check_field("Doubled(): field", "amount", schema)

    def extract(self, event):
        return {"doubled": event["fields"]["amount"] * 2}


def test_a_stateless_feature_is_bound_without_a_store(event):
    """It only extracts: it becomes its own method, and asks for no store."""

    def no_stores(store):
        raise AssertionError(f"asked for {store}")

    extract = Doubled().bind(no_stores)
    assert extract(event(amount=2)) == {"doubled": 4}


def test_a_feature_says_what_it_gives_and_how(payment):
    """Names, a check and a function are required of every feature."""
    for kind, missing in ((Feature, "bind, check, names"), (StatelessFeature, "check, extract")):
        with pytest.raises(TypeError, match=f"abstract methods {missing}"):
            kind()
    Doubled().check(payment)


@pytest.mark.parametrize(
    "feature",
    [
        fields("a"),
        derived("a", abs),
        calendar("hour"),
        rolling("a", "sum", window=timedelta(hours=1)),
    ],
    ids=lambda feature: type(feature).__name__,
)
def test_features_do_not_change(feature):
    """A definition holds what it was checked with."""
    for name in vars(feature):
        with pytest.raises(FrozenInstanceError):
            setattr(feature, name, "other")


def test_stores_of_one_name_are_the_same():
    """What a feature asks for is identified by its name."""
    assert Store[int]("counts") == Store[int]("counts") != Store[int]("sums")
    assert Store[int]("counts").name == "counts"


def test_a_field_is_one_of_the_schema_that_a_model_can_see(payment):
    """The message names the parameter, what it must be, and what was given."""
    for name in ("amount", "country", "approved"):
        check_field("by", name, payment)
    with pytest.raises(DefinitionError) as caught:
        check_field("by", "amuont", payment)
    assert str(caught.value) == (
        "by must be a field of the schema, one of ('amount', 'country', 'approved', 'tags');"
        " got 'amuont'. Did you mean 'amount'?"
    )
    with pytest.raises(DefinitionError) as caught:
        check_field("by", "tags", payment)
    assert str(caught.value) == (
        "by must be a field of numbers, booleans or text; use derived() for another; got 'tags'"
    )


def test_a_requirement_that_is_met_passes():
    """Only what does not hold is an error."""
    require(True, "limit must be above 0", 1)
    with pytest.raises(DefinitionError, match=r"^limit must be above 0; got 0$"):
        require(False, "limit must be above 0", 0)
