"""The window limits what is in flight to what the embedded broker can keep."""

from __future__ import annotations

import pytest
from river import base

from millrace import catalogue
from millrace.streams.replay.encoding import Encoder, Outgoing
from millrace.streams.replay.window import Window, growth, size_bytes

NOW_MS = 1_700_000_000_000


def test_the_window_is_full_at_its_bytes():
    """Bytes count on the fullest topic, not on `events`."""
    window = Window(growth=3.0, max_bytes=900)
    window.add(100)
    window.add(100)
    assert not window.is_full
    window.add(99)
    assert not window.is_full
    window.add(1)
    assert window.is_full


def test_half_of_what_the_broker_keeps_is_used():
    """By default: 2.5 MB or 40,000 records."""
    window = Window(growth=1.0)
    window.add(5 * 1024 * 1024 // 2 - 1)
    assert not window.is_full
    window.add(1)
    assert window.is_full
    window = Window(growth=1.0)
    for _ in range(39_999):
        window.add(1)
    assert not window.is_full
    window.add(1)
    assert window.is_full


def test_the_window_is_full_at_its_records():
    """Small records are bounded by their number."""
    window = Window(growth=1.0, max_records=2)
    window.add(1)
    assert not window.is_full
    window.add(1)
    assert window.is_full


def test_records_that_passed_make_room():
    """The oldest leave, up to the total; a smaller total changes nothing."""
    window = Window(growth=1.0, max_bytes=100)
    for size in (60, 30, 20):
        window.add(size)
    window.advance(1)
    assert not window.is_full
    window.advance(0)
    assert window.passed == 1
    window.add(60)
    assert window.is_full
    window.advance(10)
    assert (window.passed, window.is_full) == (4, False)


def test_one_record_always_passes():
    """A record larger than the window does not block the replay forever."""
    window = Window(growth=1.0, max_bytes=10)
    assert not window.is_full
    window.add(1_000_000)
    assert window.is_full
    window.advance(1)
    assert not window.is_full


def test_growth_is_measured_on_the_fullest_topic(make_pipeline):
    """Predictions have the names of features, which events do not: long names need more room."""
    short = make_pipeline()
    rows = [{"id": str(i), "a": 1.0, "b": 2.0, "y": True} for i in range(20)]
    events = [Encoder(short, 1).event(row) for row in rows]
    assert 1.5 < growth(short, events, now_ms=NOW_MS) < 5

    long = "a" + "_long" * 100
    schema = {
        "type": "record",
        "name": "Loan",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": long, "type": "double"},
            {"name": "y", "type": ["null", "boolean"], "default": None},
        ],
    }
    pipeline = make_pipeline(schema=schema)
    events = [Encoder(pipeline, 1).event({"id": str(i), long: 1.0, "y": True}) for i in range(20)]
    smallest = (len(long) + 9) / size_bytes(events[0])
    assert growth(pipeline, events, now_ms=NOW_MS) > smallest


def test_growth_of_large_events_is_measured(make_pipeline):
    """Also of those that a worker would reject: it may have another limit."""
    schema = {
        "type": "record",
        "name": "Loan",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "text", "type": "string"},
            {"name": "y", "type": ["null", "boolean"], "default": None},
        ],
    }
    pipeline = make_pipeline(schema=schema, models={"tree": catalogue.hoeffding_tree})
    events = [Encoder(pipeline, 1).event({"id": "1", "text": '"' * 600_000, "y": True})]
    doubled = growth(pipeline, events, now_ms=NOW_MS, outputs="json")  # quotes are escaped
    assert doubled == pytest.approx(2.0, abs=0.01)


def test_growth_of_nothing_is_harmless(make_pipeline):
    """No sample, no division by zero."""
    assert growth(make_pipeline(), [], now_ms=NOW_MS) == 1.0


def test_growth_is_measured_until_the_users_code_raises_an_exception(make_pipeline):
    """With on_error="stop" the worker reports it; the size of the events is known anyway."""

    class Broken(base.Classifier):
        def learn_one(self, x, y):
            return

        def predict_one(self, x):
            return 1 / 0

    pipeline = make_pipeline(models={"broken": Broken}, on_error="stop")
    events = [Encoder(pipeline, 1).event({"id": "1", "a": 1.0, "b": 2.0, "y": True})]
    assert growth(pipeline, events, now_ms=NOW_MS) >= 1.0


def test_growth_depends_on_the_format(make_pipeline):
    """JSON repeats the names of all fields."""
    pipeline = make_pipeline()
    rows = [{"id": str(i), "a": 1.0, "b": 2.0, "y": True} for i in range(20)]
    events = [Encoder(pipeline, 1).event(row) for row in rows]
    in_json = growth(pipeline, events, now_ms=NOW_MS, outputs="json")
    assert in_json > 1.5 * growth(pipeline, events, now_ms=NOW_MS)


def test_a_record_takes_its_key_and_value_and_its_framing():
    """About 24 bytes more than key and value."""
    assert size_bytes(Outgoing(b"12345", b"123", 0, False)) == 32
    assert size_bytes(Outgoing(b"12345", None, 0, False)) == 29
