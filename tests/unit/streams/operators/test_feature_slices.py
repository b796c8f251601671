"""However events are cut into slices, each becomes the vector that it would become by itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from millrace.models.features import Feature, StatelessFeature, calendar, derived, fields, rolling
from millrace.schemas import EventSchema
from millrace.schemas.records import Event, Features
from millrace.streams.operators.base import RecordOperator
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.record import EventRecord, LabelRecord, Origin, Record
from millrace.streams.operators.slice import Slice

Make = Callable[..., Any]

NOW_MS = 1_700_000_000_000
SCHEMA: Mapping[str, Any] = {
    "id": "string",
    "who": ["null", "string"],
    "a": "double",
    "b": ["null", "double"],
    "c": ["null", "long", "string"],
    "d": "boolean",
    "y": ["null", "boolean"],
}
DRAWN: Mapping[str, tuple[Any, ...]] = {
    "who": (None, "anna", "bert"),
    "a": (0.0, -1.5, 10.0, 1e300, float("nan")),
    "b": (None, 0.5, -11.0, float("inf")),
    "c": (None, None, 3, -(10**9), "text"),
    "d": (True, False),
}


@dataclass(frozen=True)
class Own(StatelessFeature):
    """A feature of a user's, which spoils the event that it is given."""

    names = ("own",)

    def check(self, schema: EventSchema) -> None:
        pass

    def extract(self, event: Event) -> Features:
        return {"own": event["fields"].pop("a")}


def inverse(event: Mapping[str, Any]) -> Any:
    return None if event["b"] is None else 1 / event["a"]


def count(event: Mapping[str, Any]) -> Any:
    if event["c"] == "text":
        raise SystemExit("count")
    return event["c"]


FEATURES: Mapping[str, tuple[Feature, ...]] = {
    "default": (),
    "in another order": (fields("d", "c", "b", "a"),),
    "in the schema's order": (fields("a", "b", "c"),),
    "few": (fields("b"),),
    "one of them null": (fields("c"), fields("b")),
    "calendar": (calendar("hour", "is_weekend", timezone="Europe/Zurich"), fields("a", "b")),
    "derived": (fields("a", "c"), derived("e", inverse), derived("f", count)),
    "a user's": (fields("a"), Own()),
    "rolling": (fields("b"), rolling("b", "mean", window=timedelta(hours=1), by="who")),
}


def records(rng: random.Random, many: int) -> list[Record]:
    made: list[Record] = []
    for offset in range(many):
        time_ms = rng.choice([NOW_MS, NOW_MS + 10**7, 10**18 if rng.random() < 0.1 else 0])
        origin = Origin("clean", 0, offset, time_ms, b"k", b"bytes")
        event_id, key = f"e{offset}", rng.choice(DRAWN["who"])
        if rng.random() < 0.2:
            label = {"event_id": event_id, "label": True, "label_time_ms": None, "key": key}
            made.append(LabelRecord(label, origin))  # type: ignore[arg-type]
            continue
        values = {name: rng.choice(each) for name, each in DRAWN.items()}
        event = Event(
            event_id=event_id,
            key=key,
            event_time_ms=time_ms,
            label=rng.choice([None, True]),
            fields={"id": event_id, **values},
        )
        made.append(EventRecord(event, origin))
    return made


def outcome(made: list[Record], operator: RecordOperator) -> tuple[list[Any], Any]:
    """Return all that can be seen of what was made, with NaN, order and the types of values."""
    return [(each.type, repr(each.value), each.origin, each.topic) for each in made], operator.tally


@pytest.mark.parametrize("largest", [None, 10])
@pytest.mark.parametrize("features", FEATURES)
def test_a_slice_is_its_records(
    features: str, largest: float | None, make_pipeline: Make, avro: Make
) -> None:
    """Slices, cut anywhere, give what each record gives by itself, in its place, and count it."""
    rng = random.Random(features)
    pipeline = make_pipeline(
        schema=avro(**SCHEMA), features=FEATURES[features], key="who", largest_feature=largest
    )
    given = records(rng, 300)
    alone, whole, cut = (FeatureOperator(pipeline) for _ in range(3))
    expected = outcome(RecordOperator.run(alone, Slice(given)), alone)
    assert outcome(whole.run(Slice(given)), whole) == expected
    made: list[Record] = []
    left = given
    while left:
        size = rng.choice([1, 1, 2, 5, 30])
        made += cut.run(Slice(left[:size]))
        left = left[size:]
    assert outcome(made, cut) == expected
    assert {"FeatureVector", "Label"} <= {each.type for each in made}


def test_an_event_without_a_field(make_pipeline: Make, avro: Make) -> None:
    """An event that lacks a field is a reject; those around it are vectors."""
    operator = FeatureOperator(
        make_pipeline(schema=avro(**SCHEMA), features=[fields("a", "b", "c")])
    )
    given = [each for each in records(random.Random(1), 9) if isinstance(each, EventRecord)][:3]
    del given[1].value["fields"]["b"]
    made = operator.run(Slice(given))
    assert [each.type for each in made] == ["FeatureVector", "Reject", "FeatureVector"]


@pytest.mark.parametrize("features", ["default", "in another order", "calendar", "few"])
def test_what_is_ordinary_is_never_alone(
    features: str, make_pipeline: Make, avro: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events become vectors without a look at each."""
    pipeline = make_pipeline(schema=avro(**SCHEMA), features=FEATURES[features], key="who")
    operator = FeatureOperator(pipeline)
    monkeypatch.delattr(FeatureOperator, "_make")
    given = [
        each for each in records(random.Random(1), 50) if each.value.get("event_time_ms") != 10**18
    ]
    made = operator.run(Slice(given))
    assert Counter(each.type for each in made)["FeatureVector"] > 30
