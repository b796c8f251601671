"""Rows become the records that a producer would send."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from river import anomaly, stream

from millrace.schemas import shipped
from millrace.streams.replay.encoding import Encoder, in_order

CET = timezone(timedelta(hours=1))
ROWS = [{"id": str(i), "a": i / 2, "b": None, "n": None, "y": i % 2 == 0} for i in range(7)]


@pytest.fixture
def pipeline(make_pipeline, avro):
    nullable = (["null", "double"], None)
    time = {"type": "long", "logicalType": "timestamp-micros"}
    number = (["null", time], None)
    label = (["null", "boolean"], None)
    return make_pipeline(schema=avro(id="string", a="double", b=nullable, n=number, y=label))


def _decoded(pipeline, outgoing):
    return pipeline.event_schema.codec.decode(outgoing.value)


def test_an_event_carries_its_row_and_label(pipeline):
    """A row is sent as Avro of the pipeline's own type, label inside, to partition 0."""
    sent = Encoder(pipeline, 4).event(ROWS[0])
    assert _decoded(pipeline, sent) == ("Loan", ROWS[0])
    assert (sent.key, sent.partition, sent.is_label) == (b"0", 0, False)


def test_an_event_can_be_sent_without_its_label(pipeline):
    """With a delay the label of the event is null, and the row is not changed."""
    row = dict(ROWS[0])
    assert _decoded(pipeline, Encoder(pipeline, 4).event_without_label(row))[1] == {
        **row,
        "y": None,
    }
    assert row == ROWS[0]


def test_a_label_is_a_record_of_its_own(pipeline):
    """It names its event; a row without a label has none."""
    encoder = Encoder(pipeline, 4)
    sent = encoder.label(ROWS[1])
    assert sent is not None
    assert (sent.key, sent.partition, sent.is_label) == (b"1", 0, True)
    assert shipped("label").decode(sent.value) == {
        "event_id": "1",
        "label": False,
        "label_time_ms": None,
        "key": None,
        "source": None,
    }
    assert encoder.label({**ROWS[1], "y": None}) is None
    assert encoder.label({"id": "1"}) is None


def test_without_a_label_in_the_pipeline_there_is_none_to_send(make_pipeline, avro):
    """Events are sent as they are, and no label follows."""
    schema = avro(id="string", a="double")
    models = {"trees": lambda: anomaly.HalfSpaceTrees(seed=1)}
    pipeline = make_pipeline("anomaly", schema=schema, label=None, models=models)
    sent = [*in_order([{"id": "1", "a": 0.5}], Encoder(pipeline, 1), 1)]
    assert [_decoded(pipeline, each)[1] for each in sent] == [{"id": "1", "a": 0.5}]


@pytest.mark.parametrize(
    ("field", "given", "sent"),
    [
        ("id", 17, "17"),
        ("a", 3, 3.0),
        ("y", 1, True),
        ("y", 0, False),
        ("y", np.bool_(True), True),
        ("a", np.float32(0.5), 0.5),
        ("n", np.int8(3), 3),
        ("n", 3.0, 3),
        ("n", pd.NA, None),
        ("n", pd.NaT, None),
        ("n", datetime(2025, 3, 3, 9, 30), 1_740_994_200_000_000),
        ("n", datetime(2025, 3, 3, 10, 30, tzinfo=CET), 1_740_994_200_000_000),
        ("n", pd.Timestamp("2025-03-03T09:30:00"), 1_740_994_200_000_000),
        ("n", np.datetime64("2025-03-03T09:30:00", "ns"), 1_740_994_200_000_000),
        ("n", np.datetime64("2025-03-03T09:30:00", "s"), 1_740_994_200_000_000),
    ],
)
def test_a_cell_is_converted_without_a_loss(pipeline, field, given, sent):
    """Digits, 0 and 1, whole floats, scalars of NumPy and pandas, times in the field's unit."""
    record = _decoded(pipeline, Encoder(pipeline, 4).event({**ROWS[0], field: given}))[1]
    assert record[field] == sent
    assert type(record[field]) is type(sent)


