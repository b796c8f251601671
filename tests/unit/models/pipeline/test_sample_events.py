"""The vectors depend on the definition alone, and are of the types that the models know."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from millrace import Pipeline, calendar, catalogue, derived, fields, rolling
from millrace.models.features import StatelessFeature
from millrace.models.pipeline.sample_events import SAMPLE_SIZE, sample_vectors
from millrace.schemas import EventSchema
from millrace.schemas.records import Event, Features

SCHEMA = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "shop", "type": {"type": "enum", "name": "Shop", "symbols": ["N", "S"]}},
        {"name": "is_member", "type": "boolean"},
        {"name": "items", "type": ["null", "int"]},
        {"name": "visits", "type": "long"},
        {"name": "discount", "type": "float"},
        {"name": "price", "type": "double"},
        {"name": "town", "type": "string"},
        {"name": "nothing", "type": ["null"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "label", "type": ["null", "boolean"]},
    ],
}
PRIMITIVE = ("shop", "is_member", "items", "visits", "discount", "price", "town")


def pipeline(**changes: object) -> Pipeline:
    given: dict[str, object] = {
        "name": "sales",
        "schema": SCHEMA,
        "event_id": "id",
        "label": "label",
        "task": "binary",
        "features": [
            fields(*PRIMITIVE),
            derived("broken", lambda sale: 1 / 0),
            derived("names", ",".join),
            derived("nulls", lambda sale: sum(value is None for value in sale.values())),
            calendar("hour", "day_of_month"),
            rolling("price", "mean", "count", window=timedelta(seconds=9)),
        ],
        "models": {"tree": catalogue.hoeffding_tree},
    }
    return Pipeline(**(given | changes))  # type: ignore[arg-type]


def test_vectors_have_the_features_and_types_of_the_pipeline() -> None:
    """They hold what the features make; the label and what raises are absent."""
    vectors = sample_vectors(pipeline())
    assert len(vectors) == SAMPLE_SIZE == 64
    types = [str, bool, int, int, float, float, str]
    for vector in vectors:
        assert [type(vector[name]) for name in PRIMITIVE] == types
        assert vector["names"] == ",".join(each["name"] for each in SCHEMA["fields"][:-1])
        assert vector["nulls"] == 2
        assert "broken" not in vector
    assert {each["shop"] for each in vectors} == {"N", "S"}
    assert {each["is_member"] for each in vectors} == {True, False}
    assert {each["town"] for each in vectors} == {"", "a", "b", "c", "north", "south"}


def test_numbers_are_of_any_sign_and_of_many_sizes() -> None:
    """From hundredths to ten thousands, about a third of them negative."""
    prices = [float(each["price"]) for each in sample_vectors(pipeline())]
    assert len({*prices}) == SAMPLE_SIZE
    assert 10 < sum(price < 0 for price in prices) < 30
    sizes = sorted(map(abs, prices))
    assert 0.01 <= sizes[0] < 0.1
    assert 1_000 < sizes[-1] < 10_000


def test_events_are_of_four_keys_a_second_apart() -> None:
    """Windows see events of their own key: in 9 seconds, three at most."""
    vectors = sample_vectors(pipeline())
    assert [each["price_count_9s"] for each in vectors[:12]] == [1] * 4 + [2] * 4 + [3] * 4
    assert {each["price_count_9s"] for each in vectors[12:]} == {3}
    assert {(each["hour"], each["day_of_month"]) for each in vectors} == {(0, 3)}


class Recorded(StatelessFeature):
    """Keeps the events that it is given."""

    names = ()

    def __init__(self) -> None:
        self.events: list[Event] = []

    def check(self, schema: EventSchema) -> None:
        """Any schema will do."""

    def extract(self, event: Event) -> Features:
        self.events.append(event)
        return {}


def test_events_are_complete() -> None:
    """They have what events in `clean` have, and no label."""
    recorded = Recorded()
    sample_vectors(pipeline(features=[fields("price"), recorded]))
    assert [each["event_id"] for each in recorded.events] == [str(i) for i in range(SAMPLE_SIZE)]
    assert [each["key"] for each in recorded.events[:5]] == [f"key-{i}" for i in (0, 1, 2, 3, 0)]
    assert {each["label"] for each in recorded.events} == {None}


def test_vectors_never_change() -> None:
    """Digests of models are compared between releases: the vectors stay as they are."""
    vectors = json.dumps(sample_vectors(pipeline())).encode()
    assert hashlib.sha256(vectors).hexdigest() == (
        "7757186009d65ba2346de63a295ba3c58537270d4bedfb787e43165f958c0ac3"
    )


def test_a_pipeline_without_a_label_has_vectors() -> None:
    """Every field is made up."""
    unlabelled = pipeline(label=None, features=[derived("names", ",".join)])
    assert sample_vectors(unlabelled)[0]["names"] == ",".join(
        each["name"] for each in SCHEMA["fields"]
    )
