"""How many records are folded at once, and for how long."""

from __future__ import annotations

import pytest

from millrace.streams.operators.record import Origin
from millrace.streams.runtime.batching import Pace


def sizes(pace: Pace, record_seconds: float, count: int) -> list[int]:
    """Return the sizes of slices in which each record takes so long."""
    found = []
    for _ in range(count):
        found.append(pace.slice_records)
        pace.note_slice(pace.slice_records, pace.slice_records * record_seconds)
    return found


@pytest.mark.parametrize(
    ("record_seconds", "expected"),
    [
        (0.000_01, [1, 2, 4, 8, 16, 32, 64, 128, 200, 200]),
        (0.0, [1, 2, 4, 8, 16, 32, 64, 128, 200, 200]),  # the clock is coarse
        (0.001, [1, 2, 4, 8, 16, 20, 20, 20, 20, 20]),
        (1.25, [1] * 10),
    ],
)
def test_slices_double_until_they_take_twenty_milliseconds(
    record_seconds: float, expected: list[int]
) -> None:
    """The first is one record, and a slow model is given one at a time."""
    assert sizes(Pace(), record_seconds, 10) == expected


def test_a_model_that_becomes_slow_is_noticed_after_one_slice() -> None:
    """And one that becomes fast again gets large slices again."""
    pace = Pace()
    sizes(pace, 0.000_01, 10)

    assert sizes(pace, 0.3, 3) == [200, 1, 1]
    assert sizes(pace, 0.000_01, 4) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("commits", "seconds"),
    [([], 0.1), ([0.001] * 3, 0.1), ([0.01] * 3, 0.2), ([0.01, 0.01, 4.0], 0.2)],
)
def test_a_batch_is_folded_as_long_as_twenty_commits_take(
    commits: list[float], seconds: float
) -> None:
    """A tenth of a second at least; a commit that wrote the state changes nothing."""
    pace = Pace()
    for each in commits:
        pace.note_commit(each)
    assert pace.batch_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("record_seconds", "commit_seconds", "expected"),
    [
        (0.0, 0.0, 20_000),
        (0.000_001, 0.0, 20_000),  # as many as are allowed
        (0.000_02, 0.0, 10_000),
        (0.000_02, 0.0075, 15_000),
        (0.0005, 0.0, 400),
        (1.25, 0.0, 1),
    ],
)
def test_two_batches_are_read_ahead(
    record_seconds: float, commit_seconds: float, expected: int
) -> None:
    """At the speed of the last slice: few of large or slow records are kept in memory."""
    pace = Pace()
    assert pace.records_ahead(20_000) == 20_000  # nothing is known yet
    pace.note_slice(200, 200 * record_seconds)
    pace.note_commit(commit_seconds)
    assert pace.records_ahead(20_000) == pytest.approx(expected, abs=1)


def test_slices_are_all_of_a_batch() -> None:
    """In order, each as large as the pace allows by then."""
    origins = [Origin("events", 0, offset, 0, None, None) for offset in range(10)]
    pace = Pace()
    parts = []
    for part in pace.slices(origins):
        parts.append(part)
        pace.note_slice(len(part), 0.0)

    assert [len(part) for part in parts] == [1, 2, 4, 3]
    assert [each for part in parts for each in part] == origins
