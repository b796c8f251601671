"""Rows become records that the ingest operator takes for what they are."""

from __future__ import annotations

import json
from zlib import crc32

import pytest
from river import stream

from millrace.schemas import shipped
from millrace.streams.replay.encoding import Encoder, in_order

ROWS = [{"id": str(i), "a": i / 2, "b": None, "y": i % 2 == 0} for i in range(7)]


@pytest.fixture
def pipeline(make_pipeline, avro):
    nullable = (["null", "double"], None)
    schema = avro(id="string", a="double", b=nullable, y=(["null", "boolean"], None))
    return make_pipeline(schema=schema)


def _decoded(pipeline, outgoing):
    return pipeline.event_schema.codec.decode(outgoing.value)


def test_an_event_carries_its_row_and_label(pipeline):
    """A row goes out as Avro of the pipeline's own type, label inside, to partition 0."""
    sent = Encoder(pipeline, 4).event(ROWS[0])
    assert _decoded(pipeline, sent) == ("Loan", ROWS[0])
    assert (sent.key, sent.partition, sent.is_label) == (b"0", 0, False)


def test_a_question_keeps_its_label_back(pipeline):
    """With a delay the event goes out without the label, and the row is left as it was."""
    row = dict(ROWS[0])
    assert _decoded(pipeline, Encoder(pipeline, 4).question(row))[1]["y"] is None
    assert row == ROWS[0]


def test_an_answer_is_a_label_record(pipeline):
    """A label of its own names its event; a row without a label has none."""
    encoder = Encoder(pipeline, 4)
    sent = encoder.answer(ROWS[1])
    assert sent is not None
    assert sent.is_label
    assert shipped("label").decode(sent.value) == {
        "event_id": "1",
        "label": False,
        "label_time_ms": None,
        "key": None,
    }
    assert encoder.answer({**ROWS[1], "y": None}) is None


@pytest.mark.parametrize(
    ("field", "given", "sent"),
    [
        ("id", 17, "17"),
        ("a", 3, 3.0),
        ("y", 1, True),
        ("y", 0, False),
    ],
)
def test_a_cell_that_fits_without_a_loss_is_made_to_fit(pipeline, field, given, sent):
    """Ids of digits and booleans written as 0 and 1 are what a table makes of them."""
    record = _decoded(pipeline, Encoder(pipeline, 4).event({**ROWS[0], field: given}))[1]
    assert record[field] == sent
    assert type(record[field]) is type(sent)


@pytest.mark.parametrize(
    "change", [{"a": "three"}, {"y": 2}, {"a": None}, {"a": True}, {"id": None}, {"y": "no"}]
)
def test_a_row_that_does_not_fit_goes_out_as_json(pipeline, change):
    """What cannot be Avro is sent all the same, so that ingest rejects it like any bad event."""
    row = {**ROWS[0], **change}
    assert json.loads(Encoder(pipeline, 4).event(row).value) == row


def test_a_missing_column_goes_out_as_json(pipeline):
    """A field that has no default and no column is for ingest to name."""
    assert json.loads(Encoder(pipeline, 4).event({"id": "1"}).value)["id"] == "1"


def test_keyed_records_go_where_ingest_would_put_them(make_pipeline, avro):
    """With scope key, an event and its label go to the partition of their key."""
    schema = avro(id="string", k="string", a="double", y=(["null", "boolean"], None))
    pipeline = make_pipeline(schema=schema, key="k", scope="key")
    encoder = Encoder(pipeline, 4)
    for key in ("anna", "bert", "cleo"):
        row = {"id": "1", "k": key, "a": 1.0, "y": True}
        event, label = encoder.event(row), encoder.answer(row)
        assert label is not None
        assert event.partition == label.partition == crc32(key.encode()) % 4
        assert event.key == label.key == key.encode()


@pytest.mark.parametrize("delay", [1, 3, 7, 50])
def test_labels_come_in_rivers_order(pipeline, delay):
    """With a delay, questions and answers alternate exactly as in River's simulate_qa."""
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
