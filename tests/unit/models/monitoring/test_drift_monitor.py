"""One change gives one alert, with evidence, at any scale."""

from __future__ import annotations

import math
import pickle
import random

import pytest
from river import base, drift

from millrace.models.monitoring.detectors import make_detector
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence

DETECTORS = ["adwin", "page_hinkley", "kswin"]
QUICK = DETECTORS[:2]


def shifting(change_at=400, length=700, before=0.0, after=3.0):
    rng = random.Random(7)
    return [rng.gauss(before if i < change_at else after, 1.0) for i in range(length)]


def update(monitor, value):
    """Return what is found at the next value; None where nothing is."""
    return next((each for _, each in monitor.update_many([value])), None)


def found(monitor, values):
    return [evidence for value in values if (evidence := update(monitor, value)) is not None]


class Alarm(base.DriftDetector):
    """Fires at every `every`th value, and keeps what it got."""

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.every = every
        self.values: list[float] = []

    def update(self, x):
        self.values.append(x)
        self._drift_detected = len(self.values) % self.every == 0


class Above(base.DriftDetector):
    """Fires at a value above 100."""

    def update(self, x):
        self._drift_detected = x > 100


@pytest.mark.parametrize("detector", DETECTORS)
def test_one_change_is_reported_once(detector):
    """Soon after it happened, with the means before and after the change."""
    length = 600 if detector == "kswin" else 700
    monitor = DriftMonitor(detector, cooldown=1000, scaled=True)
    (evidence,) = found(monitor, shifting(length=length))
    assert evidence.detector == type(make_detector(detector)).__name__
    assert 400 < evidence.position < 550
    assert evidence.mean_before == pytest.approx(0.0, abs=0.3)
    assert evidence.mean_after == pytest.approx(3.0, abs=0.8)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e9])
@pytest.mark.parametrize("detector", QUICK)
def test_scaled_values_give_the_same_result_in_any_unit(detector, scale):
    """The same change is found at the same place, and no other."""
    values = [scale * value for value in shifting(change_at=1000, length=1200)]
    (evidence,) = found(DriftMonitor(detector, cooldown=0, scaled=True), values)
    assert 1000 < evidence.position < 1150
    assert evidence.mean_after == pytest.approx(3 * scale, rel=0.3)


def test_scaled_values_have_six_standard_deviations_of_the_first_hundred_as_unit():
    """The detector gets them all, in order, once the hundredth has come."""
    monitor = DriftMonitor(lambda: Alarm(every=1_000), cooldown=0, scaled=True)
    values = [10.0, 20.0] * 50 + [45.0]
    for value in values[:99]:
        update(monitor, value)
    assert monitor._detector.values == []
    for value in values[99:]:
        update(monitor, value)
    assert monitor._detector.values == [(value - 15.0) * (1 / (6 * 5.0)) for value in values]


def test_values_are_not_scaled_by_default():
    """The detector gets them as they are, from the first."""
    monitor = DriftMonitor(lambda: Alarm(every=1_000), cooldown=0)
    for value in (10.0, 20.0):
        update(monitor, value)
    assert monitor._detector.values == [10.0, 20.0]


@pytest.mark.parametrize(("constant", "unit"), [(0.0, 1.0), (5.0, 5.0), (-5.0, 5.0)])
def test_a_constant_has_its_own_size_as_unit(constant, unit):
    """It has no spread, and no drift until it changes."""
    monitor = DriftMonitor(lambda: Alarm(every=1_000), cooldown=0, scaled=True)
    for value in [constant] * 100 + [constant + 10.0]:
        assert update(monitor, value) is None
    assert monitor._detector.values == [0.0] * 100 + [10.0 * (1 / unit)]
    assert len(found(DriftMonitor("adwin", 0, scaled=True), [5.0] * 300 + [15.0] * 200)) == 1


