"""Drift: one change gives one alert, with evidence, at any scale."""

import math
import pickle
import random

import pytest
from river import base, drift

from millrace.models.monitoring.detectors import make_detector
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence

DETECTORS = ["adwin", "kswin", "page_hinkley"]


def shifting(change_at=400, length=700, before=0.0, after=3.0):
    rng = random.Random(7)
    return [rng.gauss(before if i < change_at else after, 1.0) for i in range(length)]


def found(monitor, values):
    return [evidence for value in values if (evidence := monitor.update(value)) is not None]


class TestDriftMonitor:
    @pytest.mark.parametrize("detector", DETECTORS)
    def test_one_change_is_reported_once(self, detector):
        """Soon after it happened, and not over again while it lasts."""
        evidence = found(DriftMonitor(detector, cooldown=1000, scaled=True), shifting())
        assert len(evidence) == 1
        assert evidence[0].detector == type(make_detector(detector)).__name__
        assert 400 < evidence[0].position < 550

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_the_evidence_gives_the_means_before_and_after_the_change(self, detector):
        """The change is placed where it was, not where it was noticed."""
        (evidence,) = found(DriftMonitor(detector, cooldown=1000, scaled=True), shifting())
        assert evidence.mean_before == pytest.approx(0.0, abs=0.3)
        assert evidence.mean_after == pytest.approx(3.0, abs=0.8)

    @pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e9])
    @pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
    def test_scaled_values_are_judged_alike_in_any_unit(self, detector, scale):
        """Euros or millions of them: the same change is found at the same place, and no other."""
        values = [scale * value for value in shifting(change_at=3000, length=3300)]
        evidence = found(DriftMonitor(detector, cooldown=0, scaled=True), values)
        assert [3000 < each.position < 3100 for each in evidence] == [True]
        assert evidence[0].mean_after == pytest.approx(3 * scale, rel=0.3)

    def test_scaling_a_constant_is_no_error(self):
        """A feature that never changes has no spread, and no drift until it does."""
        for constant in (0.0, 5.0):
            monitor = DriftMonitor("adwin", cooldown=0, scaled=True)
            assert found(monitor, [constant] * 500) == []
            assert len(found(monitor, [constant + 10.0] * 200)) == 1

    def test_a_report_is_followed_by_silence(self):
        """The next change within the cooldown is taken in without a word."""
        values = shifting(200, 400) + shifting(200, 400, before=-3.0, after=9.0)
        loud = found(DriftMonitor("adwin", cooldown=0), values)
        quiet = found(DriftMonitor("adwin", cooldown=10_000), values)
        assert len(loud) > len(quiet) == 1
        assert quiet[0] == loud[0]

    def test_a_change_after_the_cooldown_is_reported_against_the_new_normal(self):
        """The detector has learned on during its silence."""
        values = shifting(400, 1000) + shifting(0, 200, after=8.0)
        first, second = found(DriftMonitor("adwin", cooldown=300), values)
        assert (first.mean_after, second.mean_before) == pytest.approx((3.0, 3.0), abs=1.0)
        assert second.position > first.position + 300

    def test_a_fall_is_no_news_where_only_a_rise_counts(self):
        """A loss that gets better restarts the detector, and a later rise is still found."""
        falling = shifting(before=3.0, after=0.0)
        monitor = DriftMonitor("adwin", cooldown=1000, only_increase=True)
        assert found(monitor, falling) == []
        (rise,) = found(monitor, shifting(0, 100))
        assert rise.mean_before == pytest.approx(0.0, abs=0.3)
        assert len(found(DriftMonitor("adwin", cooldown=1000), falling)) == 1

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.7e308])
    def test_values_out_of_all_bounds_are_counted_and_passed_over(self, value):
        """One NaN does not blind the detector for good."""
        monitor = DriftMonitor("adwin", cooldown=1000)
        values = shifting()
        (evidence,) = found(monitor, [value, *values[:10], value, *values[10:]])
        (expected,) = found(DriftMonitor("adwin", cooldown=1000), values)
        assert evidence.position == expected.position + 2
        assert evidence.mean_before == expected.mean_before

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_a_pickled_monitor_goes_on_as_if_nothing_had_happened(self, detector):
        """Written in the middle, it reports the same at the same place, cooldown included."""
        values = shifting() + shifting(300, 600, before=3.0, after=9.0)
        monitor = DriftMonitor(detector, cooldown=100, scaled=True)
        reports = []
        for value in values:
            reports.append(monitor.update(value))
            if len(reports) % 97 == 0:
                monitor = pickle.loads(pickle.dumps(monitor))
        straight = DriftMonitor(detector, cooldown=100, scaled=True)
        assert reports == [straight.update(value) for value in values]
        assert any(reports)

    def test_a_detector_from_a_lambda_can_be_pickled(self):
        """What the callable returned is kept, and not the callable."""
        monitor = DriftMonitor(lambda: drift.ADWIN(delta=0.5), cooldown=0)
        assert found(pickle.loads(pickle.dumps(monitor)), shifting())

    @pytest.mark.parametrize("detector", DETECTORS)
    def test_memory_is_bounded(self, detector):
        """Ten times the values do not take much more room."""
        monitor, sizes = DriftMonitor(detector, cooldown=0), []
        for length in (300, 3000) if detector != "kswin" else (150, 600):
            found(monitor, shifting(length, length))
            sizes.append(len(pickle.dumps(monitor)))
        assert sizes[1] < 2 * sizes[0] + 4096

    def test_a_detector_that_fires_at_once_gives_evidence(self):
        """With a single value there is nothing before it: both means are its own."""
        monitor = DriftMonitor(AlwaysDrifting, cooldown=0)
        assert monitor.update(2.0) == Evidence("AlwaysDrifting", 1, 2.0, 2.0)
        assert monitor.update(5.0) == Evidence("AlwaysDrifting", 2, 5.0, 5.0)


class AlwaysDrifting(base.DriftDetector):
    def update(self, x):
        self._drift_detected = True


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("size", [1, 7, 32, 500])
def test_taking_many_values_finds_what_taking_one_after_the_other_does(detector, scaled, size):
    """The same evidence at the same values, however they are cut, NaN and warm-up included."""
    rng = random.Random(5)
    values = [rng.gauss(3.0 * (place // 400 % 2), 1.0) for place in range(2_000)]
    values[50] = values[900] = math.nan
    one_by_one = DriftMonitor(detector, 100, scaled=scaled)
    expected = [(at, each) for at, v in enumerate(values) if (each := one_by_one.update(v))]
    many = DriftMonitor(detector, 100, scaled=scaled)
    found = [
        (start + place, evidence)
        for start in range(0, len(values), size)
        for place, evidence in many.take(values[start : start + size])
    ]
    assert [(at, each.position, each.detector) for at, each in found] == [
        (at, each.position, each.detector) for at, each in expected
    ]
    assert len(found) >= 3
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert one.mean_before == pytest.approx(other.mean_before)
        assert one.mean_after == pytest.approx(other.mean_after)
