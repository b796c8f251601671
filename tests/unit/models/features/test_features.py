"""Features: what is in the vector, what is absent, and which definitions are refused."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from millrace.models.features.features import calendar, derived, fields, rolling
from millrace.schemas import DefinitionError, EventSchema, RecordError, RejectReason

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000


def event(time_ms=0, key=None, **values):
    return {"event_id": "1", "key": key, "event_time_ms": time_ms, "fields": values}


def schema(**types):
    listed = [{"name": name, "type": kind} for name, kind in types.items()]
    return EventSchema({"type": "record", "name": "Payment", "fields": listed})


PAYMENT = schema(
    amount=["null", "double"],
    country="string",
    approved="boolean",
    tags={"type": "array", "items": "string"},
)


class Recorder(dict):
    """Keyed state that notes which keys were assigned."""

    def __init__(self):
        super().__init__()
        self.assigned = []

    def __setitem__(self, key, value):
        self.assigned.append(key)
        super().__setitem__(key, value)


class TestFields:
    def test_values_come_untouched_in_the_order_given(self):
        """A model sees the very values, whatever the order of the schema."""
        found = fields("b", "a").extract(event(a=1, b="x", c=True), {})
        assert list(found.items()) == [("b", "x"), ("a", 1)]
        assert type(found["a"]) is int

    def test_null_is_absent_and_falsy_is_not(self):
        """Only null counts as missing; 0, False and empty text are values."""
        found = fields("a", "b", "c", "d").extract(event(a=None, b=0, c=False, d=""), {})
        assert found == {"b": 0, "c": False, "d": ""}

    def test_the_event_is_left_as_it_was(self):
        """Extracting gives a new mapping."""
        given = event(a=1)
        fields("a").extract(given, {})["a"] = 2
        assert given["fields"] == {"a": 1}

    def test_an_unknown_field_is_refused(self):
        """The message names the field and those there are."""
        with pytest.raises(DefinitionError, match=r"'amount', 'country'.*got 'amuont'"):
            fields("amuont").check(PAYMENT)

    def test_a_field_that_no_model_can_see_is_refused(self):
        """An array is no feature; the message points to derived()."""
        with pytest.raises(DefinitionError, match=r"'tags'; write derived\(\)"):
            fields("tags").check(PAYMENT)

    def test_no_fields_are_refused(self):
        """A feature that gives nothing is a mistake."""
        with pytest.raises(DefinitionError, match="at least one field"):
            fields()

    def test_primitive_fields_are_accepted(self):
        """Numbers, booleans and text need no more."""
        fields("amount", "country", "approved").check(PAYMENT)


class TestDerived:
    def test_the_function_sees_the_fields(self):
        """The result goes into the vector under the given name."""
        ratio = derived("ratio", lambda each: each["debt"] / each["income"])
        assert ratio.extract(event(debt=1.0, income=4.0), {}) == {"ratio": 0.25}

    def test_none_is_absent(self):
        """A function may say that the feature is missing."""
        assert derived("x", lambda each: each["x"]).extract(event(x=None), {}) == {}

    @pytest.mark.parametrize(
        ("function", "found"),
        [
            (lambda each: each["x"] / 0, "ZeroDivisionError"),
            (lambda each: each["nope"], "KeyError"),
            (lambda each: [each["x"]], r"a boolean, a number, text or None; got \[1\]"),
            (lambda each: math.nan, "a finite number; got nan"),
        ],
    )
    def test_what_the_function_does_wrong_is_an_error_of_the_record(self, function, found):
        """The event is rejected and the pipeline goes on."""
        with pytest.raises(RecordError, match=found) as caught:
            derived("x", function).extract(event(x=1), {})
        assert caught.value.reason is RejectReason.FEATURE_ERROR
        assert "derived('x')" in caught.value.detail

    def test_a_definition_needs_a_name_and_a_function(self):
        """Each is checked when the pipeline is loaded."""
        with pytest.raises(DefinitionError, match="requires a name"):
            derived("", len)
        with pytest.raises(DefinitionError, match=r"derived\('x'\) requires a function"):
            derived("x", 3)

    def test_any_schema_will_do(self):
        """Only the function knows what it reads."""
        feature = derived("x", len)
        feature.check(PAYMENT)
        assert feature.names == ("x",)


class TestCalendar:
    SUNDAY = datetime(2024, 3, 31, 22, 59, 59, 999_000, tzinfo=UTC)

    def extract(self, *parts, **options):
        time_ms = int(self.SUNDAY.timestamp() * 1000)
        return calendar(*parts, **options).extract(event(time_ms), {})

    def test_parts_are_those_of_the_event_time(self):
        """In UTC unless said otherwise, Monday being 0."""
        found = self.extract("hour", "day_of_week", "day_of_month", "month", "is_weekend")
        assert found == {
            "hour": 22,
            "day_of_week": 6,
            "day_of_month": 31,
            "month": 3,
            "is_weekend": True,
        }

    def test_a_time_zone_moves_every_part(self):
        """In Zurich it is Monday, and summer time began that day."""
        found = self.extract("hour", "day_of_week", "month", "is_weekend", timezone="Europe/Zurich")
        assert found == {"hour": 0, "day_of_week": 0, "month": 4, "is_weekend": False}

    def test_times_before_the_epoch_count_backwards(self):
        """One millisecond before 1970 is the last hour of 1969."""
        assert calendar("hour", "month").extract(event(-1), {}) == {"hour": 23, "month": 12}

    def test_only_the_parts_asked_for_are_given(self):
        """Names and values agree, and any schema will do."""
        feature = calendar("month")
        feature.check(PAYMENT)
        assert feature.names == ("month",)
        assert feature.extract(event(0), {}) == {"month": 1}

    @pytest.mark.parametrize("parts", [(), ("hour", "minute_of_moon")])
    def test_unknown_parts_are_refused(self, parts):
        """The message lists the parts there are."""
        with pytest.raises(DefinitionError, match="'hour', 'day_of_week'"):
            calendar(*parts)

    @pytest.mark.parametrize("timezone", ["Mars/Olympus", "../etc", ""])
    def test_unknown_time_zones_are_refused(self, timezone):
        """The message says what a time zone looks like."""
        with pytest.raises(DefinitionError, match="for example 'Europe/Zurich'"):
            calendar("hour", timezone=timezone)


class TestRolling:
    def test_aggregates_include_the_event_itself(self):
        """All six, over the events of one key within the hour."""
        feature = rolling("amount", "count", "sum", "mean", "min", "max", "std", window=HOUR)
        windows = {}
        feature.extract(event(0, "a", amount=1), windows)
        assert feature.extract(event(HOUR_MS - 1, "a", amount=3), windows) == {
            "amount_count_1h": 2,
            "amount_sum_1h": 4.0,
            "amount_mean_1h": 2.0,
            "amount_min_1h": 1.0,
            "amount_max_1h": 3.0,
            "amount_std_1h": math.sqrt(2),
        }
        assert feature.extract(event(HOUR_MS, "a", amount=3), windows)["amount_count_1h"] == 2

    def test_a_late_event_does_not_see_what_happened_after_it(self):
        """Point in time correct: placed by its own time, and seen by those after it."""
        feature, windows = rolling("amount", "sum", window=HOUR), {}
        feature.extract(event(10, amount=1.0), windows)
        feature.extract(event(30, amount=4.0), windows)
        assert feature.extract(event(20, amount=2.0), windows) == {"amount_sum_1h": 3.0}
        assert feature.extract(event(40, amount=8.0), windows) == {"amount_sum_1h": 15.0}

    def test_groups_are_apart(self):
        """By default events belong together by key; `by` names another field."""
        by_key, by_country = (
            rolling("amount", "count", window=HOUR, **option) for option in ({}, {"by": "country"})
        )
        given = [event(i, key, amount=1.0, country=c) for i, (key, c) in enumerate(["ax", "bx"])]
        for feature, count in ((by_key, 1), (by_country, 2)):
            windows = {}
            found = [feature.extract(each, windows) for each in given]
            assert found[-1] == {"amount_count_1h": count}

    def test_nulls_are_a_group_of_their_own(self):
        """An event without a group does not mix with one whose group is empty text."""
        feature, windows = rolling("amount", "count", window=HOUR, by="country"), {}
        for country, count in ((None, 1), ("", 1), (None, 2), ("None", 1)):
            found = feature.extract(event(0, amount=1.0, country=country), windows)
            assert found == {"amount_count_1h": count}

    @pytest.mark.parametrize("value", [None, math.nan, math.inf])
    def test_a_missing_value_does_not_enter(self, value):
        """The event sees the others' aggregates, and the state is not touched."""
        feature, windows = rolling("amount", "count", "mean", window=HOUR), Recorder()
        assert feature.extract(event(0, amount=value), windows) == {"amount_count_1h": 0}
        assert windows == {}
        feature.extract(event(1, amount=5.0), windows)
        found = feature.extract(event(2, amount=value), windows)
        assert found == {"amount_count_1h": 1, "amount_mean_1h": 5.0}
        assert len(windows.assigned) == 1

    def test_every_change_is_assigned(self):
        """Assignment is how keyed state learns that a window is dirty."""
        feature, windows = rolling("amount", "count", window=HOUR), Recorder()
        for key in ("a", "b", "a"):
            feature.extract(event(0, key, amount=1.0), windows)
        assert windows.assigned[0] == windows.assigned[2] != windows.assigned[1]

    def test_features_of_one_field_do_not_share_a_window(self):
        """Two features on one state count every event once each."""
        features, windows = [rolling("amount", each, window=HOUR) for each in ("count", "sum")], {}
        found = [feature.extract(event(0, amount=2.0), windows) for feature in features]
        assert found == [{"amount_count_1h": 1}, {"amount_sum_1h": 2.0}]

    def test_booleans_count_as_zero_and_one(self):
        """The mean of a flag is its rate."""
        feature, windows = rolling("approved", "mean", window=HOUR), {}
        feature.check(PAYMENT)
        feature.extract(event(0, approved=True), windows)
        assert feature.extract(event(1, approved=False), windows) == {"approved_mean_1h": 0.5}

    def test_no_more_than_max_events_are_aggregated(self):
        """A busy group's state is bounded by its newest events."""
        feature, windows = rolling("amount", "sum", window=HOUR, max_events=2), {}
        found = [feature.extract(event(i, amount=float(i)), windows) for i in range(4)]
        assert found[-1] == {"amount_sum_1h": 5.0}

    @pytest.mark.parametrize(
        ("window", "length"),
        [
            (timedelta(seconds=30), "30s"),
            (timedelta(seconds=90), "90s"),
            (timedelta(minutes=5), "5m"),
            (timedelta(minutes=60), "1h"),
            (timedelta(hours=36), "36h"),
            (timedelta(weeks=1), "7d"),
            (timedelta(milliseconds=250), "250ms"),
        ],
    )
    def test_names_say_field_aggregate_and_window(self, window, length):
        """In the largest unit that fits; `name` stands for the field where two would clash."""
        assert rolling("amount", "max", window=window).names == (f"amount_max_{length}",)
        named = rolling("amount", "max", window=window, name="by_card")
        assert named.names == (f"by_card_max_{length}",)

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            ((), {}, "requires aggregates of"),
            (("median",), {}, "'std'.*got \\('median',\\)"),
            (("sum",), {"window": timedelta(0)}, "whole milliseconds"),
            (("sum",), {"window": timedelta(microseconds=1500)}, "whole milliseconds"),
            (("sum",), {"max_events": 0}, "max_events above 0; got 0"),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments, options, message):
        """The message names the feature and what it requires."""
        with pytest.raises(DefinitionError, match=rf"rolling\('amount'\).*{message}"):
            rolling("amount", *arguments, **({"window": HOUR} | options))

    @pytest.mark.parametrize(
        ("field", "by", "message"),
        [
            ("country", None, r"requires a field of numbers; got \('string',\)"),
            ("price", None, "got 'price'"),
            ("amount", "city", "by requires fields of the schema.*got 'city'"),
            ("amount", "tags", "'tags'"),
        ],
    )
    def test_fields_that_do_not_fit_are_refused(self, field, by, message):
        """The message names the field."""
        with pytest.raises(DefinitionError, match=message):
            rolling(field, "sum", window=HOUR, by=by).check(PAYMENT)

    def test_fields_that_fit_are_accepted(self):
        """Any number that may be null, grouped by any primitive field."""
        rolling("amount", "sum", window=HOUR, by="country").check(PAYMENT)
