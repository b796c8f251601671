"""The book of labels agrees with the table in `streams.operators.prediction`."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from millrace.streams.operators.watermark import Watermark
from tests.chaos.lifecycle import EventClock, LabelBook

TTL_MS = 1_000


def test_learns_a_label_after_its_event_and_before_it() -> None:
    """A delayed label and an early one are both learned."""
    book = LabelBook(TTL_MS)
    book.take_event("a", 10, None)
    book.take_label("b", True)
    book.take_label("a", False)
    book.take_event("b", 20, None)

    assert book.fates.learned == {"a": False, "b": True}
    assert book.fates.is_complete


def test_rejects_what_comes_again() -> None:
    """A second label is a duplicate, or a correction that comes too late."""
    book = LabelBook(TTL_MS)
    book.take_event("a", 10, True)
    book.take_label("a", True)
    book.take_label("a", False)
    book.take_event("a", 10, True)

    assert dict(book.fates.rejected) == {
        ("a", "duplicate_label"): 1,
        ("a", "late_correction"): 1,
        ("a", "duplicate_event"): 1,
    }
    assert book.fates.is_complete


def test_takes_the_correction_of_an_early_label() -> None:
    """An early label is replaced by a later one, which is learned."""
    book = LabelBook(TTL_MS)
    book.take_label("a", True)
    book.take_label("a", False)
    book.take_event("a", 10, None)

    assert book.fates.learned == {"a": False}
    assert book.fates.corrected == 1
    assert book.fates.is_complete


def test_lets_go_of_what_waits_too_long() -> None:
    """After the time to live, a label is late and one without an event an orphan."""
    book = LabelBook(TTL_MS)
    book.take_event("a", 0, None)
    book.take_label("nobody", True)
    for i in range(7):
        book.take_event(f"now {i}", 0, True)
    for i in range(8):
        book.take_event(f"later {i}", TTL_MS + 1, True)
    book.take_label("a", True)

    assert dict(book.fates.rejected) == {("nobody", "orphan_label"): 1, ("a", "late_label"): 1}
    assert book.fates.is_complete


def test_time_passes_without_events() -> None:
    """Once an event has come, what waits too long comes to its end by ticks, too."""
    book = LabelBook(TTL_MS)
    book.take_label("nobody", True)
    book.pass_time(TTL_MS)
    book.take_event("a", 0, None)
    book.pass_time(TTL_MS / 1000)
    assert book.fates.rejected == {}
    book.pass_time(0.001)
    book.take_label("a", True)
    assert dict(book.fates.rejected) == {("a", "late_label"): 1}
    book.pass_time(TTL_MS / 1000)
    assert book.fates.rejected["nobody", "orphan_label"] == 1
    assert book.fates.is_complete


@given(st.lists(st.tuples(st.sampled_from(["event", "tick"]), st.integers(-3_000, 3_000))))
@example([("event", each) for each in (*[0] * 9, *[9_000] * 9, *[0] * 9, *[9_000] * 17, 9_000)])
@example([("event", each) for each in (*[0] * 9, *[9_000] * 5, *[500] * 3, *[9_000] * 6, 1, 9_000)])
def test_the_clock_is_that_of_the_watermark(steps: list[tuple[str, int]]) -> None:
    """Also where events come far ahead of the others, or far behind."""
    clock, watermark = EventClock(TTL_MS), Watermark(TTL_MS)
    for what, time_ms in steps:
        if what == "event":
            clock.take(time_ms)
            watermark.observe(time_ms)
        else:
            assert clock.pass_time(abs(time_ms)) == watermark.pass_time(abs(time_ms))
        assert clock.time_ms == watermark.time_ms
