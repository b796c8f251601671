"""The window holds back what the embedded broker could not hold."""

from __future__ import annotations

from millrace.streams.replay.encoding import Encoder
from millrace.streams.replay.window import Window, growth, size_bytes

NOW_MS = 1_700_000_000_000


def test_the_window_is_full_at_its_bytes():
    """What an event leads to on the fullest topic counts, not the event alone."""
    window = Window(growth=3.0, max_bytes=900)
    window.add(100)
    window.add(100)
    assert not window.is_full
    window.add(100)
    assert window.is_full


def test_the_window_is_full_at_its_records():
    """Small records are bounded by their number."""
    window = Window(growth=1.0, max_records=2)
    window.add(1)
    assert not window.is_full
    window.add(1)
    assert window.is_full


def test_records_that_have_arrived_make_room():
    """The total that has arrived lets go of the oldest; a total gone down changes nothing."""
    window = Window(growth=1.0, max_bytes=100)
    for size in (60, 30, 20):
        window.add(size)
    window.advance(1)
    assert not window.is_full
    window.advance(0)
    window.add(60)
    assert window.is_full


def test_one_record_always_passes():
    """A record larger than the window does not stop the replay for ever."""
    window = Window(growth=1.0, max_bytes=10)
    assert not window.is_full
    window.add(1_000_000)
    assert window.is_full
    window.advance(1)
    assert not window.is_full


def test_growth_is_measured_on_the_fullest_topic(make_pipeline):
    """Long names of features, which an event does not carry, make its predictions larger."""
    short = make_pipeline()
    rows = [{"id": str(i), "a": 1.0, "b": 2.0, "y": True} for i in range(20)]
    events = [Encoder(short, 1).event(row) for row in rows]
    assert growth(short, events, now_ms=NOW_MS) > 1.5

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


def test_growth_of_nothing_is_harmless(make_pipeline):
    """No sample, no division by zero."""
    assert growth(make_pipeline(), [], now_ms=NOW_MS) == 1.0
