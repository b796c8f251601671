"""Coverage: what was served is counted, of all labels and of the newest."""

from __future__ import annotations

import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.certainty.coverage import NEWEST, Coverage, Sizes

SCORES = st.none() | st.floats(0, 10) | st.sampled_from([nan, inf])
EVENTS = st.lists(st.tuples(SCORES, st.none() | st.floats(0, 10)), max_size=40)
CLASSES = st.lists(st.sampled_from(["sky", "path"]), max_size=2, unique=True)


def test_nothing_is_known_before_the_first_label() -> None:
    """No share is 0: there is none."""
    coverage = Coverage()
    shares = coverage.share, coverage.newest_share, coverage.mean_size, coverage.newest_mean_size
    assert shares == (None,) * 4
    assert coverage.sizes is None


def test_what_had_no_interval_is_counted_apart() -> None:
    """It neither held nor failed."""
    coverage = Coverage()
    coverage.add([None, nan, 1.0, 1.0, inf], [1.0, 1.0, None, 1.0, 1.0])
    assert (coverage.unknown, coverage.labels, coverage.covered) == (3, 2, 1)
    assert coverage.mean_size == 2.0


def test_the_newest_are_a_thousand() -> None:
    """Those before them count for all alone."""
    coverage = Coverage()
    coverage.add([1.0] * 500 + [3.0] * NEWEST, [2.0] * 500 + [2.5] * NEWEST)
    assert coverage.share == pytest.approx(500 / 1_500)
    assert coverage.newest_share == 0.0
    assert coverage.mean_size == pytest.approx((500 * 4 + NEWEST * 5) / 1_500)
    assert coverage.newest_mean_size == 5.0


def test_sets_are_counted_by_their_sizes() -> None:
    """With no class, with one, and with several."""
    coverage = Coverage()
    sets = [(), ("sky",), ("sky", "path"), ("sky", "path", "grass"), None]
    coverage.add([0.5] * 5, [0.4, 0.5, 0.6, 0.7, None], sets)
    assert coverage.sizes == Sizes(none=0.25, one=0.25, several=0.5)
    assert (coverage.share, coverage.mean_size, coverage.unknown) == (0.75, 1.5, 1)


@given(events=EVENTS, cut=st.integers(0, 40))
def test_it_makes_no_difference_where_events_are_cut(
    events: list[tuple[float | None, float | None]], cut: int
) -> None:
    """One by one, in two parts, or as a column: the same to the last bit."""
    one, parts, whole = Coverage(), Coverage(), Coverage()
    for score, served in events:
        one.add([score], [served])
    for some in (events[:cut], events[cut:], []):
        parts.add([each for each, _ in some], [each for _, each in some])
    whole.add([each for each, _ in events], [each for _, each in events])
    assert one == parts == whole


@given(events=st.lists(st.tuples(st.floats(0, 1), CLASSES), max_size=40))
def test_the_same_of_sets(events: list[tuple[float, list[str]]]) -> None:
    """Which have sizes instead of widths."""
    one, whole = Coverage(), Coverage()
    for score, found in events:
        one.add([score], [0.5], [found])
    scores, sets = [each for each, _ in events], [each for _, each in events]
    whole.add(scores, [0.5] * len(scores), sets)
    assert one == whole


@given(events=EVENTS)
def test_it_is_saved_and_read(events: list[tuple[float | None, float | None]]) -> None:
    """Through JSON, too, and goes on as if it had not been."""
    coverage = Coverage()
    coverage.add([each for each, _ in events], [each for _, each in events])
    read = Coverage.from_fields(json.loads(json.dumps(coverage.to_fields())))
    assert read == coverage
    for each in (read, coverage):
        each.add([0.5] * (NEWEST + 1), [1.0] * (NEWEST + 1))
    assert read == coverage
    assert len(read.newest) == len(read.newest_sizes) == NEWEST
