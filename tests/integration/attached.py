"""A pipeline on topics of a shop: nested payments by their keys, chargebacks, and silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from river.tree import HoeffdingTreeClassifier

from millrace import LabelDefault, LabelSource, MessageKey, Pipeline, Source, fields

START = datetime(2026, 1, 1, tzinfo=UTC)
SILENCE = timedelta(seconds=8)

CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [{"name": "id", "type": "long"}, {"name": "country", "type": "string"}],
}
PAYMENT = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "amount", "type": "double"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "customer", "type": CUSTOMER},
    ],
}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Paid",
    "fields": [{"name": "payment", "type": PAYMENT}, {"name": "shop", "type": "string"}],
}

pipeline = Pipeline(
    name="attached",
    schema=SCHEMA,
    event_id=MessageKey(),
    key="payment.customer.id",
    event_time="payment.at",
    task="binary",
    scope="partition",
    features=[fields("payment.amount", "payment.customer.country", "shop")],
    models={"tree": HoeffdingTreeClassifier},
    events=[Source("payments", start=START)],
    labels=[
        LabelSource(
            "chargebacks",
            event_id="transaction.payment",
            key="transaction.customer",
            label=lambda row: row["reason"] is not None,
            time="created_at",
        )
    ],
    label_default=LabelDefault(False, after=SILENCE),
)

ROW: dict[str, Any] = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "pages", "type": "long"},
        {"name": "bought", "type": ["null", "boolean"], "default": None},
    ],
}
FORMS = (
    "debezium",
    "debezium-schemas",
    "debezium-avro",
    "cloud-structured",
    "cloud-binary",
    "connect",
)

in_every_form = Pipeline(
    name="forms",
    schema=ROW,
    event_id="id",
    label="bought",
    task="binary",
    models={"tree": HoeffdingTreeClassifier},
    events=[
        Source(form, envelope=form.partition("-")[0].replace("cloud", "cloudevents"))
        for form in FORMS
    ],
)
"""Reads rows in each envelope, and in each form of it."""

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": "string"},
        {"name": "price", "type": "double"},
    ],
}

by_column = Pipeline(
    name="table",
    schema=ORDER,
    event_id="id",
    key="customer",
    task="binary",
    scope="partition",
    models={"tree": HoeffdingTreeClassifier},
    events=[Source("shop.orders", envelope="debezium")],
    labels=[
        LabelSource(
            "shop.orders",
            event_id="id",
            key="customer",
            label="verdict",
            values={"fraud": True, "ok": False},
            envelope="debezium",
        )
    ],
)
"""The label is a column of the row that is the event."""
