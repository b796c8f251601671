"""`topics`, `produce` and `consume` on a broker in this process."""

from __future__ import annotations

import base64
import json
from zlib import crc32

import pytest
from confluent_kafka import Producer, TopicPartition

from millrace.models.pipelines.loans import applications
from millrace.schemas import shipped
from millrace.streams.cli import run
from millrace.streams.kafka.clients import plain_reader
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.settings import read_settings

LOANS = ["-p", "millrace.models.pipelines.loans"]
_KEYED = """
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
def broker():
    with EmbeddedBroker() as embedded:
        yield embedded.address


@pytest.fixture
def lines_file(tmp_path):
    def write(*documents):
        file = tmp_path / "lines.jsonl"
        lines = [each if isinstance(each, str) else json.dumps(each) for each in documents]
        file.write_text("\n".join(lines) + "\n")
        return str(file)

    return write


@pytest.fixture
def put(broker):
    def put(topic, *values):
        producer = Producer({"bootstrap.servers": broker.removeprefix("embedded://")})
        for value in values:
            producer.produce(topic, value, partition=0)
        assert producer.flush(10) == 0

    return put


@pytest.fixture
def call(broker, capsys):
    """Run a command on the broker; return its exit code, output and error."""

    def call(*arguments):
        code = run([*arguments, "-b", broker])
        return (code, *capsys.readouterr())

    return call


def _messages(broker, topic, partition):
    reader = plain_reader(read_settings(broker=broker))
    try:
        reader.assign([TopicPartition(topic, partition, 0)])
        found = []
        while (message := reader.poll(10)) is not None and message.error() is None:
            found.append((message.key(), message.value()))
        return found
    finally:
        reader.close()


def _row(out, topic):
    line = next(each for each in out.splitlines() if f" {topic} " in each)
    return line.replace("│", " ").split()


def test_topics_are_listed_created_and_counted(call, lines_file):
    """Missing ones say so; --create makes them; what is produced shows in the count."""
    code, out, _ = call("topics", *LOANS)
    assert code == 0
    assert _row(out, "loans.events") == ["loans.events", "missing", "-", "delete"]
    _, out, _ = call("topics", *LOANS, "--create")
    assert _row(out, "loans.models") == ["loans.models", "4", "0", "compact"]
    call("produce", *LOANS, lines_file(*applications(3)))
    _, out, _ = call("topics", *LOANS)
    assert _row(out, "loans.events") == ["loans.events", "4", "3", "delete"]


def test_events_go_out_as_they_are_to_partition_0(call, broker, lines_file):
    """With scope global every event is on partition 0, keyed by its id, byte for byte."""
    call("topics", *LOANS, "--create")
    events = [*applications(3)]
    code, out, err = call("produce", *LOANS, lines_file(*events))
    assert (code, out) == (0, "")
    assert err == "3 events sent to loans.events\n"
    expected = [(each["application_id"].encode(), json.dumps(each).encode()) for each in events]
    assert _messages(broker, "loans.events", 0) == expected


def test_keyed_events_and_labels_go_where_their_model_lives(call, broker, tmp_path, lines_file):
    """With scope key, an event and its label meet on the partition of their key."""
    file = tmp_path / "keyed_pipeline.py"
    file.write_text(_KEYED)
    call("topics", "-p", str(file), "--create")
    call("produce", "-p", str(file), lines_file({"id": "1", "customer": 7, "price": 1.0}))
    label = {"event_id": "1", "label": True, "key": "7"}
    call("produce", "-p", str(file), "--labels", lines_file(label))
    partition = crc32(b"7") % 4
    assert [key for key, _ in _messages(broker, "shop.events", partition)] == [b"7"]
    assert [key for key, _ in _messages(broker, "shop.labels", partition)] == [b"7"]


def test_bad_lines_are_numbered_and_the_rest_goes_out(call, lines_file):
    """One bad line does not cost the others, and the exit code tells of it."""
    call("topics", *LOANS, "--create")
    first, second = applications(2)
    code, _, err = call("produce", *LOANS, lines_file(first, "{oops", "[1]", "", second))
    assert code == 2
    assert "line 2: " in err
    assert "line 3: requires a JSON object; got list" in err
    assert "2 events sent to loans.events" in err
    assert err.splitlines()[-1].startswith("Error: every line requires a JSON object; got 2")


def test_avro_is_checked_on_the_way_out(call, lines_file):
    """What does not fit the schema is named before it is sent."""
    call("topics", *LOANS, "--create")
    event = next(applications(1))
    file = lines_file(event, {**event, "age": "old"}, {"application_id": "2"})
    code, _, err = call("produce", *LOANS, "--format", "avro", file)
    assert code == 2
    assert "line 2: field 'age' must be int; got 'old'" in err
    assert "line 3: the event lacks the field 'applied_at'" in err
    _, out, _ = call("consume", "loans.events", *LOANS)
    assert json.loads(out) == event


def test_produce_wants_the_topic_to_be_there(call, lines_file):
    """A topic made by accident would have the wrong number of partitions."""
    code, _, err = call("produce", *LOANS, lines_file({}))
    assert code == 2
    assert "millrace topics --create" in err


def test_consume_prints_one_object_per_line(call, put):
    """Avro is decoded, JSON passes, the unknown comes as base64; nothing else is on stdout."""
    label = {"event_id": "1", "label": 0.5, "label_time_ms": None, "key": None}
    values = [
        shipped("label").encode(label),
        b'{\n"a": 1}',
        b"[1]",
        b"\xc3\x01broken",
        b"\x00",
        None,
    ]
    put("t", *values)
    code, out, err = call("consume", "t")
    assert (code, err) == (0, "")
    unknown = [{"base64": base64.b64encode(each).decode()} for each in values[2:5] if each]
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [label, {"a": 1}, *unknown, {"base64": None}]


def test_bytes_within_a_record_are_base64(call, put):
    """A dead letter's original bytes survive the way to JSON."""
    reject = {
        "reason": "malformed",
        "detail": "d",
        "topic": "events",
        "partition": 0,
        "offset": 1,
        "timestamp_ms": 2,
        "key": None,
        "value": b"\xff",
        "value_size_bytes": 1,
        "headers": [],
    }
    put("t", shipped("reject").encode(reject))
    _, out, _ = call("consume", "t")
    assert json.loads(out) == {**reject, "value": "/w=="}


def test_consume_stops_at_max(call, put):
    """`--max` prints so many and no more."""
    put("t", *(b'{"n": %d}' % n for n in range(5)))
    _, out, _ = call("consume", "t", "--max", "2")
    assert out == '{"n": 0}\n{"n": 1}\n'


def test_consume_from_the_end_prints_nothing_old(call, put):
    """`--from-end` without --follow has nothing to say."""
    put("t", b"{}")
    assert call("consume", "t", "--from-end") == (0, "", "")


def test_numbers_that_json_does_not_have_stay_readable(call, put):
    """NaN in a record does not make the line invalid JSON."""
    label = {"event_id": "1", "label": float("nan"), "label_time_ms": None, "key": None}
    put("t", shipped("label").encode(label))
    _, out, _ = call("consume", "t")
    assert json.loads(out)["label"] == "nan"


def test_a_topic_that_is_not_there_is_an_error(call):
    """The message names the topic and the broker."""
    code, out, err = call("consume", "loans.nothing")
    assert (code, out) == (2, "")
    assert "'loans.nothing'" in err
