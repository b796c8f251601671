"""A label, and a row that is gone, name an event by the text that the event's own id has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.features import fields
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.record_parts import Header
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import shipped
from millrace.streams.operators.routing import routing_key
from tests.unit.streams.operators.test_ingest_parts import as_json, fed

ORDER = {"type": "record", "name": "O", "fields": [{"name": "id", "type": "long"}]}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Line",
    "fields": [
        {"name": "order", "type": ORDER},
        {"name": "line", "type": "int"},
        {"name": "shop", "type": ["null", "long"], "default": None},
        {"name": "size", "type": "double"},
    ],
}
ID = ("order.id", "line", Header("shop"))
ZRH = (("shop", b"zrh"),)


def pipeline(event_id: Any, numbers: Any = ("order.id", "shop"), **more: Any) -> Pipeline:
    given: dict[str, Any] = {"name": "p", "schema": SCHEMA, "task": "binary"}
    given |= {"models": {"bayes": GaussianNB}, "features": [fields("size")]}
    return Pipeline(**given | {"event_id": event_id, "numbers_as_text": numbers} | more)


def labelled(event_id: Any) -> Pipeline:
    return pipeline(event_id, labels=[LabelSource("shipments", event_id=event_id, label="y")])


@pytest.mark.parametrize("written", ["0044", " 44", "+44", "44", 44])
@pytest.mark.parametrize(("event_id", "found"), [(ID, "44:1:zrh"), ("order.id", "44")])
def test_a_number_in_the_id_of_a_label(written: Any, event_id: Any, found: str) -> None:
    """However it is written, on the topic of events and on that of labels, the id is the same."""
    definition = labelled(event_id)
    event = {"order": {"id": written}, "line": 1, "size": 1.5}
    label = {"order": {"id": written}, "line": 1, "y": True}
    made = [
        *fed(definition, *as_json(event), headers=ZRH),
        *fed(definition, *as_json(label), topic="@shipments", headers=ZRH),
    ]
    assert [each.type for each in made] == ["Event", "Label"]
    assert {each.value["event_id"] for each in made} == {found}


@pytest.mark.parametrize("topic", ["labels", "events"])
@pytest.mark.parametrize(
    ("event_id", "written", "found"),
    [
        ("order.id", "0044", "44"),
        ("order.id", 44, "44"),
        (("order.id", "line"), "0044:1", "44:1"),
        (("line", Header("shop"), "order.id"), r"1:a\:b\\:0044", r"1:a\:b\\:44"),
        (("order.id", "line"), "0044", "0044"),
        (("order.id", "line"), "0044:1:zrh", "0044:1:zrh"),
        (("order.id", "line"), "0044:\\", "0044:\\"),
    ],
)
def test_a_label_in_our_own_form(topic: str, event_id: Any, written: Any, found: str) -> None:
    """Its id is brought to the same text, in JSON and in Avro; one of other parts is left alone."""
    label = {"event_id": written, "label": True, "label_time_ms": None, "key": None}
    avro = shipped("label").encode({**label, "event_id": str(written), "source": None})
    values = [avro] if topic == "events" else [avro, *as_json(label)]
    for made in fed(pipeline(event_id), *values, topic=topic):
        assert (made.type, made.value["event_id"]) == ("Label", found)


@pytest.mark.parametrize("numbers", [(), ("shop",)])
def test_an_id_that_no_number_may_be_text_in(numbers: Any) -> None:
    """It stays as it is: so would that of an event."""
    label = {"event_id": "0044", "label": True}
    (made,) = fed(pipeline("order.id", numbers), *as_json(label), topic="labels")
    assert made.value["event_id"] == "0044"


def test_the_key_of_a_label() -> None:
    """It is brought to the text of the event's, too, or else another model would be asked."""
    definition = pipeline("line", key="shop", scope="key")
    event = {"order": {"id": 1}, "line": 1, "shop": "007", "size": 1.5}
    label = {"event_id": "1", "label": True, "key": "007"}
    made = [*fed(definition, *as_json(event)), *fed(definition, *as_json(label), topic="labels")]
    assert [(each.type, each.value["key"]) for each in made] == [("Event", "7"), ("Label", "7")]
    assert routing_key(definition, "1", "007") == "7"


def test_what_is_no_number_names_no_event() -> None:
    """Such a label is rejected, as such an event is; whoever produces it is not held up."""
    label = {"event_id": "x", "label": True}
    (made,) = fed(pipeline("order.id"), *as_json(label), topic="labels")
    assert made.value["reason"] == "ill_typed_field"
    assert "field 'order.id' must be a whole number; got 'x'" in made.value["detail"]
    assert routing_key(pipeline("order.id"), "x", None) == "x"
    (made,) = fed(pipeline("order.id"), *as_json({"event_id": "", "label": True}), topic="labels")
    assert made.value["reason"] == "missing_id"


def test_a_row_that_is_gone() -> None:
    """Its event is found, by the row as it was and by the record's key."""
    definition = pipeline(("order.id", "line"), events=[Source("lines", envelope="debezium")])
    row = {"order": {"id": "0044"}, "line": 1, "size": "1.5"}
    (by_row,) = fed(definition, *as_json({"op": "d", "before": row}), topic="@lines")
    (by_key,) = fed(definition, None, topic="@lines", key=json.dumps(row).encode())
    assert [each.value["event_id"] for each in (by_row, by_key)] == ["44:1", "44:1"]


def test_a_path_into_a_list() -> None:
    """The reject says that a path goes through objects alone."""
    source = LabelSource("verdicts", event_id="items.0.id", label="y")
    definition = pipeline("line", labels=[source])
    value = as_json({"items": [{"id": 7}], "y": True})
    (made,) = fed(definition, *value, topic="@verdicts")
    assert made.value["reason"] == "missing_id"
    assert "the path 'items.0.id' leads into a list" in made.value["detail"]