def test_a_change_within_the_cooldown_is_not_reported():
    """The first report is the same as without a cooldown."""
    values = shifting(200, 400) + shifting(200, 400, before=-3.0, after=9.0)
    all_changes = found(DriftMonitor("adwin", cooldown=0), values)
    quiet = found(DriftMonitor("adwin", cooldown=10_000), values)
    assert len(all_changes) > len(quiet) == 1
    assert quiet[0] == all_changes[0]


@pytest.mark.parametrize("cooldown", [0, 1, 2, 5])
def test_a_cooldown_is_a_number_of_values(cooldown):
    """The next report comes with the value after them, at the earliest."""
    evidence = found(DriftMonitor(Alarm, cooldown), [1.0] * 13)
    assert [each.position for each in evidence] == [*range(1, 14, cooldown + 1)]


def test_a_change_after_the_cooldown_is_compared_with_what_came_before_it():
    """The detector has been updated in the meantime."""
    values = shifting(400, 1000) + shifting(0, 200, after=8.0)
    first, second = found(DriftMonitor("adwin", cooldown=300), values)
    assert (first.mean_after, second.mean_before) == pytest.approx((3.0, 3.0), abs=1.0)
    assert second.position > first.position + 300


def test_a_fall_is_not_reported_where_only_a_rise_is_wanted():
    """It restarts the detector, without a cooldown, and a later rise is still found."""
    falling = shifting(before=3.0, after=0.0)
    monitor = DriftMonitor("adwin", cooldown=1000, only_increase=True)
    assert found(monitor, falling) == []
    (rise,) = found(monitor, shifting(0, 100))
    assert rise.mean_before == pytest.approx(0.0, abs=0.3)
    assert len(found(DriftMonitor("adwin", cooldown=1000), falling)) == 1


def test_equal_means_are_reported_where_only_a_rise_is_wanted():
    """A detector may fire for a change of shape; only a fall is left out."""
    monitor = DriftMonitor(lambda: Alarm(every=4), cooldown=0, only_increase=True)
    assert found(monitor, [1.0] * 4) == [Evidence("Alarm", 4, 1.0, 1.0)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.7e308, 1e150, -1e150])
def test_values_out_of_bounds_are_counted_and_skipped(value):
    """After one of them, a detector would never fire again."""
    monitor = DriftMonitor("adwin", cooldown=1000)
    values = shifting()
    (evidence,) = found(monitor, [value, *values[:10], value, *values[10:]])
    (expected,) = found(DriftMonitor("adwin", cooldown=1000), values)
    assert evidence.position == expected.position + 2
    assert evidence.mean_before == expected.mean_before


def test_large_values_are_not_skipped():
    """Up to 1e150 in size, whose square is a number."""
    monitor = DriftMonitor(lambda: Alarm(every=2), cooldown=0)
    for value in (9e149, -9e149):
        evidence = update(monitor, value)
    assert evidence == Evidence("Alarm", 2, 9e149, -9e149)


@pytest.mark.parametrize(
    ("values", "before", "after"),
    [
        ([0.0, 0.0, 0.0, 9.0, 9.0], 0.0, 9.0),
        ([0.0, 9.0, 9.0, 9.0, 9.0], 0.0, 9.0),
        ([9.0, 9.0, 9.0, 9.0, 0.0], 9.0, 0.0),
        ([1.0, 1.0, 4.0, 2.0, 4.0, 4.0], 1.0, 3.5),
        ([2.0, 2.0, 2.0], 2.0, 2.0),
        ([0.0, 1.0, 0.0], 0.5, 0.0),
        ([0.0] * 300 + [9.0] * 128, 0.0, 9.0),
        ([0.0] * 300 + [9.0] * 129, 9 / 301, 9.0),
    ],
)
def test_a_change_is_located_where_the_means_differ_most_for_their_number(values, before, after):
    """Among the newest 128 values; of two equal maxima, the later one counts."""
    monitor = DriftMonitor(lambda: Alarm(every=len(values)), cooldown=0)
    (evidence,) = found(monitor, values)
    assert (evidence.mean_before, evidence.mean_after) == pytest.approx((before, after))


