"""`millrace produce` sends lines to the partition where their model is."""

from __future__ import annotations

import io
import json
from zlib import crc32

import pytest
from confluent_kafka import KafkaError

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas import shipped

LOANS = ["-p", "millrace.models.pipelines.loans"]
KEYED = """
from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="shop",
    schema={"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"},
        {"name": "customer", "type": "long"},
        {"name": "price", "type": "double"},
    ]},
    event_id="id", key="customer", task="binary", scope="key",
    models={"alma": catalogue.alma},
)
"""


@pytest.fixture
def sent(broker):
    """Create the topics; return what is on one of them as (key, value)."""
    for topic in ("loans.events", "loans.labels", "shop.events", "shop.labels"):
        broker.create(topic, 4)

    def sent(topic, partition=0):
        return [(each.key(), each.value()) for each in broker.records(topic, partition)]

    return sent


def test_events_are_sent_as_they_are_to_partition_0(call, sent, lines_file):
    """With scope global every event is on partition 0, keyed by its id, byte for byte."""
    events = [*applications(3)]
    code, out, err = call("produce", *LOANS, lines_file(*events))
    assert (code, out) == (0, "")
    assert err == "3 events sent to loans.events\n"
    expected = [(each["application_id"].encode(), json.dumps(each).encode()) for each in events]
    assert sent("loans.events") == expected


def test_labels_are_sent_to_their_topic(call, sent, lines_file):
    """--labels sends to `labels`, keyed by the event."""
    label = {"event_id": "7", "label": True}
    assert call("produce", *LOANS, "--labels", lines_file(label))[2] == (
        "1 labels sent to loans.labels\n"
    )
    assert sent("loans.labels") == [(b"7", json.dumps(label).encode())]


def test_standard_input_is_read_by_default(call, sent, monkeypatch):
    """Without a file, lines are read from standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"application_id": "1"}\n')))
    assert call("produce", *LOANS)[0] == 0
    assert sent("loans.events") == [(b"1", b'{"application_id": "1"}')]


def test_keyed_events_and_labels_go_where_their_model_is(call, sent, tmp_path, lines_file):
    """With scope key, an event and its label are on the partition of their key."""
    file = tmp_path / "keyed_pipeline.py"
    file.write_text(KEYED)
    call("produce", "-p", str(file), lines_file({"id": "1", "customer": 7, "price": 1.0}))
    label = {"event_id": "1", "label": True, "key": "7"}
    call("produce", "-p", str(file), "--labels", lines_file(label))
    partition = crc32(b"7") % 4
    assert [key for key, _ in sent("shop.events", partition)] == [b"7"]
    assert [key for key, _ in sent("shop.labels", partition)] == [b"7"]


def test_lines_that_are_not_objects_are_reported_and_skipped(call, sent, lines_file):
    """The other lines are sent, empty ones are ignored, and the exit code is 2."""
    first, second = applications(2)
    code, out, err = call("produce", *LOANS, lines_file(first, "{oops", "[1]", "", second))
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("line 2: Expecting property name")
    assert lines[1] == "line 3: must be a JSON object; got list"
    assert lines[2] == "2 events sent to loans.events"
    assert lines[3] == "Error: 2 lines were skipped: see above"
    assert len(sent("loans.events")) == 2


def test_avro_events_are_checked_before_they_are_sent(call, sent, lines_file):
    """An event that does not fit the schema is reported; times may be in ISO 8601."""
    event = next(applications(1))
    iso = {**event, "application_id": "iso", "applied_at": "2025-03-03T09:30:00Z"}
    file = lines_file(event, {**event, "age": "old"}, {"application_id": "2"}, iso)
    code, _, err = call("produce", *LOANS, "--format", "avro", file)
    assert code == 2
    assert "line 2: field 'age' must be int; got 'old'" in err
    assert "line 3: the event lacks the field 'applied_at'" in err
    values = [pipeline.event_schema.codec.decode(value)[1] for _, value in sent("loans.events")]
    assert values == [event, {**iso, "applied_at": 1_740_994_200_000}]


def test_avro_labels_are_checked_before_they_are_sent(call, sent, lines_file):
    """Optional fields are null, and a label without an event is reported."""
    file = lines_file({"event_id": 3, "label": 1}, {"label": 1})
    code, _, err = call("produce", *LOANS, "--labels", "--format", "avro", file)
    assert code == 2
    assert "line 2: a label must have 'event_id'" in err
    ((key, value),) = sent("loans.labels")
    assert key == b"3"
    assert shipped("label").decode(value) == {
        "event_id": "3",
        "label": 1,
        "label_time_ms": None,
        "key": None,
        "source": None,
    }


def test_produce_does_not_create_topics(call, lines_file):
    """A topic created by accident would have the wrong number of partitions."""
    code, _, err = call("produce", *LOANS, lines_file({}))
    assert code == 2
    assert "millrace topics --create" in err


def test_a_record_that_is_not_delivered_is_an_error(call, sent, broker, lines_file):
    """Nothing is reported as sent that the broker does not have."""
    broker.fail_next("delivery", KafkaError._MSG_TIMED_OUT)
    code, _, err = call("produce", *LOANS, lines_file({}))
    assert code == 2
    assert "loans.events" in err
    assert "sent" not in err
