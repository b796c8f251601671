"""Aggregates over recent events: which events count, and what is kept between them."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from millrace import rolling
from millrace.models.features.window import Window
from millrace.schemas import DefinitionError, EventSchema

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000


class Recorder(dict):
    """Keyed state that notes which keys were assigned."""

    def __init__(self):
        super().__init__()
        self.assigned = []

    def __setitem__(self, key, value):
        self.assigned.append(key)
        super().__setitem__(key, value)


def test_aggregates_include_the_event_itself(event, bind):
    """All six, over the events of one key within the hour."""
    extract = bind(rolling("amount", "count", "sum", "mean", "min", "max", "std", window=HOUR))
    extract(event(0, "a", amount=1))
    assert extract(event(HOUR_MS - 1, "a", amount=3)) == {
        "amount_count_1h": 2,
        "amount_sum_1h": 4.0,
        "amount_mean_1h": 2.0,
        "amount_min_1h": 1.0,
        "amount_max_1h": 3.0,
        "amount_std_1h": math.sqrt(2),
    }
    assert extract(event(HOUR_MS, "a", amount=3))["amount_count_1h"] == 2


def test_a_late_event_does_not_see_what_happened_after_it(event, bind):
    """Point in time correct: placed by its own time, and seen by those after it."""
    extract = bind(rolling("amount", "sum", window=HOUR))
    extract(event(10, amount=1.0))
    extract(event(30, amount=4.0))
    assert extract(event(20, amount=2.0)) == {"amount_sum_1h": 3.0}
    assert extract(event(40, amount=8.0)) == {"amount_sum_1h": 15.0}


@pytest.mark.parametrize(("options", "count"), [({}, 1), ({"by": "country"}, 2)])
def test_groups_are_apart(options, count, event, bind):
    """By default events belong together by key; `by` names another field."""
    extract = bind(rolling("amount", "count", window=HOUR, **options))
    extract(event(0, "a", amount=1.0, country="x"))
    assert extract(event(1, "b", amount=1.0, country="x")) == {"amount_count_1h": count}


def test_nulls_are_a_group_of_their_own(event, bind):
    """An event without a group does not mix with one whose group is empty text."""
    extract = bind(rolling("amount", "count", window=HOUR, by="country"))
    for country, count in ((None, 1), ("", 1), (None, 2), ("None", 1)):
        assert extract(event(0, amount=1.0, country=country)) == {"amount_count_1h": count}


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_missing_value_does_not_enter(value, event, bind):
    """The event sees the others' aggregates, and the state does not change."""
    windows = Recorder()
    extract = bind(rolling("amount", "count", "mean", window=HOUR), {"windows": windows})
    assert extract(event(0, amount=value)) == {"amount_count_1h": 0}
    assert windows == {}
    extract(event(1, amount=5.0))
    assert extract(event(2, amount=value)) == {"amount_count_1h": 1, "amount_mean_1h": 5.0}
    assert len(windows.assigned) == 1


def test_every_change_is_assigned(event, bind):
    """Assignment is how keyed state notices that a window has changed."""
    windows = Recorder()
    extract = bind(rolling("amount", "count", window=HOUR), {"windows": windows})
    for key in ("a", "b", "a"):
        extract(event(0, key, amount=1.0))
    assert windows.assigned == ["amount_count_1h|a", "amount_count_1h|b", "amount_count_1h|a"]


def test_windows_are_stored_by_feature_and_group(event, bind):
    """Keys and entries of the store are those of earlier releases, whose state is read."""
    stores = {}
    extract = bind(rolling("amount", "sum", "max", window=HOUR, max_events=7), stores)
    extract(event(3, None, amount=True))
    extract(event(4, "a|b", amount=2))
    assert [*stores] == ["windows", "cut"]
    assert [*stores["windows"]] == ["amount_sum_1h", "amount_sum_1h|a|b"]
    window = stores["windows"]["amount_sum_1h"]
    assert type(window) is Window
    assert (window.span_ms, window.max_events) == (HOUR_MS, 7)
    assert [*map(type, window.values(3))] == [float]


def test_features_of_one_field_do_not_share_a_window(event, bind):
    """Two features on one store count every event once each."""
    stores = {}
    extractors = [bind(rolling("amount", each, window=HOUR), stores) for each in ("count", "sum")]
    found = [extract(event(0, amount=2.0)) for extract in extractors]
    assert found == [{"amount_count_1h": 1}, {"amount_sum_1h": 2.0}]


def test_an_aggregate_that_no_float_can_hold_is_absent(event, bind):
    """The others are there."""
    extract = bind(rolling("amount", "sum", "max", window=HOUR))
    extract(event(0, amount=1.7e308))
    assert extract(event(1, amount=1.7e308)) == {"amount_max_1h": 1.7e308}


def test_booleans_count_as_zero_and_one(event, bind, payment):
    """The mean of a flag is its rate."""
    feature = rolling("approved", "mean", window=HOUR)
    feature.check(payment)
    extract = bind(feature)
    extract(event(0, approved=True))
    assert extract(event(1, approved=False)) == {"approved_mean_1h": 0.5}


