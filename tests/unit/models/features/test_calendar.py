"""Parts of an event's time, in the time zone that was asked for."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from millrace import calendar
from millrace.schemas import DefinitionError

SUNDAY_MS = int(datetime(2024, 3, 31, 22, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)


def test_parts_are_those_of_the_event_time(event, bind):
    """In UTC by default, Monday being 0."""
    parts = ("hour", "day_of_week", "day_of_month", "month", "is_weekend")
    assert bind(calendar(*parts))(event(SUNDAY_MS)) == {
        "hour": 22,
        "day_of_week": 6,
        "day_of_month": 31,
        "month": 3,
        "is_weekend": True,
    }


def test_a_time_zone_moves_every_part(event, bind):
    """In Zurich it is Monday, and summer time began that day."""
    parts = ("hour", "day_of_week", "month", "is_weekend")
    found = bind(calendar(*parts, timezone="Europe/Zurich"))(event(SUNDAY_MS))
    assert found == {"hour": 0, "day_of_week": 0, "month": 4, "is_weekend": False}


@pytest.mark.parametrize(("days", "is_weekend"), [(-2, False), (-1, True), (0, True), (1, False)])
def test_saturday_and_sunday_are_the_weekend(days, is_weekend, event, bind):
    """Friday and Monday are not."""
    time_ms = SUNDAY_MS + days * 86_400_000
    assert bind(calendar("is_weekend"))(event(time_ms)) == {"is_weekend": is_weekend}


def test_times_before_the_epoch_are_in_1969(event, bind):
    """One millisecond before 1970 is the last hour of 1969."""
    assert bind(calendar("hour", "month"))(event(-1)) == {"hour": 23, "month": 12}


def test_only_the_parts_asked_for_are_given(event, bind, payment):
    """Names and values agree, and any schema will do."""
    feature = calendar("month")
    feature.check(payment)
    assert feature.names == ("month",)
    assert bind(feature)(event(0)) == {"month": 1}


@pytest.mark.parametrize("parts", [(), ("hour", "minute_of_moon"), (["hour"],), (1,)])
def test_unknown_parts_are_refused(parts):
    """The message lists the parts there are."""
    with pytest.raises(DefinitionError, match=r"^calendar\(\): parts must be .*'hour', 'day_of"):
        calendar(*parts)


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../etc", "", 2, None, ["UTC"]])
def test_unknown_time_zones_are_refused(timezone):
    """The message shows what a time zone looks like."""
    with pytest.raises(DefinitionError) as caught:
        calendar("hour", timezone=timezone)
    assert str(caught.value) == (
        "calendar(): timezone must be the IANA name of a time zone, for example"
        f" 'Europe/Zurich'; got {timezone!r}"
    )


def test_utc_needs_no_time_zone_database(event, bind, monkeypatch):
    """It works where the system has none."""
    monkeypatch.delattr(sys.modules[calendar.__module__], "ZoneInfo")
    assert bind(calendar("hour"))(event(SUNDAY_MS)) == {"hour": 22}


def test_a_name_goes_before_the_parts(event, bind):
    """The hours of two places stand side by side, and each name alone gives the same."""
    feature = calendar("hour", "month", timezone="Asia/Tokyo", name="tokyo")
    assert feature.names == ("tokyo_hour", "tokyo_month")
    assert bind(feature)(event(0)) == {"tokyo_hour": 9, "tokyo_month": 1}
    assert bind(feature.alone("tokyo_hour"))(event(0)) == {"tokyo_hour": 9}
    assert calendar("hour", "hour").names == ("hour", "hour")  # which a definition refuses


@pytest.mark.parametrize("name", ["", 2, "\n"])
def test_a_name_is_text(name):
    """The message says what was given."""
    with pytest.raises(DefinitionError, match=r"^calendar\(\): name must be text; got "):
        calendar("hour", name=name)
