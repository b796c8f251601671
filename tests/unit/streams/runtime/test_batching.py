"""How large a batch may be."""

from __future__ import annotations

import pytest

from millrace.streams.operators.record import Origin
from millrace.streams.runtime.batching import BatchLimit, slices

LEAST, MOST = 200, 2_000


@pytest.mark.parametrize(
    ("fold_seconds", "commit_seconds", "records"),
    [
        (0.000_1, 0.001, 1_000),  # 100 ms
        (0.005, 0.001, LEAST),  # of a forest
        (0.000_1, 0.01, MOST),  # 20 commits of 10 ms
        (0.000_5, 0.01, 400),
        (0.000_001, 0.001, MOST),
        (0.0, 0.0, MOST),  # nothing was live, and the clock is coarse
        (3.0, 0.001, LEAST),
    ],
)
def test_a_batch_is_as_large_as_time_allows(
    fold_seconds: float, commit_seconds: float, records: int
) -> None:
    """So many as are folded in 100 ms or in 20 commits, between the least and the most."""
    limit = BatchLimit(MOST)

    limit.note(100, 100 * fold_seconds, commit_seconds)

    assert limit.records == pytest.approx(records, abs=1)


def test_one_slow_commit_changes_nothing() -> None:
    """The commit that wrote the state took long; the next one will not."""
    limit = BatchLimit(MOST)
    for _ in range(5):
        limit.note(100, 0.01, 0.002)
    before = limit.records

    limit.note(100, 0.01, 1.0)

    assert limit.records == before == 1_000


def test_the_limit_follows_a_model_that_slows_down() -> None:
    """A tree that has grown is noticed within some batches."""
    limit = BatchLimit(MOST)
    for _ in range(20):
        limit.note(100, 0.005, 0.001)

    for _ in range(5):
        limit.note(100, 0.02, 0.001)

    assert limit.records == 500


def test_the_first_batch_is_within_the_most() -> None:
    """Before anything is known, and behind the slowest model, the setting holds."""
    limit = BatchLimit(3)
    assert limit.records == 3

    limit.note(1, 60.0, 0.001)

    assert limit.records == 3


def test_what_a_batch_costs_makes_none_small() -> None:
    """Where the time goes by batch, not by record, small ones would only be more of them."""
    limit = BatchLimit(MOST)
    for _ in range(20):
        limit.note(min(limit.records, 15), 0.3, 0.001)
    assert limit.records == LEAST


def test_slices_are_all_of_a_batch() -> None:
    """In order, and none of them large."""
    origins = [Origin("events", 0, offset, 0, None, None) for offset in range(450)]

    parts = [*slices(origins)]

    assert [len(part) for part in parts] == [200, 200, 50]
    assert [each for part in parts for each in part] == origins
