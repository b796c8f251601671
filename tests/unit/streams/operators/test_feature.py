"""A valid event becomes the features that a model sees, or a dead letter that names the cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from millrace.models.features import (
    Feature,
    StatelessFeature,
    Store,
    Stores,
    calendar,
    derived,
    fields,
    rolling,
)
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import EventSchema, RecordError
from millrace.schemas.records import Event, Features, RejectReason
from millrace.streams.operators.context import CommandTopic, Context
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.record import EventRecord, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.codec import TopicCodec

Make = Callable[..., Any]


@pytest.fixture
def make_event(make_origin: Make) -> Callable[..., Record]:
    """Make an event as it is in `clean`."""

    def make(event_id: str = "e1", time_ms: int = 0, /, **values: Any) -> Record:
        value = Event(
            event_id=event_id,
            key=values.pop("key", None),
            event_time_ms=time_ms,
            label=values.pop("label", None),
            fields={"id": event_id, "a": 1.0, "b": 2.0} | values,
        )
        return EventRecord(value, make_origin(b"original", topic="clean", offset=4))

    return make


def test_vector(make_pipeline: Make, make_event: Make) -> None:
    """A vector has what the features give, in their order, and the event's id, key and time."""
    features = (fields("b", "a"), derived("sum", lambda x: x["a"] + x["b"]), calendar("hour"))
    operator = FeatureOperator(make_pipeline(features=features))
    (made,) = operator.process(make_event("e1", 3_600_000, key="k", label=True))
    assert (made.topic, made.type) == ("features", "FeatureVector")
    assert made.value == {
        "event_id": "e1",
        "key": "k",
        "event_time_ms": 3_600_000,
        "label": True,
        "features": {"b": 2.0, "a": 1.0, "sum": 3.0, "hour": 1},
    }
    assert [*made.value["features"]] == ["b", "a", "sum", "hour"]


def test_default_features(make_pipeline: Make, make_event: Make) -> None:
    """Without a choice, features are the fields but id, key, time and label; null is absent."""
    operator = FeatureOperator(make_pipeline())
    (made,) = operator.process(make_event(a=None))
    assert made.value["features"] == {"b": 2.0}


def test_labels_pass_through(make_pipeline: Make, make_event: Make, make_label: Make) -> None:
    """A label is passed on as it is, in its place among the events; nothing else is."""
    label = replace(make_label("e1", True), topic="clean")
    operator = FeatureOperator(make_pipeline())
    made = operator.run(Slice([make_event(), label, make_event("e2")]))
    assert [(each.topic, each.type) for each in made] == [
        ("features", "FeatureVector"),
        ("features", "Label"),
        ("features", "FeatureVector"),
    ]
    assert made[1].value == label.value
    assert [*operator.process(made[0])] == []


class Given(StatelessFeature):
    """A feature of the user's own, of one value."""

    names = ("given",)

    def __init__(self, value: object) -> None:
        self.value = value

    def check(self, schema: EventSchema) -> None:
        """Any schema will do."""

    def extract(self, event: Event) -> Features:
        return {"given": self.value}  # type: ignore[dict-item] # what it should not be, at times


NOT_FEATURES = [[1], {"a": 1}, b"bytes", 1j, None, 2**63, -(2**63) - 1, np.array([1])]


@pytest.mark.parametrize("value", NOT_FEATURES, ids=str)
def test_what_no_feature_can_be_is_a_reject(
    value: object, make_pipeline: Make, make_event: Make
) -> None:
    """Whatever gives it, a value that is no number, boolean or text is named in the reject."""
    pipeline: Pipeline = make_pipeline(features=(fields("a"), Given(value)))
    operator = FeatureOperator(pipeline)
    (made,) = operator.process(make_event("e1"))
    assert (made.topic, made.value["reason"]) == ("rejects", RejectReason.FEATURE_ERROR)
    assert "feature 'given'" in made.value["detail"]
    assert (made.value["topic"], made.value["offset"], made.value["value"]) == (
        *("clean", 4, b"original"),
    )
    assert operator.tally == {("rejected_event", "feature_error"): 1}
    assert TopicCodec(pipeline).encode(made)


