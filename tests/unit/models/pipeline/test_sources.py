"""Topics of others are named in a definition, each once, and wrong names are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, OnUpdate, Source
from millrace.models.pipelines import loans
from millrace.schemas import DefinitionError


def test_a_source_has_defaults() -> None:
    """A topic's name is enough."""
    assert Source("payments") == Source("payments", "plain", OnUpdate.IGNORE)
    assert Source("payments", on_update="event").on_update is OnUpdate.EVENT


@pytest.mark.parametrize(
    "topic", ["", ".", "..", "a b", "a/b", "@a", "ä", "a" * 250, None, 7, "a\n"]
)
def test_a_name_that_no_topic_can_have_is_refused(topic: Any) -> None:
    """The error says which letters there may be."""
    with pytest.raises(DefinitionError, match=r"topic of a Source must be up to 249 letters"):
        Source(topic)


def test_a_choice_that_is_none_is_refused() -> None:
    """The error names the choices."""
    with pytest.raises(DefinitionError, match="on_update must be"):
        Source("payments", on_update="label")


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("payments", "events must be a list of Source"),
        (["payments"], "events must be a list of Source"),
        ([Source("a"), Source("b"), Source("a")], "must name each topic once.*'a'"),
    ],
)
def test_a_list_that_is_none_is_refused(events: Any, message: str) -> None:
    """So that no topic is read twice."""
    with pytest.raises(DefinitionError, match=message):
        replace(loans.pipeline, events=events)


def label_source(topic: str, **more: Any) -> LabelSource:
    return LabelSource(topic, event_id="id", label="y", **more)


def test_a_topic_may_be_of_events_and_of_labels() -> None:
    """Each of its records is read as both; as the same it is named once."""
    assert replace(loans.pipeline, events=[Source("a")], labels=[label_source("a")])
    with pytest.raises(DefinitionError, match=r"labels must name each topic once.*'a'"):
        replace(loans.pipeline, labels=[label_source("a"), label_source("b"), label_source("a")])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("a", start="latest"), r"start of Source\('a'\) and of LabelSource\('a'\) must be"),
        (Source("a", envelope="debezium"), r"envelope of .* must be the same.*'debezium', 'plain'"),
    ],
)
def test_what_a_topic_has_once_is_the_same_for_both(source: Source, message: str) -> None:
    """It is read from one place on; with `decode`, each of both has its own form."""
    with pytest.raises(DefinitionError, match=message):
        replace(loans.pipeline, events=[source], labels=[label_source("a")])
    decoded = label_source("a", decode=lambda *_: None, start=source.start)
    assert replace(loans.pipeline, events=[source], labels=[decoded])


def test_the_label_of_a_row_is_no_feature_of_it() -> None:
    """A row of a snapshot has its label already; it must be named as the label, or left out."""
    schema = {
        "type": "record",
        "name": "Row",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "n", "type": "double"},
            {"name": "y", "type": ["null", "boolean"], "default": None},
        ],
    }
    given: dict[str, Any] = {"name": "v", "schema": schema, "event_id": "id", "task": "binary"}
    given |= {"models": {"bayes": GaussianNB}, "events": [Source("a")]}
    assert Pipeline(**given, labels=[label_source("b")])
    with pytest.raises(DefinitionError, match=r"features must not have the label of.*'a'.*'y'"):
        Pipeline(**given, labels=[label_source("a")])
    assert Pipeline(**given, label="y", labels=[label_source("a")])


@pytest.mark.parametrize("scope", ["partition", "key"])
def test_labels_name_the_key_where_models_are_found_by_it(scope: str) -> None:
    """Else nobody would know which models a label is for."""
    schema = {
        "type": "record",
        "name": "Visit",
        "fields": [{"name": each, "type": "string"} for each in ("id", "user", "page")],
    }
    given: dict[str, Any] = {"name": "v", "schema": schema, "event_id": "id", "task": "binary"}
    given |= {"models": {"bayes": GaussianNB}, "scope": scope, "key": "user"}
    with pytest.raises(DefinitionError, match=r"key of LabelSource\('a'\) must be.*'user'"):
        Pipeline(**given, labels=[label_source("a")])
    assert Pipeline(**given, labels=[label_source("a", key="user")]).labels
