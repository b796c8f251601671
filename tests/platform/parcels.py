"""A pipeline with a bit of everything that the page shows, and what is sent to it.

Twelve candidates, long ids, keys, reasons, certainty, labels with times, rejects of several kinds,
and a rule that changes half-way.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from river import linear_model, preprocessing

from millrace import Conformal, DriftSettings, Pipeline, catalogue, fields

START_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)
STEP_MS = 60_000
TOWNS = ("Llanfairpwllgwyngyll", "Ulm", "Åre", "São João")


def rate(of: float) -> Any:
    """Return a callable that makes a logistic regression with a learning rate."""

    def fresh() -> Any:
        from river import optim

        model = linear_model.LogisticRegression(optimizer=optim.SGD(of))
        return preprocessing.StandardScaler() | model

    return fresh


pipeline = Pipeline(
    name="parcels",
    schema={
        "type": "record",
        "name": "Parcel",
        "fields": [
            {"name": "parcel", "type": "string"},
            {"name": "town", "type": ["null", "string"], "default": None},
            {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            *({"name": name, "type": "double"} for name in ("weight", "distance", "rain")),
            {"name": "late", "type": ["null", "boolean"], "default": None},
        ],
    },
    event_id="parcel",
    key="town",
    event_time="sent_at",
    label="late",
    task="binary",
    features=[fields("weight", "distance", "rain")],
    models={
        "logistic_regression": catalogue.logistic_regression,
        "hoeffding_tree": catalogue.hoeffding_tree,
        "gaussian_naive_bayes": catalogue.gaussian_naive_bayes,
        "logistic_regression_with_a_remarkably_long_name": rate(0.5),
        **{f"rate_{number}": rate(0.001 * 2**number) for number in range(8)},
    },
    reasons=3,
    certainty=Conformal(coverage=0.9),
    drift=DriftSettings(policy="replace", inputs="adwin"),
)


class Sent(NamedTuple):
    """A record to produce to a topic of the pipeline."""

    topic: str
    value: bytes


def traffic(count: int, first: int = 0) -> Iterator[Sent]:
    """Yield parcels, labels a while after them, and what cannot be used."""
    rng = random.Random(f"parcels {first}")
    labels: list[Sent] = []
    for number in range(first, first + count):
        weight, distance, rain = rng.uniform(0, 30), rng.uniform(1, 900), rng.random()
        if number - first > count // 2:
            rain += 0.8
        is_late = (distance / 900 if number - first < count // 2 else rain) + rng.gauss(
            0, 0.1
        ) > 0.6
        sent_at = START_MS + number * STEP_MS
        parcel = {
            "parcel": parcel_id(number),
            "town": rng.choice(TOWNS),
            "sent_at": sent_at,
            "weight": weight,
            "distance": distance,
            "rain": rain,
        }
        yield Sent("events", _json(parcel))
        label_time_ms = sent_at + int(rng.expovariate(1 / 3_600_000))
        label = {"event_id": parcel["parcel"], "label": is_late, "label_time_ms": label_time_ms}
        labels.append(Sent("labels", _json(label | {"key": parcel["town"]})))
        if len(labels) > 50:
            yield labels.pop(rng.randrange(len(labels)))
        yield from _wrong(number, parcel)


def _wrong(number: int, parcel: dict[str, Any]) -> Iterator[Sent]:
    """Yield records that are rejected, now and then."""
    if number % 97 == 3:
        yield Sent(
            "events", _json({**parcel, "parcel": f"{parcel['parcel']}-x", "weight": "heavy"})
        )
    if number % 211 == 5:
        yield Sent("events", b"\x00\x01 no parcel at all \xff\xfe")
    if number % 307 == 7:
        yield Sent("events", _json({"parcel": "P-", "sent_at": parcel["sent_at"]}))
    if number % 401 == 11:
        yield Sent("labels", _json({"event_id": "nobody", "label": "perhaps", "key": "Ulm"}))


def parcel_id(number: int) -> str:
    """Return the id of a parcel; each tenth is a long one."""
    more = "/returned from the depot & repacked — 2nd attempt" if number % 10 == 0 else ""
    return f"P-{number:06d}{more}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
