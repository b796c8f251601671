"""What comes back is compared with all definitions that there were, not with the last one only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from river import linear_model, naive_bayes

from millrace.models.features import derived, fields
from millrace.models.identity.changes import changes
from millrace.models.identity.definition import describe
from millrace.models.identity.past import remembered
from millrace.models.identity.summary import Changes
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.fate import Fate
from tests.unit.models.identity.conftest import SCHEMA, Make, bayes, per_year


def followed(*pipelines: Pipeline) -> Changes:
    """Return what the last of some definitions changes, each of which was in force."""
    past = None
    *before, last, now = (json.loads(json.dumps(describe(each))) for each in pipelines)
    for each in before:
        past = remembered(past, each)
    return changes(last, now, past=past)


def per_decade(event: dict[str, Any]) -> float:
    return float(event["price"] / event["age"] * 10)


def schema(*more: dict[str, Any]) -> dict[str, Any]:
    return {**SCHEMA, "fields": [*SCHEMA["fields"], *more]}


PLAIN = [fields("age")]
WITH = [fields("age"), derived("rate", per_year)]
OTHER = [fields("age"), derived("rate", per_decade)]


def test_a_feature_that_comes_back_means_what_it_did(visits: Make) -> None:
    """However many definitions were in between; with another meaning it is refused."""
    one, gone, again, other = (visits(features=each) for each in (WITH, PLAIN, WITH, OTHER))
    for between in ([gone], [gone, gone, visits(rolling_window=7, features=PLAIN)]):
        assert not followed(one, *between, again).refused
        (reason,) = followed(one, *between, other).refused
        assert reason.startswith("features['rate'] must mean what it did")
        assert "another name" in reason
    assert not followed(gone, other).refused


def test_a_feature_that_comes_back_can_be_compared(visits: Make) -> None:
    """One whose source cannot be found is refused, as it is where it was in force."""
    unknown: dict[str, Any] = {}
    exec("def rate(event): return 1.0", unknown)
    hidden = visits(features=[fields("age"), derived("rate", unknown["rate"])])
    one, gone = visits(features=WITH), visits(features=PLAIN)
    for first, last in ((one, hidden), (hidden, one)):
        (reason,) = followed(first, gone, last).refused
        assert "of which a change is seen" in reason


def test_a_candidate_that_comes_back_begins_untrained(visits: Make) -> None:
    """Whatever it is made by, since nothing is kept of what was removed; the summary says so."""
    linear, other = linear_model.LogisticRegression, naive_bayes.BernoulliNB
    one, gone = visits(), visits(models={"linear": linear})
    for made_by in (bayes, other):
        found = followed(one, gone, visits(models={"linear": linear, "bayes": made_by}))
        assert found.candidates["bayes"] is Fate.BEGINS
        assert not found.refused
        assert any(each.startswith("models['bayes'] was there before") for each in found.notes)
    assert not followed(gone, one).notes


@pytest.mark.parametrize(
    ("first", "second", "third", "refused"),
    [
        ({"type": "string", "default": ""}, None, {"type": "int", "default": 0}, True),
        ({"type": "string", "default": ""}, None, {"type": "string", "default": "x"}, False),
        ({"type": "int", "default": 0}, None, {"type": "long", "default": 0}, False),
        ({"type": "int", "default": 0}, {"type": "long", "default": 0}, None, False),
        ({"type": "int"}, {"type": "int", "default": 0}, None, False),
    ],
    ids=["other type", "the same", "promoted", "removed", "given a default and removed"],
)
def test_events_of_any_schema_can_be_read(
    first: dict[str, Any] | None,
    second: dict[str, Any] | None,
    third: dict[str, Any] | None,
    refused: bool,
    visits: Make,
) -> None:
    """They may still be on the topics, though they were written under an earlier definition."""
    pipelines = [
        visits(schema=schema(*([] if each is None else [{"name": "extra", **each}])))
        for each in (first, second, third)
    ]
    found = followed(*pipelines).refused
    assert bool(found) is refused
    assert all(each.startswith("schema: field 'extra': ") for each in found)


def test_an_earlier_schema_may_come_back(visits: Make) -> None:
    """Events of it, and of those since, can be read."""
    extra = {"name": "extra", "type": "int", "default": 0}
    assert not followed(visits(), visits(schema=schema(extra)), visits()).refused


def test_each_reason_is_given_once(visits: Make) -> None:
    """What does not fit the last schema, and those before, is one reason."""
    text, number = (
        {"name": "extra", "type": kind, "default": value}
        for kind, value in (("string", ""), ("int", 0))
    )
    one, two = visits(schema=schema(text)), visits(schema=schema({**text, "doc": "Text."}))
    assert len(followed(one, two, visits(schema=schema(number))).refused) == 1
