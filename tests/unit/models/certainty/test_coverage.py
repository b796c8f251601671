"""Coverage: what was served is counted, of all labels and of the newest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.certainty.coverage import NEWEST, Coverage, CoverageByBlock
from millrace.schemas.records import BlockCertainty

EVENTS = st.lists(st.tuples(st.none() | st.booleans(), st.floats(0, 10)), max_size=40)


def test_nothing_is_known_before_the_first_label() -> None:
    """No share is 0: there is none."""
    coverage = Coverage()
    shares = coverage.share, coverage.newest_share, coverage.mean_size, coverage.newest_mean_size
    assert shares == (None,) * 4
    assert CoverageByBlock().as_data() is None


def test_what_had_no_interval_is_counted_apart() -> None:
    """It neither held nor failed."""
    coverage = Coverage()
    coverage.add([None, None, True, False], [1.0, 5.0, 2.0, 4.0])
    assert (coverage.unknown, coverage.labels, coverage.covered) == (2, 2, 1)
    assert (coverage.share, coverage.mean_size) == (0.5, 3.0)


def test_the_newest_are_a_thousand() -> None:
    """Those before them count for all alone."""
    coverage = Coverage()
    coverage.add([True] * 500 + [False] * NEWEST, [4.0] * 500 + [5.0] * NEWEST)
    assert coverage.share == pytest.approx(500 / 1_500)
    assert coverage.newest_share == 0.0
    assert coverage.mean_size == pytest.approx((500 * 4 + NEWEST * 5) / 1_500)
    assert coverage.newest_mean_size == 5.0


@given(events=EVENTS, cut=st.integers(0, 40))
def test_it_makes_no_difference_where_events_are_cut(
    events: list[tuple[bool | None, float]], cut: int
) -> None:
    """One by one, in two parts, or as a column: the same to the last bit."""
    one, parts, whole = Coverage(), Coverage(), Coverage()
    for hit, size in events:
        one.add([hit], [size])
    for some in (events[:cut], events[cut:]):
        parts.add([hit for hit, _ in some], [size for _, size in some])
    whole.add([hit for hit, _ in events], [size for _, size in events])
    assert one == parts == whole
    assert Coverage.from_fields(json.loads(json.dumps(whole.to_fields()))) == whole


def test_the_newest_blocks_are_as_few_as_have_a_thousand_labels() -> None:
    """Blocks of several sizes, one of them without a label."""
    shown = CoverageByBlock()
    for labels, covered in ((600, 0), (100, 100), (0, 0), (950, 950)):
        shown.add(BlockCertainty(wanted=0.9, labels=labels, covered=covered, size=2.0 * labels))
    found = shown.as_data()
    assert found is not None
    assert (found["labels"], found["share"]) == (1_650, 1_050 / 1_650)
    assert (found["newest_share"], found["newest_mean_size"]) == (1.0, 2.0)
    assert [each["labels"] for each in shown.newest] == [100, 0, 950]


def test_blocks_say_that_coverage_is_low_as_the_alert_does() -> None:
    """Not before there are 1,000 labels; and then until it has nearly recovered."""
    shown, found = CoverageByBlock(), []
    for covered in (500, 300, 480, 431, 440, 447, 450):
        shown.add(BlockCertainty(wanted=0.9, labels=500, covered=covered, size=500.0))
        data = shown.as_data()
        assert data is not None
        found.append((data["newest_share"], data["is_low"]))
    assert found == [
        *((1.0, False), (0.8, True), (0.78, True), (0.911, False)),
        *((0.871, True), (0.887, True), (0.897, False)),
    ]


def test_blocks_of_another_coverage_begin_anew() -> None:
    """What was served for the former one says nothing of it."""
    shown = CoverageByBlock()
    for _ in range(10):
        shown.add(BlockCertainty(wanted=0.8, labels=100, covered=60, size=100.0))
    assert shown.is_low
    shown.add(BlockCertainty(wanted=0.9, labels=50, covered=45, size=100.0))
    found = shown.as_data()
    assert found is not None
    assert (found["labels"], found["share"], found["newest_mean_size"]) == (50, 0.9, 2.0)
    assert found["is_low"] is False
