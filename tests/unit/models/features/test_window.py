"""Windows of event time, compared with the simplest implementation that could be right."""

import math
import pickle
import random
import statistics
from bisect import bisect_right, insort
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.features.window import AGGREGATES, Window, aggregate

SPAN_MS = 10
times_ms = st.integers(min_value=-40, max_value=40)
values = st.floats(min_value=-1e6, max_value=1e6)
events = st.lists(st.tuples(times_ms, values), min_size=1, max_size=60)


def naive_past(arrived, time_ms):
    """Every value that has arrived, in (time_ms - SPAN_MS, time_ms], by time, then arrival."""
    ordered = sorted(arrived, key=lambda event: event[0])  # sorted() keeps the order of arrival
    return [value for time, value in ordered if time_ms - SPAN_MS < time <= time_ms]


@given(events)
def test_every_event_up_to_one_window_late_sees_exactly_its_own_past(arrivals):
    """As long as no event is more than one window late, nothing of its past is missing."""
    window, arrived, newest = Window(SPAN_MS), [], -math.inf
    for time_ms, value in arrivals:
        if time_ms < newest - SPAN_MS:
            continue
        newest = max(newest, time_ms)
        arrived.append((time_ms, value))
        assert window.add(time_ms, value) == naive_past(arrived, time_ms)


@given(events, st.integers(min_value=1, max_value=5))
def test_later_events_and_those_out_of_the_window_are_never_seen(arrivals, max_events):
    """However late or many the events are, each sees itself, and only what is in its window."""
    window, arrived = Window(SPAN_MS, max_events), []
    for time_ms, value in arrivals:
        arrived.append((time_ms, value))
        seen, past = window.add(time_ms, value), naive_past(arrived, time_ms)
        assert seen[-1] == value
        assert len(seen) <= max_events
        rest = iter(past)
        assert all(each in rest for each in seen)  # a subsequence


@given(events, st.integers(min_value=1, max_value=5))
def test_in_order_the_newest_of_the_window_are_seen(arrivals, max_events):
    """Without late events, what is seen is the newest `max_events` of the window."""
    window, arrived = Window(SPAN_MS, max_events), []
    for event in sorted(arrivals, key=lambda event: event[0]):
        arrived.append(event)
        assert window.add(*event) == naive_past(arrived, event[0])[-max_events:]


@given(events, st.integers(min_value=1, max_value=20))
def test_what_is_held_is_bounded(arrivals, max_events):
    """About twice `max_events` are held, and nothing two windows older than eight others."""
    window = Window(SPAN_MS, max_events)
    for time_ms, value in arrivals:
        window.add(time_ms, value)
        assert len(window) <= 2 * max_events + 1
        assert window.newest_ms == max(window._times_ms)
    before = [*window._times_ms]
    window.add(2 * SPAN_MS, 0.0)
    kept_from = before[-8] - 2 * SPAN_MS if len(before) >= 8 else -math.inf
    assert all(each > kept_from for each in window._times_ms)


