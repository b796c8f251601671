"""Which versions are kept of an archive that grows for years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import SettingsError
from millrace.streams.retention import kept, parse_retention, period

TIERS = parse_retention("24h,31d,12mo")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

times = st.lists(
    st.integers(0, 60 * 24 * 800).map(lambda minutes: FIRST + timedelta(minutes=minutes)),
    max_size=60,
    unique=True,
)
retentions = st.sampled_from(["24h,31d,12mo", "3min,2h", "1h", "2d,1mo,5y", "5h,2d,2mo"])


@given(times, retentions)
def test_what_is_kept_does_not_depend_on_when_it_is_thinned(times, text):
    """Removed one by one as others come, or all at the end."""
    tiers, left = parse_retention(text), set()
    for each in sorted(times):
        left = kept(tiers, left | {each})
    assert left == kept(tiers, times)


@given(times, retentions)
def test_no_more_is_kept_than_the_periods_are(times, text):
    """And of the newest period of each unit there is one."""
    tiers = parse_retention(text)
    found = kept(tiers, times)
    assert found <= set(times)
    assert len(found) <= sum(each.periods for each in tiers)
    if times:
        assert period(tiers, max(times)) in {period(tiers, each) for each in found}


def test_two_years_of_hours_become_few():
    """24 hours, the first version of 31 days, and that of 12 months."""
    hours = [FIRST + timedelta(hours=each) for each in range(24 * 365 * 2)]
    found = sorted(kept(TIERS, hours))
    assert found[-24:] == hours[-24:]
    days = {each.date() for each in found if each.hour == 0}
    assert hours[-1].date() - timedelta(days=30) in days
    assert [each for each in found if each < hours[-1] - timedelta(days=31)] == [
        datetime(2027, month, 1, tzinfo=UTC) for month in range(1, 12)
    ]
    assert len(found) == 24 + 30 + 11


def test_a_pause_of_a_year_removes_nothing():
    """What counts is the last periods that have a version, and not what time it is."""
    day = [FIRST + timedelta(hours=each) for each in range(20)]
    later = FIRST + timedelta(days=400)
    assert kept(TIERS, [*day, later]) == {*day, later}


@pytest.mark.parametrize("text", ["", "24", "0h", "24h,12h", "24 hours", "-1h", "24h,", "h"])
def test_what_is_no_retention_is_refused(text):
    """The message says what it must be."""
    with pytest.raises(SettingsError, match=r"archive_keep must be .* for example 24h,31d,12mo"):
        parse_retention(text)
