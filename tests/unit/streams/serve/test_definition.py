"""What a description says is enough to read events and labels as ingest does."""

from __future__ import annotations

import json

import pytest

from millrace import Header, MessageKey, PayloadHash, catalogue
from millrace.models.identity.definition import describe
from millrace.schemas import RecordError, RejectReason
from millrace.streams.operators.routing import partition_of
from millrace.streams.serve.definition import InputReader, ServedDefinition
from millrace.streams.serve.problems import of_record_error

MODELS = {
    "regression": {"m": catalogue.linear_regression},
    "binary": {"m": catalogue.logistic_regression},
    "multiclass": {"m": catalogue.gaussian_naive_bayes},
}


@pytest.fixture
def make_served(make_pipeline):
    """Make a definition from the description of a pipeline, as the topic has it."""

    def make(**changes):
        description = json.loads(json.dumps(describe(make_pipeline(**changes))))
        return ServedDefinition.of(description, "1f9a")

    return make


def read(definition, kind="event", **document):
    value = json.dumps({"a": 1, "b": 1, **document} if kind == "event" else document).encode()
    return getattr(InputReader(definition, 10_000), kind)(value)


def test_an_id_is_that_which_predictions_have(make_served, avro):
    """Of several fields, under an alias, a number that was sent as text: as ingest reads it."""
    fields = {"a": "double", "b": "double", "y": ["null", "boolean"]}
    schema = avro(order="long", line="int", **fields)
    schema["fields"][0]["aliases"] = ["order_id"]
    definition = make_served(
        schema=schema, event_id=("order", "line"), numbers_as_text=["order", "line"]
    )
    found = read(definition, order_id="0044", line=7, y=None)
    assert found.event_id == found.routed_by == "44:7"
    assert read(definition, "label", event_id="044:7", label=True).event_id == "44:7"


def test_a_key_says_where_the_record_goes(make_served, avro):
    """With the scope `key`, that of an event and that of its label."""
    schema = avro(id="string", who=["null", "long"], a="double", b="double", y=["null", "boolean"])
    definition = make_served(schema=schema, key="who", scope="key")
    event = read(definition, id="e1", who=17, y=None)
    label = read(definition, "label", event_id="e1", label=True, key="17")
    assert event.routed_by == label.routed_by == "17"
    assert definition.partition("17", 8) == partition_of("17", 8)
    with pytest.raises(RecordError) as error:
        definition.partition(read(definition, "label", event_id="e1", label=True).routed_by, 8)
    assert error.value.reason is RejectReason.MISSING_KEY


def test_one_model_means_one_partition(make_served):
    """With the scope `global`, whatever the id."""
    assert make_served().partition("e1", 8) == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"event_id": MessageKey()}, "event_id of the pipeline is MessageKey"),
        ({"event_id": ("id", PayloadHash())}, "event_id of the pipeline is PayloadHash"),
        ({"key": Header("who")}, "key of the pipeline is Header"),
        ({"event_time": Header("at")}, "event_time of the pipeline is Header"),
        ({}, ""),
    ],
)
def test_what_http_does_not_have_is_named(make_served, changes, named):
    """Such events are refused; labels are not."""
    definition = make_served(**changes)
    assert definition.refusal.startswith(named)
    assert bool(definition.refusal) is bool(named)
    assert read(definition, "label", event_id="e1", label=True).event_id == "e1"


@pytest.mark.parametrize("value", [b"", b"\xc3\x01odd", b"\0\0\0\0\1odd", b"[1]"])
def test_only_objects_in_json_are_read(make_served, value):
    """Avro is for Kafka."""
    with pytest.raises(RecordError) as error:
        InputReader(make_served(), 10_000).event(value)
    assert error.value.reason is RejectReason.WRONG_SHAPE


@pytest.mark.parametrize(
    ("task", "types", "classes", "good", "bad"),
    [
        ("regression", "double", None, [1, -2.5], ["x", True, 10**400]),
        ("binary", "boolean", None, [True, 0], ["true", 2, 1.0]),
        ("multiclass", "string", ["a", "b"], ["a"], ["c", 1, True]),
        ("multiclass", "long", None, [7], ["7", True, 7.0]),
        ("multiclass", {"type": "enum", "name": "E", "symbols": ["a", "b"]}, None, ["b"], ["c"]),
    ],
)
def test_a_label_that_no_model_may_learn_is_refused(
    make_served, avro, task, types, classes, good, bad
):
    """As ingest would, and the problem names the field: in a label, or in an event."""
    schema = avro(id="string", a="double", b="double", y=["null", types])
    served = make_served(schema=schema, task=task, classes=classes, models=MODELS[task])
    for each in good:
        assert read(served, "label", event_id="e1", label=each)
    for each in bad:
        with pytest.raises(RecordError) as error:
            read(served, "label", event_id="e1", label=each)
        assert of_record_error(error.value).document["field"] == "label"
        with pytest.raises(RecordError) as error:
            read(served, id="e1", y=each)
        assert of_record_error(error.value).document["field"] == "y"


def test_a_very_long_class_is_refused(make_served, avro):
    """As a very long id is: many of them are kept."""
    schema = avro(id="string", a="double", b="double", y=["null", "string"])
    served = make_served(schema=schema, task="multiclass", models=MODELS["multiclass"])
    for kind, document in (
        ("label", {"event_id": "e1", "label": "x" * 2_000}),
        ("event", {"id": "e1", "y": "x" * 2_000}),
    ):
        with pytest.raises(RecordError, match="the label must have at most 1024 bytes"):
            read(served, kind, **document)
