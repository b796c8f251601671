"""Accuracy over time."""

from __future__ import annotations

import pytest

from millrace.streams.demo.curve import Course, Reading, course, sparkline


def readings(accuracies: dict[int, float]) -> list[Reading]:
    return [Reading(*each) for each in accuracies.items()]


def test_recovery_is_the_first_reading_within_a_point_after_the_lowest() -> None:
    """Readings before the lowest one do not count, whatever their accuracy."""
    accuracies = {400: 0.9, 500: 0.96, 550: 0.955, 700: 0.48, 900: 0.94, 950: 0.952, 999: 0.97}
    expected = Course(before=0.96, lowest=0.48, end=0.97, recovered_after=450)
    assert course(readings(accuracies), 500) == expected


def test_a_model_that_stays_worse_has_not_recovered() -> None:
    """No reading after the drift comes near the accuracy before."""
    assert course(readings({500: 0.96, 700: 0.48, 900: 0.7}), 500).recovered_after is None


def test_unknown_parts_of_a_course_are_none() -> None:
    """Without readings before the drift, or after it, its effect is unknown."""
    assert course([], 500) == Course(None, None, None, None)
    assert course(readings({100: 0.9}), 500) == Course(0.9, None, 0.9, None)
    assert course(readings({600: 0.4, 700: 0.9}), 500) == Course(None, None, 0.9, None)


def test_a_drift_shows_as_a_dip() -> None:
    """Accuracy is high, low, and high again, from left to right."""
    accuracies = {i: 0.5 if 50 < i <= 70 else 0.96 for i in range(1, 101)}
    assert sparkline(readings(accuracies), total=100, width=10) == "█████▂▂███"


@pytest.mark.parametrize(
    ("accuracies", "drawn"),
    [
        ({}, "          "),
        ({10: 1.0}, "█         "),
        ({30: 1.0, 60: 0.4}, "  ███▁    "),
        ({1: 0.4, 10: 1.0, 11: 0.71}, "█▅        "),
    ],
)
def test_a_column_shows_its_newest_reading_or_the_one_before(
    accuracies: dict[int, float], drawn: str
) -> None:
    """What is not known, and what is to come, is blank."""
    assert sparkline(readings(accuracies), total=100, width=10) == drawn


@pytest.mark.parametrize(("accuracy", "bar"), [(0.0, "▁"), (0.4, "▁"), (0.71, "▅"), (1.0, "█")])
def test_bars_stay_within_their_scale(accuracy: float, bar: str) -> None:
    """The bottom is 40 %, the top 100 %; lower accuracies are drawn at the bottom."""
    assert sparkline([Reading(1, accuracy)], total=1, width=1) == bar