@pytest.mark.parametrize("value", [b"bytes", 2**63])
def test_the_message_says_what_a_feature_must_be(
    value: object, make_pipeline: Make, make_event: Make
) -> None:
    """It names the feature, the types there are, and what was made."""
    (made,) = FeatureOperator(make_pipeline(features=(Given(value),))).process(make_event())
    must = (
        f"TypeError: feature 'given' must be a finite number, a boolean or text; got {value!r} at "
    )
    assert made.value["detail"].startswith(must)


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (lambda x: x["nothing"], "KeyError: 'nothing' at "),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero at "),
    ],
)
def test_code_that_raises(
    function: Callable[[Any], Any], cause: str, make_pipeline: Make, make_event: Make
) -> None:
    """A function that raises is one reject, with its name and the line of the user's code."""
    pipeline: Pipeline = make_pipeline(features=(fields("a"), derived("odd", function)))
    (made,) = FeatureOperator(pipeline).process(make_event("e1"))
    assert re.fullmatch(
        rf"derived\('odd'\) raised .* \({re.escape(cause)}\S*test_feature.py:\d+\)",
        made.value["detail"],
    )


def test_a_value_that_is_refused_has_no_line(make_pipeline: Make, make_event: Make) -> None:
    """Where nothing was raised, the message is all there is."""
    pipeline = make_pipeline(features=(derived("odd", lambda _: [1]),))
    (made,) = FeatureOperator(pipeline).process(make_event())
    assert made.value["detail"] == (
        "derived('odd') must return a boolean, a number, text or None; got [1]"
    )


def test_a_failure_is_one_events_own(make_pipeline: Make, make_event: Make) -> None:
    """After an event that fails the next one is not affected."""
    pipeline = make_pipeline(features=(derived("ratio", lambda x: 1 / x["a"]),))
    operator = FeatureOperator(pipeline)
    made = [each for a in (0.0, 4.0) for each in operator.process(make_event(a=a))]
    assert [each.topic for each in made] == ["rejects", "features"]
    assert made[1].value["features"] == {"ratio": 0.25}


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (True, True),
    ],
)
def test_scalars_are_made_plain(
    given: Any, plain: Any, make_pipeline: Make, make_event: Make
) -> None:
    """NumPy's numbers become Python's, so that a model sees the same in any chain."""
    features = (derived("x", lambda _: given), Given(given))
    (made,) = FeatureOperator(make_pipeline(features=features)).process(make_event())
    for value in made.value["features"].values():
        assert (value, type(value)) == (plain, type(plain))


def test_nothing_is_absent(make_pipeline: Make, make_event: Make) -> None:
    """A function that returns None leaves its feature out."""
    pipeline = make_pipeline(features=(fields("a"), derived("x", lambda _: None)))
    (made,) = FeatureOperator(pipeline).process(make_event())
    assert made.value["features"] == {"a": 1.0}


@pytest.fixture
def windowed(make_pipeline: Make, avro: Make) -> Pipeline:
    """Make a pipeline with a rolling sum by user."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    roll = rolling("a", "count", "sum", window=timedelta(minutes=1), by="user")
    pipeline: Pipeline = make_pipeline(schema=schema, features=(roll,))
    return pipeline


def test_windows_are_kept(windowed: Pipeline, make_event: Make) -> None:
    """Rolling features see the group's own events of the last minute, this one included."""
    operator = FeatureOperator(windowed)
    seen = [
        next(iter(operator.process(make_event(f"e{i}", time_ms, user=user, a=a)))).value["features"]
        for i, (time_ms, user, a) in enumerate(
            [(0, "anna", 1.0), (1, "bert", 5.0), (30_000, "anna", 2.0), (60_000, "anna", 4.0)]
        )
    ]
    assert [[*each.values()] for each in seen] == [[1, 1.0], [1, 5.0], [2, 3.0], [2, 6.0]]


