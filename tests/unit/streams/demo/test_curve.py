"""Accuracy over time."""

from __future__ import annotations

import pytest

from millrace.streams.demo.curve import Course, Curve, Reading, column, sparkline


def curve(*readings: tuple[int, float]) -> Curve:
    made = Curve()
    for learned, accuracy in readings:
        made.add(learned, accuracy)
    return made


def test_a_reading_without_progress_is_no_news() -> None:
    """While nothing is learned, the curve does not grow."""
    assert curve((10, 0.5), (10, 0.5), (20, 0.6)).readings == [Reading(10, 0.5), Reading(20, 0.6)]


def test_the_course_is_before_bottom_end_and_recovery() -> None:
    """Recovery is the first reading past the bottom within a point of what was before."""
    course = curve(
        (400, 0.9), (500, 0.96), (550, 0.955), (700, 0.48), (900, 0.94), (950, 0.952), (999, 0.97)
    ).course(500)
    assert course == Course(before=0.96, bottom=0.48, end=0.97, recovered_after=450)
    assert course.is_hit


def test_a_dip_that_lasts_has_no_recovery() -> None:
    """What does not come back is not said to have."""
    assert curve((500, 0.96), (700, 0.48), (900, 0.7)).course(500).recovered_after is None


def test_what_the_drift_does_not_touch_is_not_hit() -> None:
    """A model that is as wrong before as after has no dip."""
    assert not curve((500, 0.5), (700, 0.47), (900, 0.6)).course(500).is_hit


def test_a_course_without_readings_is_unknown() -> None:
    """Nothing is made up."""
    assert Curve().course(500) == Course(None, None, None, None)
    assert not Curve().course(500).is_hit
    assert curve((100, 0.9)).course(500) == Course(0.9, None, 0.9, None)


def test_a_drift_shows_as_a_dip() -> None:
    """High, low, high again, from left to right."""
    readings = [Reading(i, 0.5 if 50 < i <= 70 else 0.96) for i in range(1, 101)]
    assert sparkline(readings, total=100, width=10) == "█████▂▂███"


def test_what_is_to_come_is_blank() -> None:
    """Time runs from left to right at a fixed scale: nothing moves once it is drawn."""
    assert sparkline([Reading(10, 1.0)], total=100, width=10) == "█" + " " * 9
    assert sparkline([], total=100, width=10) == " " * 10


def test_a_column_without_a_reading_shows_the_one_before() -> None:
    """A gap of readings is no gap in the line, not even at its beginning."""
    assert sparkline([Reading(30, 1.0), Reading(60, 0.4)], total=100, width=10) == "█████▁    "


@pytest.mark.parametrize(("accuracy", "bar"), [(0.0, "▁"), (0.4, "▁"), (0.71, "▅"), (1.0, "█")])
def test_bars_stay_within_their_scale(accuracy: float, bar: str) -> None:
    """The foot is 40 %, the top 100 %, and what is outside is drawn at the edge."""
    assert sparkline([Reading(1, accuracy)], total=1, width=1) == bar


def test_more_examples_than_planned_stay_in_the_last_column() -> None:
    """The line never grows out of its width."""
    assert column(250, 100, 10) == 9
    assert len(sparkline([Reading(250, 0.9)], total=100, width=10)) == 10