def test_no_more_than_max_events_are_aggregated(event, bind):
    """A busy group's state is bounded by its newest events."""
    extract = bind(rolling("amount", "sum", window=HOUR, max_events=2))
    found = [extract(event(i, amount=float(i))) for i in range(4)]
    assert found[-1] == {"amount_sum_1h": 5.0}


def test_by_default_256_events_are_aggregated(event, bind):
    """The bound that holds if none is given."""
    extract = bind(rolling("amount", "count", window=HOUR))
    found = [extract(event(i, amount=1.0)) for i in range(257)]
    assert [each["amount_count_1h"] for each in found[-2:]] == [256, 256]


@pytest.mark.parametrize(
    ("window", "length"),
    [
        (timedelta(milliseconds=1), "1ms"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=30), "30s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(minutes=60), "1h"),
        (timedelta(hours=36), "36h"),
        (timedelta(weeks=1), "7d"),
    ],
)
def test_names_hold_field_aggregate_and_window(window, length):
    """In the largest unit that fits; `name` stands for the field where two would clash."""
    feature = rolling("amount", "max", "min", window=window)
    assert feature.names == (f"amount_max_{length}", f"amount_min_{length}")
    named = rolling("amount", "max", window=window, name="by_card")
    assert named.names == (f"by_card_max_{length}",)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, r"aggregates must be one or more of \['count'.*got \(\)"),
        (("sum", "median"), {}, r"aggregates must be .*got 'median'\. Did you mean 'mean'\?"),
        (
            ("sum",),
            {"window": timedelta(0)},
            "window must be a timedelta of 0:00:00.001",
        ),
        (("sum",), {"window": timedelta(microseconds=1500)}, "window must be .*; got"),
        (("sum",), {"max_events": 0}, "max_events must be a whole number of 1 or more; got 0"),
        (("sum",), {"max_events": 10**7}, "max_events must be 1,000,000 or less; got 10000000"),
        (("sum",), {"max_events": True}, "max_events must be a whole number.*; got True"),
        (("sum",), {"window": 3600}, "window must be a timedelta.*, for example .*; got 3600"),
        (("sum",), {"window": None}, "window must be a timedelta.*; got None"),
        (("sum", "sum"), {}, r"aggregates must be .* each once; got \('sum', 'sum'\)"),
        ((["sum"],), {}, r"aggregates must be .*; got \['sum'\]"),
        (("sum",), {"by": 1}, "by must be text; got 1"),
        (("sum",), {"name": ""}, "name must be text; got ''"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    """The message names the feature, the parameter and what it must be."""
    with pytest.raises(DefinitionError, match=rf"^rolling\('amount'\): {message}"):
        rolling("amount", *arguments, **({"window": HOUR} | options))


def test_one_event_is_enough(event, bind):
    """The smallest bound there is."""
    extract = bind(rolling("amount", "count", window=HOUR, max_events=1))
    assert [extract(event(0, amount=1.0)) for _ in range(2)] == [{"amount_count_1h": 1}] * 2


@pytest.mark.parametrize(
    ("field", "by", "message"),
    [
        ("country", None, r"\('country'\): field must be .*numbers or booleans; got \('string',\)"),
        ("price", None, r"\('price'\): field must be a field of the schema.*got 'price'"),
        ("amount", "city", r"\('amount'\): by must be a field of the schema.*got 'city'"),
        ("amount", "tags", r"\('amount'\): by must be a field of numbers, .*got 'tags'"),
    ],
)
def test_fields_that_do_not_fit_are_refused(field, by, message, payment):
    """The message names the parameter and what was given."""
    with pytest.raises(DefinitionError, match=rf"^rolling{message}"):
        rolling(field, "sum", window=HOUR, by=by).check(payment)


@pytest.mark.parametrize(
    "kind", ["boolean", "int", "long", "float", "double", ["null", "int", "double"]]
)
def test_fields_that_fit_are_accepted(kind):
    """Any number or boolean that may be null, grouped by any primitive field."""
    fields = [{"name": "amount", "type": kind}, {"name": "country", "type": "string"}]
    schema = EventSchema({"type": "record", "name": "Payment", "fields": fields})
    rolling("amount", "sum", window=HOUR, by="country").check(schema)


def test_events_whose_window_is_cut_are_counted(event, bind):
    """Each event whose aggregates lack some of the window is counted, by the first feature name."""
    stores = {}
    extract = bind(rolling("amount", "sum", "count", window=HOUR, max_events=3), stores)
    found = [extract(event(i, amount=1.0))["amount_count_1h"] for i in range(10)]
    assert (found, stores["cut"]) == ([1, 2, 3, *[3] * 7], {"amount_sum_1h": 7})
    assert extract(event(9, amount=None))["amount_count_1h"] == 3
    assert stores["cut"] == {"amount_sum_1h": 8}


def test_long_groups(event, bind):
    """The name of a long group is shortened, and stays one of its own."""
    stores = {}
    extract = bind(rolling("amount", "count", window=HOUR, by="country"), stores)
    for end in ("a", "b", "a"):
        extract(event(0, amount=1.0, country="x" * 500_000 + end))
    assert [len(each) for each in stores["windows"].values()] == [2, 1]
    assert all(len(key) < 1_200 for key in stores["windows"])
