"""The watermark follows most events, whatever the clocks of some producers say."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.watermark import Watermark

NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
YEAR_2100_MS = 4_102_444_800_000


def after(times_ms: Iterable[int], watermark: Watermark | None = None) -> int | None:
    """Return where event times bring a watermark with a reach of an hour."""
    watermark = watermark or Watermark(HOUR_MS)
    for each in times_ms:
        watermark.observe(each)
    return watermark.time_ms


def eighth_newest(times_ms: list[int]) -> int | None:
    return sorted(times_ms)[-8] if len(times_ms) >= 8 else None


def in_order(count: int, start: int = 0) -> list[int]:
    return [NOW_MS + i * MINUTE_MS for i in range(start, start + count)]


@given(st.lists(st.integers(0, HOUR_MS), max_size=80), st.integers(0, HOUR_MS // 80))
def test_the_newest_time_that_eight_events_have_reached(late_ms: list[int], gap_ms: int) -> None:
    """Whatever the order of events, as long as none is out of reach."""
    watermark, seen = Watermark(2 * HOUR_MS), []
    for i, late in enumerate(late_ms):
        seen.append(NOW_MS + i * gap_ms - late)
        watermark.observe(seen[-1])
        assert watermark.time_ms == eighth_newest(seen)


@given(st.lists(st.integers(0, 50 * HOUR_MS), min_size=8, max_size=60))
def test_gaps_in_order(gaps_ms: list[int]) -> None:
    """In order, the same holds however long the silence between two events is."""
    watermark, seen = Watermark(HOUR_MS), [NOW_MS]
    watermark.observe(NOW_MS)
    for gap_ms in gaps_ms:
        seen.append(seen[-1] + gap_ms)
        watermark.observe(seen[-1])
        assert watermark.time_ms == eighth_newest(seen)


@pytest.mark.parametrize("ahead", range(1, 8))
def test_fewer_than_eight_that_are_ahead(ahead: int) -> None:
    """Up to seven events 9 hours ahead move the watermark to no time that no other has reached."""
    before = in_order(50)
    assert after([*before, *([NOW_MS + 10 * HOUR_MS] * ahead)]) <= before[-1]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 9 * HOUR_MS, YEAR_2100_MS - NOW_MS])
def test_one_of_several_producers_is_ahead(share: float, ahead_ms: int) -> None:
    """The watermark stays with the others, however long it lasts."""
    rng, watermark, moved = random.Random(7), Watermark(HOUR_MS), 0
    times = in_order(5_000)
    for each in times[:20]:
        watermark.observe(each)
    for each in times[20:]:
        watermark.observe(each + ahead_ms * (rng.random() < share))
        moved += watermark.time_ms > each
    assert moved < 50  # where by chance eight more came from it than from the others


@pytest.mark.parametrize("count", [8, 20, 300, 5_000])
@pytest.mark.parametrize("before", [0, 5, 500])
def test_only_a_clock_in_2100_for_a_while(count: int, before: int) -> None:
    """After a wrong clock has been the only one, the watermark is back within 72 events."""
    wrong = [YEAR_2100_MS + i for i in range(count)]
    watermark = Watermark(HOUR_MS)
    after([*in_order(before), *wrong], watermark)
    right = in_order(72, before)
    assert right[0] - HOUR_MS < after(right, watermark) <= right[-1]


def test_batches_of_a_clock_that_is_ahead() -> None:
    """Batches of 20 events from it move the watermark a few times, and then no more."""
    watermark, wrong = Watermark(HOUR_MS), []
    for batch, start in enumerate(range(0, 20_000, 50)):
        after([YEAR_2100_MS + start + i for i in range(20)], watermark)
        wrong += [batch] * (watermark.time_ms > NOW_MS + 1_000_000 * MINUTE_MS)
        after(in_order(50, start), watermark)
    assert wrong == [0, 1]


def test_a_clock_that_falls_back_for_good() -> None:
    """Where all clocks go back by a year, the watermark follows after 64 events."""
    year_ago = [each - 365 * 24 * HOUR_MS for each in in_order(64)]
    watermark = Watermark(HOUR_MS)
    after(in_order(500), watermark)
    assert after(year_ago[:63], watermark) == in_order(500)[-8]
    assert after(year_ago[63:], watermark) == year_ago[-8]


def test_old_events_among_new_ones() -> None:
    """Events that are far behind, four of ten, change nothing."""
    rng = random.Random(1)
    times = in_order(5_000)
    mixed = [each - 48 * HOUR_MS * (rng.random() < 0.4) for each in times]
    assert after([*times[:100], *mixed[100:]]) == eighth_newest(mixed)


def test_goes_on_from_the_watermark_of_release_01() -> None:
    """What release 0.1 saved, the newest time alone, is where the watermark begins."""
    watermark = Watermark(HOUR_MS)
    watermark.store.restore([Change("watermark_ms", 1, NOW_MS)])
    assert watermark.time_ms == NOW_MS
    assert after([NOW_MS + 5] * 7, watermark) == NOW_MS
    assert after([NOW_MS + 5], watermark) == NOW_MS + 5
    assert {change.key: change.value is None for change in watermark.store.take_changes()} == {
        "watermark": False,
        "watermark_ms": True,
    }


@pytest.mark.parametrize("seed", range(6))
def test_it_may_be_saved_anywhere(seed: int) -> None:
    """The same times and the same state, with clocks that are ahead and behind among others."""
    rng, now = random.Random(seed), NOW_MS
    straight, saved = Watermark(HOUR_MS), Watermark(HOUR_MS)
    wrong = [0.01, 0.1, 0.5][seed % 3]
    for _ in range(3_000):
        now += rng.choice([0, 1, MINUTE_MS, 3 * HOUR_MS if rng.random() < 0.02 else 5])
        odd = rng.choice([9 * HOUR_MS, YEAR_2100_MS - NOW_MS, -48 * HOUR_MS, -NOW_MS])
        time_ms = now - rng.randint(0, MINUTE_MS) + odd * (rng.random() < wrong)
        assert straight.observe(time_ms) == saved.observe(time_ms) == saved.time_ms
        if rng.random() < 0.05:
            changes = pickle.loads(pickle.dumps(saved.store.take_changes()))
            saved = Watermark(HOUR_MS)
            saved.store.restore(changes)
            assert not saved.store.take_changes()
            assert dict(saved.store) == dict(straight.store)


def test_exactly_at_the_reach_is_within_it() -> None:
    """One millisecond more is beyond it, ahead and behind."""
    watermark = Watermark(HOUR_MS)
    after(in_order(100), watermark)
    (progress,) = watermark.store.values()
    for least_ms, by_ms, name in (
        (progress["newest"][0], -HOUR_MS, "behind"),
        (progress["newest"][-1], HOUR_MS, "ahead"),
    ):
        watermark.observe(least_ms + by_ms)
        assert progress[name] == []
        beyond = (progress["newest"][-1] if by_ms > 0 else least_ms) + by_ms + by_ms // HOUR_MS
        watermark.observe(beyond)
        assert progress[name] == [beyond]


@pytest.mark.parametrize("seed", range(60))
def test_many_times_are_one_after_the_other(seed: int) -> None:
    """Whichever times come together, what is remembered of them is the same."""
    rng = random.Random(seed)
    times, now = list[int](), 0
    for _ in range(300):
        now += rng.choice([0, 1, 5, 5, 30])
        times.append(now + rng.choice([0] * 30 + [-40, 40, 500, -500]))
    one_by_one, together = Watermark(reach_ms=100), Watermark(reach_ms=100)
    left = times
    while left:
        size = rng.randint(1, 40)
        part, left = left[:size], left[size:]
        latest_ms = max(together.latest_ms, *part)
        together.observe_all(part)
        for time_ms in part:
            one_by_one.observe(time_ms)
            reached_ms = one_by_one.time_ms
            assert reached_ms is None or reached_ms <= latest_ms
        assert [*together.store.items()] == [*one_by_one.store.items()]


CLOCKS = st.sampled_from([0, 0, 0, 9 * HOUR_MS, -9 * HOUR_MS])
TIMES = st.lists(st.builds(add, CLOCKS, st.integers(NOW_MS, NOW_MS + HOUR_MS)), max_size=60)


@given(TIMES.filter(lambda times: len(times) >= 8), TIMES, st.integers(1, 24 * HOUR_MS))
def test_time_that_passes_without_events(first: list[int], then: list[int], passed: int) -> None:
    """What comes later is looked at as if all before it had come so much later, too."""
    ticked, plain = Watermark(HOUR_MS), Watermark(HOUR_MS)
    before = after(first, ticked)
    assert ticked.pass_time(passed) == before + passed
    after(first, plain)
    assert ticked.latest_ms == plain.latest_ms + passed
    for each in then:
        assert ticked.observe(each + passed) == plain.observe(each) + passed


@given(st.lists(st.integers(0, 3 * HOUR_MS), min_size=8, max_size=63), st.data())
def test_older_events_do_not_take_it_back(late_ms: list[int], data: st.DataObject) -> None:
    """Not before those that are out of reach outnumber the others; however time had passed."""
    watermark = Watermark(HOUR_MS)
    after(in_order(64), watermark)
    reached = watermark.time_ms
    for late in late_ms:
        if data.draw(st.booleans()):
            reached = watermark.pass_time(data.draw(st.integers(1, HOUR_MS)))
        reached = max(reached, watermark.observe(NOW_MS - late))
        assert watermark.time_ms == reached


def test_time_passes_before_eight_events_have_come() -> None:
    """It counts from the oldest; before any event, there is no time. Release 0.1 saved enough."""
    watermark = Watermark(HOUR_MS)
    assert watermark.pass_time(HOUR_MS) is None
    after([YEAR_2100_MS, *in_order(6)], watermark)
    assert watermark.pass_time(MINUTE_MS) == NOW_MS + MINUTE_MS
    assert watermark.time_ms is None
    assert after([NOW_MS], watermark) == NOW_MS
    saved = Watermark(HOUR_MS)
    saved.store.restore([Change("watermark_ms", 1, NOW_MS)])
    assert saved.pass_time(HOUR_MS) == NOW_MS + HOUR_MS