def test_the_mean_before_is_of_all_values_since_the_detector_started():
    """Not only of those that are kept."""
    monitor = DriftMonitor(lambda: Alarm(every=400), cooldown=0)
    (evidence,) = found(monitor, [5.0] * 100 + [1.0] * 290 + [9.0] * 10)
    assert evidence.mean_before == pytest.approx((500 + 290) / 390)
    assert evidence.mean_after == 9.0


@pytest.mark.parametrize("detector", QUICK)
def test_a_saved_monitor_continues_as_if_it_had_not_been_saved(detector):
    """Cooldown, warm-up and what the detector has seen included."""
    values = shifting() + shifting(300, 600, before=3.0, after=9.0)
    monitor = DriftMonitor(detector, cooldown=100, scaled=True)
    reports = []
    for value in values:
        reports.append(update(monitor, value))
        if len(reports) % 97 == 0:
            monitor = pickle.loads(pickle.dumps(monitor))
    straight = DriftMonitor(detector, cooldown=100, scaled=True)
    assert reports == [update(straight, value) for value in values]
    assert any(reports)


def test_a_saved_kswin_continues_as_if_it_had_not_been_saved():
    """Its random numbers included; it is a hundred times as slow as the others."""
    values = shifting(150, 250)
    monitor, straight = (DriftMonitor("kswin", cooldown=0) for _ in range(2))
    for value in values[:120]:
        assert update(monitor, value) == update(straight, value)
    restored = pickle.loads(pickle.dumps(monitor))
    reports = [update(restored, value) for value in values[120:]]
    assert reports == [update(straight, value) for value in values[120:]]
    assert any(reports)


def test_a_detector_from_a_lambda_can_be_pickled():
    """What the callable returned is kept, and not the callable."""
    monitor = DriftMonitor(lambda: drift.ADWIN(delta=0.5), cooldown=0)
    assert found(pickle.loads(pickle.dumps(monitor)), shifting())


@pytest.mark.parametrize("detector", DETECTORS)
def test_memory_is_bounded(detector):
    """Many more values do not take much more room."""
    monitor, sizes = DriftMonitor(detector, cooldown=0), []
    for length in (300, 3000) if detector != "kswin" else (110, 220):
        found(monitor, shifting(length, length))
        sizes.append(len(pickle.dumps(monitor)))
    assert sizes[1] < 2 * sizes[0] + 4096


def test_a_detector_that_fires_at_once_gives_evidence():
    """With a single value there is nothing before it: both means are its own."""
    monitor = DriftMonitor(Alarm, cooldown=0)
    assert update(monitor, 2.0) == Evidence("Alarm", 1, 2.0, 2.0)
    assert update(monitor, 5.0) == Evidence("Alarm", 2, 5.0, 5.0)


def test_a_class_derived_from_adwin_is_updated_by_its_own_method():
    """The fast way is only for River's class itself."""

    class Deaf(drift.ADWIN):
        def update(self, x):
            pass

    assert found(DriftMonitor(Deaf, cooldown=0), shifting()) == []


def drawn(rng, length):
    """Return values whose level changes now and then, with odd ones among them."""
    values, level, odd = [], 0.0, [math.nan, math.inf, -math.inf, 1e150, -2e150, 1.7e308]
    for _ in range(length):
        level = rng.choice([0.0, 1.0, 5.0, -3.0]) if rng.random() < 0.004 else level
        values.append(level + rng.gauss(0, 0.5))
        if rng.random() < 0.02:
            values[-1] = rng.choice([*odd, 10**400, True, False, 3, -0.0, 5e-324, 9e149, -9e149])
    return values