def test_windows_are_bounded(windowed: Pipeline, make_event: Make) -> None:
    """Of more groups than `max_entries`, the one least recently changed is evicted."""
    operator = FeatureOperator(windowed, max_entries=2)

    def count(user: str) -> Any:
        made, *alerts = operator.process(make_event(user=user))
        said.append([each.value["source"] for each in alerts])
        return next(iter(made.value["features"].values()))

    said: list[list[str]] = []
    assert [count(user) for user in ("a", "b", "a", "c", "a", "b")] == [1, 1, 2, 1, 3, 1]
    assert len(operator.stores["windows"]) == 2
    assert said == [[], [], [], ["evicted:windows"], [], []]
    assert [*operator.readings()] == [("windows_evicted", ("windows",), 2)]


def test_stores_are_bounded_in_bytes(windowed: Pipeline, make_event: Make) -> None:
    """Of windows that take more than `max_bytes`, the ones least recently changed are evicted."""
    operator = FeatureOperator(windowed, max_bytes=5_000)
    for i in range(200):
        operator.process(make_event(user=f"{i % 2} {'x' * 1_000}"))
        operator.process(make_event(user=f"{i}"))
    assert 2 < len(operator.stores["windows"]) < 12
    assert sum(72 * len(each) for each in operator.stores["windows"].values()) < 5_000


def test_what_is_cut_is_said_once(
    make_pipeline: Make, make_event: Make, move: Make, make_origin: Make
) -> None:
    """The first event whose window is cut makes an alert, also where state moves; all count."""
    feature = rolling("a", "sum", window=timedelta(hours=1), max_events=2)
    pipeline = make_pipeline(features=(feature,))
    operator, log, said = FeatureOperator(pipeline), {}, []
    for i in range(9):
        operator = move(operator, FeatureOperator(pipeline), log)
        made, *alerts = operator.process(make_event(f"e{i}", i))
        said += [(each.value["event_id"], each.value["source"]) for each in alerts]
        assert made.value["features"] == {"a_sum_1h": min(i + 1, 2)}
    assert said == [("e2", "cut:a_sum_1h")]
    assert [*operator.readings()] == [("windows_cut", ("a_sum_1h",), 7)]


class Seen(Feature):
    """How many events there were, in a store of its own and one that features share."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def check(self, schema: EventSchema) -> None:
        """Any schema will do."""

    def bind(self, stores: Stores) -> Callable[[Event], Features]:
        own, shared = stores(Store[int](self.name)), stores(Store[int]("shared"))

        def extract(event: Event) -> Features:
            own["events"] = own.get("events", 0) + 1
            shared[self.name] = own["events"]
            return {self.name: own["events"]}

        return extract


def test_features_get_the_stores_that_they_ask_for(make_pipeline: Make, make_event: Make) -> None:
    """Features that ask for one name share a store; each store is saved state of its own."""
    operator = FeatureOperator(make_pipeline(features=(Seen("one"), Seen("two"))))
    for number in (1, 2):
        (made,) = operator.process(make_event())
        assert made.value["features"] == {"one": number, "two": number}
    assert operator.stores == {
        "one": {"events": 2},
        "shared": {"one": 2, "two": 2},
        "two": {"events": 2},
        "evicted": {},
    }
    changes = operator.stores["shared"].take_changes()
    assert [(each.key, each.value) for each in changes] == [("one", 2), ("two", 2)]
    assert {operator.stores[name].limit for name in ("one", "shared", "two")} == {100_000}


def test_without_state_there_are_no_stores(make_pipeline: Make) -> None:
    """An agent of features that keep nothing has nothing to save."""
    features = (fields("a"), derived("x", lambda _: 1), calendar("hour"))
    assert FeatureOperator(make_pipeline(features=features)).stores == {}


def test_it_is_made_for_any_agent(make_pipeline: Make, make_event: Make) -> None:
    """It reads and writes the same topics, whatever it shares an agent with."""
    context = Context(
        pipeline=make_pipeline(),
        agent=("feature",),
        clean_partitions=1,
        commands_to=CommandTopic("clean", 1),
        max_event_bytes=1,
        written_schema=lambda _: None,
        load_models=lambda _: None,  # type: ignore[arg-type, return-value] # not asked for
    )
    operator = FeatureOperator.make(context)
    assert operator.name == "feature"
    assert operator.topics == ({"clean"}, {"features", "rejects", "alerts"})
    assert [each.topic for each in operator.process(make_event())] == ["features"]


def test_stop_on_error(make_pipeline: Make, make_event: Make) -> None:
    """With `on_error="stop"` a function that raises stops the agent: nothing is rejected."""
    pipeline = make_pipeline(features=(derived("r", lambda x: 1 / x["a"]),), on_error="stop")
    operator = FeatureOperator(pipeline)
    with pytest.raises(RecordError, match=r"derived\('r'\)"):
        operator.run(Slice([make_event(a=0.0)]))
    assert operator.tally == {}


class Greedy(Given):
    """A feature of the user's own that changes what it is given."""

    def extract(self, event: Event) -> Features:
        event["fields"].clear()
        event["key"] = "changed"
        return {"given": 1.0}


