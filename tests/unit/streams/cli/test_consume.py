"""`millrace consume` prints a topic as JSON, whatever its format."""

from __future__ import annotations

import base64
import json
import math
from itertools import islice

import pytest

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas import shipped
from millrace.streams.cli import consume as _module
from millrace.streams.cli.consume import Decoder
from millrace.streams.formats import FORMATS, Outputs, OutputSchemas

LABEL = {"event_id": "1", "label": 0.5, "label_time_ms": None, "key": None, "source": None}
REJECT = {
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
LOANS = ["-p", "millrace.models.pipelines.loans"]


@pytest.fixture
def put(broker):
    """Write values to partition 0 of a topic of two."""

    def put(topic, *values):
        broker.create(topic, 2)
        for value in values:
            broker.put(topic, value)

    return put


def test_consume_prints_one_object_per_line(call, put):
    """Avro and JSON are decoded, anything else is base64, and nothing else is printed."""
    unknown = [b"[1]", b"\xc3\x01broken", b"\x00"]
    put("t", shipped("label").encode(LABEL), b'{\n"a": "\xc3\xa9"}', b"{}", *unknown, None)
    code, out, err = call("consume", "t")
    assert (code, err) == (0, "")
    expected = [{"base64": base64.b64encode(each).decode()} for each in unknown]
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [LABEL, {"a": "é"}, {}, *expected, {"base64": None}]
    assert "é" in out, "text is not escaped"


@pytest.mark.parametrize("name", FORMATS)
def test_outputs_of_every_format_are_decoded(name):
    """A format that is added to the registry can be read here, too. Bytes are base64."""
    outputs = Outputs(name, OutputSchemas({"Reject": 7}))
    value = outputs.encoder(shipped("reject")).encode(REJECT)
    assert json.loads(Decoder("loans.rejects", None, outputs).line(value)) == {
        **REJECT,
        "value": "/w==",
    }


def test_events_are_decoded_with_their_pipeline(call, put):
    """Without the pipeline, their schema is unknown."""
    event = next(applications(1))
    put("loans.events", pipeline.event_schema.accepted.encode(event))
    assert [*json.loads(call("consume", "loans.events")[1])] == ["base64"]
    assert json.loads(call("consume", "loans.events", *LOANS)[1]) == event


def test_clean_is_decoded_with_its_pipeline(call, put):
    """The envelope of `clean` depends on the event's schema."""
    fields = next(applications(1))
    del fields["granted"]
    event = {"event_id": "1", "key": None, "event_time_ms": 5, "label": True, "fields": fields}
    put("loans.clean", pipeline.event_schema.clean_codec.encode("Event", event))
    assert json.loads(call("consume", "loans.clean", *LOANS)[1]) == event


def test_consume_stops_at_max(call, put):
    """--max prints so many and no more."""
    put("t", *(b'{"n": %d}' % n for n in range(5)))
    assert call("consume", "t", "--max", "2")[1] == '{"n": 0}\n{"n": 1}\n'


def test_all_partitions_are_read(call, put, broker):
    """Also those after the first."""
    put("t", b'{"n": 1}')
    broker.put("t", b'{"n": 2}', partition=1)
    assert sorted(call("consume", "t")[1].split("\n")) == ["", '{"n": 1}', '{"n": 2}']


def test_consume_from_the_end_prints_nothing_old(call, put):
    """--from-end without --follow prints nothing."""
    put("t", b"{}")
    assert call("consume", "t", "--from-end") == (0, "", "")


def test_follow_waits_for_new_records(call, put, broker, monkeypatch):
    """--follow continues at the end of the topic."""
    put("t", b'{"n": 1}')
    real = _module.follow_topic

    def follow(*arguments, **options):
        assert options == {"from_beginning": True}
        records = real(*arguments, **options)
        yield from islice(records, 1)
        broker.put("t", b'{"n": 2}')
        yield from islice(records, 1)

    monkeypatch.setattr(_module, "follow_topic", follow)
    assert call("consume", "t", "--follow")[1] == '{"n": 1}\n{"n": 2}\n'


def test_numbers_that_json_does_not_have_are_null(call, put):
    """NaN and infinity in a record do not make the line invalid JSON."""
    put("t", *(shipped("label").encode(LABEL | {"label": each}) for each in (math.nan, math.inf)))
    lines = [
        json.loads(line, parse_constant=pytest.fail)
        for line in call("consume", "t")[1].splitlines()
    ]
    assert [line["label"] for line in lines] == [None, None]


def test_a_topic_that_does_not_exist_is_an_error(call):
    """The message names the topic and the broker."""
    code, out, err = call("consume", "loans.nothing")
    assert (code, out) == (2, "")
    assert "'loans.nothing'" in err


ODD_VALUES = [
    b'{"id": "[/red]"}',
    '{"id": "\x9b31m \u202e\u2028"}'.encode(),
    rb'{"id": "\ud800"}',
    rb'{"\ud800": 1}',
    b'{"n": NaN, "i": Infinity}',
    b'{"n": ' + b"9" * 5_000 + b"}",
    b'{"n": 1e999}',
    b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"a": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    b'{"a": "\xff"}',
    b'\xef\xbb\xbf{"a": 1}',
    b"",
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: repr(value[:24]))
def test_no_record_ends_consume(call, put, value):
    """Each is a line of JSON that a terminal can show, and the next one comes."""
    put("t", value, b'{"next": 1}')
    code, out, err = call("consume", "t")
    assert (code, err) == (0, "")
    shown, last = out.splitlines()
    json.loads(shown)
    assert shown.isprintable()
    assert last == '{"next": 1}'
