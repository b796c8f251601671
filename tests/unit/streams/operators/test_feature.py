"""A valid event becomes the features that a model sees, or a dead letter that says where not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from millrace.models.features import calendar, derived, fields, rolling
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import RecordError
from millrace.schemas.records import Event, RejectReason
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.record import EventRecord, Record
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


def test_labels_pass_through(make_pipeline: Make, make_label: Make) -> None:
    """A label goes on as it is, in its place."""
    label = make_label("e1", True)
    (made,) = FeatureOperator(make_pipeline()).process(label)
    assert (made.topic, made.type, made.value) == ("features", "Label", label.value)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x["nothing"], "KeyError: 'nothing' at"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero at"),
        (lambda x: [1], "must "),
        (lambda x: {"a": 1}, "must "),
        (lambda x: b"bytes", "must "),
        (lambda x: 2**63, "must "),
        (lambda x: 1j, "must "),
        (lambda x: np.array([1, 2]), "must "),
    ],
)
def test_code_that_fails(
    function: Callable[[Any], Any], says: str, make_pipeline: Make, make_event: Make
) -> None:
    """A function that raises, or makes what no feature can be, is one reject that names it."""
    pipeline: Pipeline = make_pipeline(features=(fields("a"), derived("odd", function)))
    operator = FeatureOperator(pipeline)
    (made,) = operator.process(make_event("e1"))
    assert (made.topic, made.value["reason"]) == ("rejects", RejectReason.FEATURE_ERROR)
    assert says in made.value["detail"]
    assert "odd" in made.value["detail"] or "test_feature.py:" in made.value["detail"]
    assert (made.value["topic"], made.value["offset"], made.value["value"]) == (
        "clean", 4, b"original"
    )  # fmt: skip
    assert operator.tally == {("rejected_event", "feature_error"): 1}
    assert TopicCodec(pipeline).encode(made)


def test_a_failure_is_one_events_own(make_pipeline: Make, make_event: Make) -> None:
    """After an event that fails the next one goes on."""
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
    pipeline = make_pipeline(features=(derived("x", lambda _: given),))
    (made,) = FeatureOperator(pipeline).process(make_event())
    value = made.value["features"]["x"]
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
        (made,) = operator.process(make_event(user=user))
        return next(iter(made.value["features"].values()))

    assert [count(user) for user in ("a", "b", "a", "c", "a", "b")] == [1, 1, 2, 1, 3, 1]
    assert len(operator.stores["windows"]) == 2


def test_stop_on_error(make_pipeline: Make, make_event: Make) -> None:
    """With `on_error="stop"` a function that raises stops the agent: nothing is set aside."""
    pipeline = make_pipeline(features=(derived("r", lambda x: 1 / x["a"]),), on_error="stop")
    operator = FeatureOperator(pipeline)
    with pytest.raises(RecordError, match=r"derived\('r'\)"):
        operator.process(make_event(a=0.0))
    assert operator.tally == {}
