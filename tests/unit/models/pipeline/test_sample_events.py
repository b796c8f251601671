"""The vectors depend on the definition alone, and are of the types that the models know."""

from __future__ import annotations

from datetime import timedelta

from millrace import Pipeline, calendar, catalogue, derived, fields, rolling
from millrace.models.pipeline.sample_events import SAMPLE_SIZE, sample_vectors

SCHEMA = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": "double"},
        {"name": "items", "type": ["null", "int"]},
        {"name": "shop", "type": {"type": "enum", "name": "Shop", "symbols": ["N", "S"]}},
        {"name": "label", "type": ["null", "boolean"]},
    ],
}


def pipeline() -> Pipeline:
    return Pipeline(
        name="sales",
        schema=SCHEMA,
        event_id="id",
        label="label",
        task="binary",
        features=[
            fields("price", "items", "shop"),
            derived("broken", lambda sale: 1 / 0),
            calendar("hour"),
            rolling("price", "mean", window=timedelta(minutes=1)),
        ],
        models={"tree": catalogue.hoeffding_tree},
    )


def test_is_the_same_every_time() -> None:
    """Two definitions that are the same have the same vectors."""
    assert sample_vectors(pipeline()) == sample_vectors(pipeline())
    assert len(sample_vectors(pipeline())) == SAMPLE_SIZE


def test_has_the_features_and_types_of_the_pipeline() -> None:
    """Vectors hold what the features make; the label and what raises are absent."""
    vectors = sample_vectors(pipeline())

    assert {*vectors[0]} == {"price", "items", "shop", "hour", "price_mean_1m"}
    assert {type(each["price"]) for each in vectors} == {float}
    assert {type(each["items"]) for each in vectors} == {int}
    assert {each["shop"] for each in vectors} == {"N", "S"}
    assert len({each["price"] for each in vectors}) == SAMPLE_SIZE