def test_a_feature_may_change_what_it_is_given(make_pipeline: Make, make_event: Make) -> None:
    """The other features see the event as it was."""
    pipeline = make_pipeline(features=(Greedy(1), fields("a"), derived("d", lambda x: x.pop("b"))))
    operator = FeatureOperator(pipeline)
    for _ in range(2):
        record = make_event(key="k")
        (made,) = operator.process(record)
        assert made.value["features"] == {"given": 1.0, "a": 1.0, "d": 2.0}
        assert (made.value["key"], record.value["fields"]["b"]) == ("k", 2.0)


@pytest.mark.parametrize("error", [SystemExit(), GeneratorExit(), StopIteration()], ids=repr)
def test_nothing_that_a_feature_raises_gets_past(
    error: BaseException, make_pipeline: Make, make_event: Make
) -> None:
    """What would end the process is a reject, too."""

    class Ends(Given):
        def extract(self, event: Event) -> Features:
            raise error

    (made,) = FeatureOperator(make_pipeline(features=(Ends(1),))).process(make_event())
    assert made.value["reason"] == RejectReason.FEATURE_ERROR
    assert made.value["detail"].startswith(type(error).__name__)


@pytest.mark.parametrize("place", [0, 1])
def test_a_rejected_event_leaves_no_trace(
    place: int, make_pipeline: Make, make_event: Make
) -> None:
    """Where a later feature raises, a window has nothing of the event, whatever their order."""
    features = [rolling("a", "count", window=timedelta(hours=1))]
    features.insert(place, derived("d", lambda x: 1 / x["b"]))
    operator = FeatureOperator(make_pipeline(features=features))
    kept = []
    for i in range(4):
        (made,) = operator.process(make_event(f"e{i}", i, b=float(i % 2)))
        kept.append(made.value.get("features", {}).get("a_count_1h"))
    assert kept == [None, 1, None, 2]
    assert [*made.value["features"]] == [*(name for each in features for name in each.names)]


@pytest.mark.parametrize("value", [1e6 + 1, -1e7, 2**62, 1e308])
def test_a_feature_may_be_too_large(value: float, make_pipeline: Make, make_event: Make) -> None:
    """The event is rejected with a reason of its own, and no window has it; without a limit not."""
    chosen = (fields("a"), rolling("a", "count", window=timedelta(hours=1)))
    operator = FeatureOperator(make_pipeline(features=chosen, largest_feature=1e6))
    (made,) = operator.run(Slice([make_event(a=value)]))
    assert made.value["reason"] == RejectReason.FEATURE_OUT_OF_RANGE
    assert made.value["detail"] == (
        f"feature 'a' must be at most 1000000.0 in size (largest_feature); got {value}"
    )
    assert operator.tally == {("rejected_event", "feature_out_of_range"): 1}
    (made,) = operator.run(Slice([make_event(a=-1e6)]))
    assert made.value["features"] == {"a": -1e6, "a_count_1h": 1}
    (made,) = FeatureOperator(make_pipeline(features=chosen)).process(make_event(a=value))
    assert made.topic == "features"
