"""Definitions to be documented: each has something that the others have not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from millrace import (
    Attribute,
    Header,
    LabelDefault,
    LabelSource,
    MessageKey,
    PayloadHash,
    Pipeline,
    Source,
    TopicPartitionOffset,
    catalogue,
    derived,
    fields,
    load_pipeline,
    models,
    rolling,
)

SHIPPED = ("image_segments", "loans", "phishing", "shuttle", "trump_approval")
LINE = {
    "type": "record",
    "name": "Line",
    "doc": "What is ordered.",
    "fields": [
        {"name": "article", "type": "string"},
        {"name": "notes", "type": {"type": "map", "values": "string"}},
        {"name": "part_of", "type": ["null", "Line"], "default": None},
        {"name": "parts", "type": {"type": "array", "items": "Line"}},
    ],
}
ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop.v1",
    "doc": "An order in the shop.",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": "string", "doc": "Who <b>orders</b>, by `number`."},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": "double"},
        {"name": "items", "type": "int", "default": 1, "aliases": ["pieces"]},
        {
            "name": "tax",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "line", "type": LINE},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["WEB", "SHOP"]}},
        {"name": "verdict", "type": ["null", "string"], "default": None},
    ],
}


def unit_price(order: Mapping[str, Any]) -> float:
    """Price for each item."""
    return float(order["price"] / order["items"])


def shop(**changes: Any) -> Pipeline:
    """Return a definition with a bit of everything."""
    given: dict[str, Any] = {
        "name": "shop",
        "schema": ORDER,
        "event_id": "id",
        "key": "customer",
        "label": "verdict",
        "event_time": "at",
        "task": "multiclass",
        "scope": "key",
        "classes": ["fraud", "ok"],
        "numbers_as_text": ["price"],
        "carry_headers": ["tenant"],
        "models": {"tree": catalogue.hoeffding_tree},
        "features": [
            fields("price"),
            derived("is_dear", lambda order: order["price"] > 100),
            derived("unit_price", unit_price),
            derived("broken", lambda order: order["nothing"]),
            rolling("price", "mean", window=timedelta(hours=1)),
        ],
        "events": [
            Source("orders", envelope="debezium"),
            Source("carts", envelope="cloudevents"),
            Source("imports", envelope="connect"),
            Source("orders.v1"),
            Source("raw", decode=lambda value, headers: None),
        ],
        "labels": [
            LabelSource(
                "chargebacks",
                event_id="order.id",
                label=lambda row: row["why"],
                key="order.customer",
            ),
            LabelSource(
                "reviews",
                event_id="order",
                label="verdict.says",
                values={"bad": "fraud", "good": "ok"},
                time="at",
                key="customer",
                envelope="debezium",
            ),
        ],
        "label_default": LabelDefault("ok", after=timedelta(days=3)),
    }
    return Pipeline(**(given | changes))


def _with_text() -> Pipeline:
    """Return a definition in which times, keys and ids are text, and short."""
    names = ("id", "at", "colour", "note")
    schema = {
        "type": "record",
        "name": "Visit",
        "fields": [{"name": name, "type": "string"} for name in names],
    }
    return Pipeline(
        name="visits",
        schema=schema,
        event_id="id",
        key="colour",
        event_time="at",
        task="regression",
        scope="partition",
        models={"line": catalogue.linear_regression},
        features=[derived("length", lambda visit: len(visit["note"]))],
        max_id_bytes=3,
        earliest=datetime(2026, 5, 1, tzinfo=UTC),
    )


def _without_labels() -> Pipeline:
    schema = {
        "type": "record",
        "name": "Reading",
        "fields": [{"name": "id", "type": "int"}, {"name": "load", "type": "float"}],
    }
    trees = {"trees": catalogue.half_space_trees}
    return Pipeline(name="odd", schema=schema, event_id="id", task="anomaly", models=trees)


def elsewhere(**changes: Any) -> Pipeline:
    """Return a definition in which the id and the key are not among the fields at the top."""
    payer = {
        "type": "record",
        "name": "Payer",
        "fields": [
            {"name": "name", "type": ["null", "string"]},
            {"name": "since", "type": ["null", "long"], "default": None},
            {"name": "is_fraud", "type": "boolean"},
        ],
    }
    row = {
        "type": "record",
        "name": "Payment",
        "fields": [{"name": "amount", "type": "double"}, {"name": "by", "type": payer}],
    }
    given: dict[str, Any] = {
        "name": "elsewhere",
        "schema": row,
        "event_id": (MessageKey("payment.id"), Header("region")),
        "key": Header("card"),
        "event_time": "by.since",
        "label": "by.is_fraud",
        "numbers_as_text": ["amount"],
        "task": "binary",
        "scope": "key",
        "models": {"tree": catalogue.hoeffding_tree},
        "features": [fields("amount", "by.name")],
        "labels": [
            LabelSource(
                "verdicts", event_id=[MessageKey(), "region"], label="ok", key=Header("card")
            )
        ],
    }
    return Pipeline(**(given | changes))


def _by_envelope() -> Pipeline:
    """Return a definition of which an envelope says the id, so that no plain event has one."""
    return elsewhere(
        name="wrapped",
        event_id=("by.name", Attribute("source.id")),
        key=Attribute("source.card"),
        event_time=Attribute("ts_ms"),
        events=[Source("lines", envelope="debezium")],
    )


def _shipped(name: str) -> Pipeline:
    return load_pipeline(str(Path(models.__file__).parent / "pipelines" / f"{name}.py"))


DEFINITIONS = {
    **{name: lambda name=name: _shipped(name) for name in SHIPPED},
    "shop": shop,
    "text": _with_text,
    "without labels": _without_labels,
    "elsewhere": elsewhere,
    "by envelope": _by_envelope,
    "by place": lambda: elsewhere(event_id=TopicPartitionOffset(), scope="global"),
    "by hash": lambda: elsewhere(event_id=PayloadHash(), key=None, scope="global", event_time=None),
}
"""Name to what makes a definition."""
