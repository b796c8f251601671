"""What is shown as an example is what the pipeline takes, and what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import shipped
from millrace.schemas.codec.documents import document_reader
from millrace.schemas.codec.parsing import parse_record
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.json_schema import JsonSchemas
from millrace.streams.docs.produced import Produced
from millrace.streams.docs.values import TIME_MS, made_up
from millrace.streams.docs.wrapping import label_example, wrapping_of
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import (
    EventRecord,
    LabelRecord,
    Origin,
    PredictionRecord,
    RawRecord,
    Record,
    RejectRecord,
)
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import no_registry
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.sources import sources_of
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.streams.docs.definitions import DEFINITIONS, shop
from tests.unit.streams.docs.fitting import fits

NOW_MS = TIME_MS + 1_000 * 86_400_000
PARTITIONS = 4
Ingest = Callable[[str, Produced], list[Record]]


@pytest.fixture
def ingest(pipeline: Pipeline) -> Ingest:
    """Return what ingest makes of a record on a topic."""
    operator = IngestOperator(pipeline, PARTITIONS, no_registry, 10_000, sources_of(pipeline, {}))
    return lambda topic, record: operator.run(Slice([raw(topic, record)]))


def raw(topic: str, record: Produced) -> Record:
    """Return a record as it is read."""
    key = None if record.key is None else record.key.encode()
    headers = tuple((name, text.encode()) for name, text in record.headers.items())
    return RawRecord.of(Origin(topic, 0, 0, NOW_MS, key, record.data, headers))


def plain(value: Any) -> Produced:
    """Return a record of a value alone."""
    return Produced(value, None, {})


def topic_of(source: Source | None) -> str:
    """Return what a topic is called in the code."""
    return "events" if source is None else f"@{source.topic}"


def test_the_event_is_an_event(pipeline: Pipeline, ingest: Ingest) -> None:
    """Ingest takes the example of an event, with the id and the key that are named."""
    examples = Examples(pipeline)
    (made,) = ingest(topic_of(examples.source), examples.event)
    assert isinstance(made, EventRecord)
    assert (made.value["event_id"], made.value["key"]) == (examples.event_id, examples.key)
    assert made.value["label"] is None


def test_the_label_is_a_label_of_that_event(pipeline: Pipeline, ingest: Ingest) -> None:
    """Ingest takes the example of a label, and sends it to where its event is."""
    examples = Examples(pipeline)
    (event,) = ingest(topic_of(examples.source), examples.event)
    (label,) = ingest("labels", plain(examples.label))
    assert isinstance(label, LabelRecord)
    assert label.value["event_id"] == examples.event_id
    assert label.partition == event.partition


def test_an_event_of_a_source_is_an_event(pipeline: Pipeline, ingest: Ingest) -> None:
    """Ingest takes the example of an event from its envelope."""
    examples = Examples(pipeline)
    for each in pipeline.events:
        if each.decode is None:
            (made,) = ingest(topic_of(each), examples.event_on(each))
            assert isinstance(made, EventRecord)


def test_a_label_of_a_source_is_that_label(pipeline: Pipeline, ingest: Ingest) -> None:
    """Ingest reads the example of a label in the form of others, unless their code does."""
    examples = Examples(pipeline)
    for each in pipeline.labels:
        row = label_example(each, examples.label)
        if row is not None:
            (made,) = ingest(f"@{each.topic}", plain(wrapping_of(each).example(row, {})))
            assert isinstance(made, LabelRecord)
            assert made.value["event_id"] == examples.event_id


def test_the_prediction_is_in_the_form_of_predictions(pipeline: Pipeline) -> None:
    """The example of a prediction has the fields of the schema, with their types."""
    written = JsonSchemas(are_written=True)
    schema = written.of(shipped("prediction").schema)
    assert fits(Examples(pipeline).prediction, schema, written.named)


def test_the_prediction_is_like_that_of_the_pipeline(pipeline: Pipeline) -> None:
    """A task that is given the event predicts it, with the features that are shown."""
    if pipeline.name == "shop":  # of which one feature raises
        pipeline = shop(features=[*pipeline.features[:3], *pipeline.features[4:]])
    examples = Examples(pipeline)
    agent = AgentSpec(OPERATORS)
    factory = TaskFactory(
        pipeline=pipeline,
        agent=agent,
        clean_partitions=1,
        max_event_bytes=10_000,
        clock_ms=lambda: NOW_MS,
    )
    made = factory.make().fold(Slice([raw(topic_of(examples.source), examples.event)]))
    rejects = [each.value["detail"] for each in made if isinstance(each, RejectRecord)]
    assert rejects == []
    (columns,) = [each for each in made if each.topic == "predictions"]
    (prediction,) = [columns] if isinstance(columns, PredictionRecord) else columns.records()
    is_timed = pipeline.event_time is not None  # else it is the time of the record
    for field in ("event_id", "key", "features", "model", *(["event_time_ms"] * is_timed)):
        assert prediction.value[field] == examples.prediction[field]


@pytest.mark.parametrize(
    ("definition", "names"),
    [("loans", {"true", "false"}), ("shop", {"fraud", "ok"}), ("trump_approval", set())],
)
def test_classes_have_the_names_of_json(definition: str, names: set[str]) -> None:
    """Probabilities are of all classes, by name, and sum up to one; numbers have none."""
    probabilities = Examples(DEFINITIONS[definition]()).prediction["probabilities"]
    assert probabilities.keys() == names
    assert sum(probabilities.values()) == pytest.approx(1 if names else 0)


def test_a_feature_that_raises_is_left_out() -> None:
    """Code of the user's own that cannot take made-up values takes nothing else away."""
    features = Examples(shop()).prediction["features"]
    assert [*features] == ["price", "is_dear", "unit_price", "price_mean_1h"]


def test_an_event_is_as_late_as_it_must_be() -> None:
    """The example's event time is one that the pipeline accepts."""
    earliest = datetime(2040, 1, 1, tzinfo=UTC)
    later = shop(earliest=earliest, max_ahead=timedelta(days=1))
    assert Examples(later).event.value["at"] / 1_000_000 > earliest.timestamp()


@given(schemas(as_json=True))
def test_a_value_is_made_up_for_any_schema(drawn: Drawn) -> None:
    """The reader of JSON takes what is made up for a record of any types."""
    declared = parse_record(drawn.declared)
    value = json.loads(json.dumps(made_up(declared)))
    assert document_reader(declared)(value)


def test_a_label_may_be_under_one_name_with_its_event() -> None:
    """Paths that share a part lead into one object."""
    source = LabelSource("reviews", event_id="order.id", label="order.verdict")
    assert label_example(source, {"event_id": "7", "label": True, "label_time_ms": 1}) == {
        "order": {"id": "7", "verdict": True}
    }


def test_a_label_has_a_time_where_its_event_has_one() -> None:
    """Where events have no time of their own, they are produced later than any time made up."""
    timed = shop()
    assert "label_time_ms" in Examples(timed).label
    assert "label_time_ms" not in Examples(shop(event_time=None)).label