@pytest.mark.parametrize(
    "change",
    [
        *({"a": "three"}, {"y": 2}, {"a": None}, {"a": True}, {"id": None}, {"y": "no"}),
        *({"id": 1.5}, {"n": 1.5}, {"a": [1, 2]}, {"n": 2**63}),
    ],
)
def test_a_row_that_does_not_fit_goes_out_as_json(pipeline, change):
    """What is not valid Avro is sent all the same, and ingest rejects it as any invalid event."""
    row = {**ROWS[0], **change}
    assert json.loads(Encoder(pipeline, 4).event(row).value) == row


def test_a_missing_column_goes_out_as_json(pipeline):
    """Ingest names a field that has no default and no column; others get their default."""
    assert json.loads(Encoder(pipeline, 4).event({"id": "1"}).value) == {
        "id": "1",
        "b": None,
        "n": None,
        "y": None,
    }


def test_a_missing_column_of_a_nullable_field_is_null(make_pipeline, avro):
    """Also if the field has no default."""
    pipeline = make_pipeline(schema=avro(id="string", a=["null", "double"], y=["null", "boolean"]))
    sent = Encoder(pipeline, 4).event({"id": "1"})
    assert _decoded(pipeline, sent)[1] == {"id": "1", "a": None, "y": None}


def test_what_json_cannot_hold_is_sent_as_text(pipeline):
    """An array in a cell, for example: ingest rejects it."""
    sent = Encoder(pipeline, 4).event({**ROWS[0], "a": np.array([1, 2])})
    assert json.loads(sent.value)["a"] == "[1 2]"


def test_a_label_that_does_not_fit_is_sent_as_text(pipeline):
    """Ingest rejects it; a label that fits another type is passed on as it is."""
    sent = Encoder(pipeline, 4).label({**ROWS[0], "y": {1}})
    assert sent is not None
    assert shipped("label").decode(sent.value)["label"] == "{1}"
    other = Encoder(pipeline, 4).label({**ROWS[0], "y": "no"})
    assert other is not None
    assert shipped("label").decode(other.value)["label"] == "no"


def test_keyed_records_go_where_ingest_would_put_them(make_pipeline, avro):
    """With scope key, an event and its label go to the partition of their key."""
    schema = avro(id="string", k="string", a="double", y=(["null", "boolean"], None))
    pipeline = make_pipeline(schema=schema, key="k", scope="key")
    encoder = Encoder(pipeline, 4)
    for key in ("anna", "bert", "cleo"):
        row = {"id": "1", "k": key, "a": 1.0, "y": True}
        event, label = encoder.event(row), encoder.label(row)
        assert label is not None
        assert event.partition == label.partition == crc32(key.encode()) % 4
        assert event.key == label.key == key.encode()
        assert shipped("label").decode(label.value)["key"] == key
    assert encoder.event({"id": "1", "k": None, "a": 1.0, "y": True})[1:3] == (None, 0)


@pytest.mark.parametrize("delay", [1, 3, 7, 50])
def test_labels_come_in_rivers_order(pipeline, delay):
    """With a delay, events and labels alternate exactly as in River's simulate_qa."""
    dataset = [({"id": row["id"]}, row["y"]) for row in ROWS]
    expected = [
        (int(x["id"]), y is not None)
        for _, x, y in stream.simulate_qa(dataset, moment=None, delay=delay)
    ]
    sent = in_order(ROWS, Encoder(pipeline, 4), delay)
    order = [(int(each.key or b""), each.is_label) for each in sent]
    assert order == expected


def test_without_a_delay_labels_are_inside(pipeline):
    """Delay 0 sends one record per row."""
    sent = [*in_order(ROWS, Encoder(pipeline, 4), 0)]
    assert [_decoded(pipeline, each)[1]["y"] for each in sent] == [row["y"] for row in ROWS]


def test_a_row_without_a_label_holds_up_no_other(pipeline):
    """A missing label is skipped, and the labels after it keep their places."""
    rows = [{**row, "y": None} if row["id"] == "1" else row for row in ROWS]
    sent = [*in_order(rows, Encoder(pipeline, 4), 2)]
    order = [(each.key, each.is_label) for each in sent]
    assert order[:5] == [
        (b"0", False),
        (b"1", False),
        (b"0", True),
        (b"2", False),
        (b"3", False),
    ]
    assert sum(each.is_label for each in sent) == len(ROWS) - 1