@given(st.lists(times_ms, unique=True, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter_to_what_is_held(times, random):
    """Events of different times give the same window in whatever order they come."""
    in_order, shuffled = Window(SPAN_MS, 8), Window(SPAN_MS, 8)
    for time_ms in sorted(times):
        in_order.add(time_ms, float(time_ms))
    random.shuffle(times)
    for time_ms in times:
        shuffled.add(time_ms, float(time_ms))
    assert shuffled.values(max(times)) == in_order.values(max(times))


@given(events, events)
def test_a_pickled_window_is_equivalent(before, after):
    """State that is written and read back sees what it would have seen."""
    window = Window(SPAN_MS, 5)
    for event in before:
        window.add(*event)
    restored = pickle.loads(pickle.dumps(window))
    assert [restored.add(*event) for event in after] == [window.add(*event) for event in after]


def test_the_window_is_open_at_its_old_end_and_closed_at_its_new_end():
    """At time t the window is (t - span, t]."""
    window = Window(SPAN_MS)
    window.add(0, 1.0)
    assert window.add(9, 2.0) == [1.0, 2.0]
    assert window.add(10, 3.0) == [2.0, 3.0]
    assert window.values(9) == [1.0, 2.0]
    assert window.values(-1) == []


def test_an_event_too_late_to_be_held_still_sees_itself():
    """An event that is older than all that is held is not held for long, and not overlooked."""
    window = Window(SPAN_MS, max_events=1)
    for time_ms in (100, 101):
        window.add(time_ms, 1.0)
    assert window.add(3, 7.0) == [7.0]
    assert window.values(101) == [1.0]
    window.add(101, 1.0)
    assert window.values(3) == []
    assert len(window) == 3


def test_a_few_events_in_the_future_make_no_other_one_forgotten():
    """Seven that are stamped years ahead leave what the others see as it is."""
    window, arrived = Window(SPAN_MS), []
    for time_ms in range(60):
        if 10 <= time_ms < 17:
            window.add(time_ms + 10**9, 0.0)
        arrived.append((time_ms, float(time_ms)))
        assert window.add(time_ms, float(time_ms)) == naive_past(arrived, time_ms)


@pytest.mark.parametrize("max_events", [256, 1_000])
@pytest.mark.parametrize("late_share", [0, 0.3])
@pytest.mark.parametrize("per_hour", [50, 250, 500, 2_000])
def test_at_several_rates(per_hour, late_share, max_events):
    """Up to `max_events` values of one hour, also 30 minutes late; what lacks any is known."""
    rng, hour_ms = random.Random(per_hour), 3_600_000
    window, times, kept, cut, most = Window(hour_ms, max_events), [], {}, 0, 0
    for i in range(3 * per_hour):
        late_ms = hour_ms // 2 if rng.random() < late_share else 0
        time_ms = i * hour_ms // per_hour - late_ms
        insort(times, (time_ms, i))
        kept[i] = float(i)
        inside = times[
            bisect_right(times, (time_ms - hour_ms, i)) : bisect_right(times, (time_ms, i))
        ]
        truth = [kept[each] for _, each in inside]
        seen = window.add(time_ms, kept[i])
        assert window.is_cut(time_ms) == (seen != truth)
        cut += window.is_cut(time_ms)
        most = max(most, len(truth))
        if per_hour <= 1.4 * max_events or not late_share:
            assert seen == truth[-max_events:]
    assert (cut > 0) == (most > max_events)


def test_reads_a_window_of_release_01():
    """It has no memory of what was forgotten."""
    window = Window(SPAN_MS)
    window.add(5, 1.0)
    saved = {name: getattr(window, name) for name in Window.__slots__ if name != "_forgotten_ms"}
    old = Window.__new__(Window)
    old.__setstate__((None, saved))
    assert old.add(7, 2.0) == [1.0, 2.0]
    assert not old.is_cut(7)


def test_reading_an_empty_window_gives_nothing():
    """A window without values has no newest time and no values."""
    window = Window(SPAN_MS)
    assert (window.values(0), window.newest_ms, len(window)) == ([], None, 0)
    assert (window.span_ms, window.max_events) == (SPAN_MS, 256)


@given(st.lists(values, min_size=1, max_size=50))
def test_aggregates_agree_with_exact_arithmetic(seen):
    """Sums are rounded once; the rest is within an ulp or so of the definition."""
    assert aggregate("count", seen) == len(seen)
    assert aggregate("sum", seen) == float(sum(map(Fraction, seen)))
    assert aggregate("mean", seen) == pytest.approx(statistics.mean(seen), rel=1e-12)
    assert aggregate("min", seen) == min(seen)
    assert aggregate("max", seen) == max(seen)
    if len(seen) > 1:
        assert aggregate("std", seen) == pytest.approx(statistics.stdev(seen), rel=1e-9, abs=1e-9)


def test_aggregates_of_nothing_are_absent_or_zero():
    """Nothing can be counted and summed, but has no mean, minimum or maximum."""
    found = {name: aggregate(name, []) for name in AGGREGATES}
    assert found == {"count": 0, "sum": 0.0, "mean": None, "min": None, "max": None, "std": 0.0}


def test_one_value_has_no_spread():
    """The sample standard deviation is 0.0 below two values."""
    assert aggregate("std", [3.0]) == 0.0


@pytest.mark.parametrize("name", ["sum", "mean", "std"])
def test_an_aggregate_beyond_the_range_of_a_float_is_absent(name):
    """Values whose sum overflows do not stop the pipeline."""
    assert aggregate(name, [1.7e308, 1.7e308, -1.7e308, 1.7e308]) is None