class Broken(base.DriftDetector):
    """Fires at some values, raises at some, and at some in such a way as to end an iteration."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def update(self, x):
        self.seen += 1
        self._drift_detected = self.seen % 50 == 49
        if self.seen % 40 in (7, 8):
            raise StopIteration if self.seen % 3 else SystemExit


class Derived(drift.ADWIN):
    """Updates as its base class."""


WATCHED = {
    "adwin": "adwin",
    "page_hinkley": "page_hinkley",
    "an ADWIN that fires often": lambda: drift.ADWIN(delta=0.5, clock=5, grace_period=7),
    "a derived ADWIN": Derived,
    "one that raises": Broken,
}


@pytest.mark.parametrize("name", WATCHED)
@pytest.mark.parametrize("seed", range(8))
def test_values_may_be_cut_anywhere(name, seed):
    """The same is found at the same values, to the last bit, and the same is remembered."""
    rng = random.Random(seed)
    values = drawn(rng, 2_000)
    options = {each: rng.random() < 0.5 for each in ("only_increase", "scaled", "quiet")}
    cooldown, most_reports = rng.choice([0, 100]), rng.choice([None, 2])
    results, states = [], []
    for largest in (1, 3, 70, 2_000):
        monitor, result, start = DriftMonitor(WATCHED[name], cooldown, **options), [], 0
        if most_reports:
            monitor.become_quiet(most_reports)
        while start < len(values):
            end = start + (rng.randint(0, largest) if largest in (3, 70) else largest)
            for index, each in monitor.update_many(values[start:end]):
                result.append((start + index, repr(each)))
            start = end
        results.append(result)
        states.append(pickle.dumps(monitor))
    assert all(each == results[0] for each in results)
    assert all(each == states[0] for each in states)
    if name == "one that raises":
        assert {"SystemExit()", "RuntimeError('generator raised StopIteration')"} <= {
            each for _, each in results[0]
        }


@pytest.mark.parametrize("quiet", [False, True])
def test_an_error_of_a_detector_is_found_at_its_value(quiet):
    """The values around it go on, and it counts as one of them."""

    class Odd(Alarm):
        def update(self, x):
            if x < 0:
                raise ValueError(f"{x} is negative")
            super().update(x)

    monitor = DriftMonitor(lambda: Odd(every=4), cooldown=0, quiet=quiet)
    values = [1.0, -1.0, 2.0, math.nan, 3.0, -2.0, 4.0, 1.0]
    (one, first), (other, second), (last, evidence) = monitor.update_many(values)
    assert (one, str(first), other, str(second)) == (1, "-1.0 is negative", 5, "-2.0 is negative")
    assert (last, evidence.position) == (6, 7)
    assert monitor._count == 1


def test_what_ends_a_batch_passes():
    """An interrupt is no error of a detector."""

    class Interrupted(base.DriftDetector):
        def update(self, x):
            raise KeyboardInterrupt

    for scaled in (False, True):
        with pytest.raises(KeyboardInterrupt):
            DriftMonitor(Interrupted, cooldown=0, scaled=scaled).update_many([1.0] * 100)


def test_a_detector_that_raises_during_the_warm_up():
    """Its error is found at the last value of it, and the next value goes on."""
    monitor = DriftMonitor(Broken, cooldown=0, scaled=True)
    found = monitor.update_many([1.0] * 102)
    assert [(index, type(error)) for index, error in found] == [
        (99, StopIteration),
        (100, RuntimeError),
    ]
    assert monitor._count == 102


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("clock", "grace_period"), [(32, 10), (32, 64), (1, 10), (7, 35), (25, 0), (300, 10)]
)
def test_nothing_is_found_before_the_next_check(clock, grace_period, scaled):
    """It is known in advance, and a value that is looked at is where something is found."""
    rng, found_at, checked = random.Random(1), [], []
    make = lambda: drift.ADWIN(0.9, clock=clock, grace_period=grace_period, min_window_length=1)  # noqa: E731
    monitor = DriftMonitor(make, cooldown=0, scaled=scaled)
    position = 0
    while position < 4_000:
        due = monitor.next_check
        cut = rng.randint(1, due)
        values = [rng.gauss(position // 150 % 3, 0.3) for _ in range(cut)]
        evidence = monitor.update_many(values)
        position += cut
        checked += [position] * (cut == due)
        assert [index + 1 for index, _ in evidence] in ([], [due])
        found_at += [position] * len(evidence)
        monitor = pickle.loads(pickle.dumps(monitor))
    assert len(found_at) >= 4
    assert {*found_at} <= {*checked}
    if not scaled and clock > 1:
        assert len(checked) <= 4_000 // clock + 1


@pytest.mark.parametrize(
    ("clock", "grace_period", "first", "second"),
    [(32, 10, 32, 64), (32, 32, 64, 96), (1, 10, 11, 12), (7, 35, 42, 49), (25, 0, 25, 50)],
)
def test_the_next_check_of_adwin_is_at_its_clock(clock, grace_period, first, second):
    """Once it has more values than its grace period."""
    make = lambda: drift.ADWIN(clock=clock, grace_period=grace_period)  # noqa: E731
    monitor = DriftMonitor(make, cooldown=0)
    assert monitor.next_check == first
    monitor.update_many([1.0] * (first - 1))
    assert monitor.next_check == 1
    monitor.update_many([1.0])
    assert monitor.next_check == second - first


def test_an_adwin_that_fires_at_the_end_of_the_warm_up_may_fire_at_each_value():
    """How many values it has seen is not known then."""
    monitor = DriftMonitor(lambda: drift.ADWIN(0.9, clock=100), cooldown=0, scaled=True)
    monitor.update_many([0.0] * 50 + [9.0] * 50)
    assert monitor._detector.drift_detected
    assert monitor.next_check == 1


def test_an_adwin_without_a_clock_is_no_error():
    """Whoever looks ahead meets no division by zero."""
    assert DriftMonitor(lambda: drift.ADWIN(clock=0), cooldown=0).next_check == 11


@pytest.mark.parametrize("quiet", [False, True])
def test_values_too_small_for_a_unit_are_numbers_for_the_detector(quiet):
    """A unit of 5e-324 has no inverse, and zero times infinity is no number."""
    monitor = DriftMonitor(lambda: Alarm(every=1_000), cooldown=0, scaled=True, quiet=quiet)
    monitor.update_many([5e-324] * 101)
    assert monitor._detector.values == [0.0] * 101


class Copied(Alarm):
    """Can be copied once."""

    copies = 0

    def __deepcopy__(self, _memo):
        self.copies += 1
        if self.copies > 1:
            raise OSError("no more copies")
        return Alarm(self.every)


def test_a_detector_that_cannot_be_copied_any_more_goes_on():
    """The error is found where it fires, and the rest of the values go on."""
    found = DriftMonitor(lambda: Copied(every=3), cooldown=0).update_many([1.0] * 7)
    assert [(index, str(error)) for index, error in found] == [
        (2, "no more copies"),
        (5, "no more copies"),
    ]


def test_a_detector_of_which_nothing_is_known_may_fire_at_each_value():
    """Only the values of the warm-up are certain."""
    assert DriftMonitor(Alarm, cooldown=0).next_check == 1
    assert DriftMonitor("page_hinkley", cooldown=0).next_check == 1
    monitor = DriftMonitor(Alarm, cooldown=0, scaled=True)
    assert monitor.next_check == 101
    monitor.update_many([1.0, math.nan, 2.0])
    assert monitor.next_check == 99
    monitor.update_many([1.0] * 98)
    assert monitor.next_check == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e150, -1e150, 1.7e308])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_values_out_of_bounds_are_skipped_among_many(value, place):
    """At any place; the others are counted as usual."""
    values = [1.0, 2.0]
    values.insert(place, value)
    monitor = DriftMonitor(lambda: Alarm(every=2), cooldown=0)
    (index, evidence), *others = monitor.update_many(values)
    assert (index, others) == (2 - (place == 2), [])
    assert evidence == Evidence("Alarm", 3 - (place == 2), 1.0, 2.0)


def test_many_values_may_show_several_changes():
    """Each is reported with the index of its value, and a cooldown holds among them."""
    values = [0.0, 0.0, 101.0, 0.0, 102.0, 0.0, 0.0, 103.0]
    reports = DriftMonitor(Above, cooldown=2).update_many(values)
    assert [(index, each.position) for index, each in reports] == [(2, 3), (7, 8)]
