"""The topics that sources have where a pipeline runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import EventsAndLabels, LabelSource, Source
from millrace.schemas import SettingsError
from millrace.streams.topology.sources import sources_of

Make = Callable[..., Pipeline]


def test_each_by_its_name_here(make_pipeline: Make) -> None:
    """A topic with the pipeline's prefix is called without it; any other is foreign."""
    verdicts = LabelSource("verdicts", event_id="id", label="y")
    events = [Source("rows"), Source("p.more"), Source("p.events", envelope="debezium")]
    pipeline = replace(make_pipeline(), name="p", events=events, labels=[verdicts])
    found = sources_of(pipeline, {"rows": "shop.rows"})
    assert [*found] == ["@shop.rows", "more", "events", "@verdicts"]
    assert [*found.values()] == [*events, verdicts]


def test_two_sources_of_one_topic_are_refused(make_pipeline: Make) -> None:
    """Its records could be read in one way only."""
    pipeline = replace(make_pipeline(), events=[Source("a"), Source("b")])
    with pytest.raises(SettingsError, match="got 'c' for 'a' and for 'b'"):
        sources_of(pipeline, {"a": "c", "b": "c"})


def test_a_topic_of_events_and_of_labels(make_pipeline: Make) -> None:
    """It is one topic under one name here; two topics of a definition are never one here."""
    rows, labels = Source("rows"), LabelSource("rows", event_id="id", label="y")
    pipeline = replace(make_pipeline(), events=[rows, Source("b")], labels=[labels])
    found = sources_of(pipeline, {"rows": "shop.rows"})
    assert found == {"@shop.rows": EventsAndLabels(rows, labels), "@b": Source("b")}
    assert (found["@shop.rows"].topic, found["@shop.rows"].start) == ("rows", "earliest")
    with pytest.raises(SettingsError, match="got 'b' for 'b' and for 'rows'"):
        sources_of(replace(pipeline, events=[Source("b")]), {"rows": "b"})


@pytest.mark.parametrize(
    "topic", ["predictions", "clean", "rejects", "commands", "state.ingest", "order.ingest"]
)
def test_a_topic_that_millrace_writes_to_is_refused(make_pipeline: Make, topic: str) -> None:
    """A pipeline that read what it says would never come to rest."""
    pipeline = replace(make_pipeline(), name="p", events=[Source(f"p.{topic}")])
    with pytest.raises(SettingsError, match="which Millrace writes to"):
        sources_of(pipeline, {})
