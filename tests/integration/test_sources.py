"""A pipeline is attached to topics that others made, on a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, settings

COUNT = 600


def change(op: str, before: Any, after: Any) -> bytes:
    """Return what Debezium writes of a row."""
    return json.dumps({"before": before, "after": after, "op": op, "ts_ms": 1}).encode()


def create(bootstrap: str, partitions: dict[str, int]) -> None:
    """Create topics as their owner would have."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = [NewTopic(name, num_partitions=count) for name, count in partitions.items()]
    for done in admin.create_topics(wanted).values():
        done.result(30)


@pytest.mark.timeout(180)
def test_events_of_a_table_are_predicted(kafka: str, unique_name: Callable[[str], str]) -> None:
    """Rows of Debezium's, plain events and those of its own topic count alike, once each."""
    name = unique_name("attached")
    names = {"shop.readings": f"{name}-shop.rows", "readings": f"{name}-shop.plain"}
    create(kafka, {names["shop.readings"]: 3, names["readings"]: 5})
    rows = sensors.readings(COUNT)
    topics, shop = Topics(kafka, name), Topics(kafka, f"{name}-shop")
    by_table, plain, own = rows[:300], rows[300:500], rows[500:]
    shop.produce(
        "rows",
        [
            {"value": change("r" if number < 9 else "c", None, each), "partition": number % 3}
            for number, each in enumerate(by_table)
        ]
        + [{"value": change("u", by_table[0], by_table[0] | {"load": 0.0}), "partition": 0}]
        + [{"value": b"no envelope", "partition": 1}],
    )
    shop.produce("plain", [{"value": as_json(each)} for each in plain])
    with Worker(settings("attached", name, kafka, topics=names)) as worker:
        worker.wait_ready()
        topics.produce("events", [{"value": as_json(each)} for each in own])
        predictions = topics.records("predictions", at_least=COUNT)
        worker.wait_total(1, "millrace_rows_passed_over_total", says="changed")
    assert sorted(each["event_id"] for each in predictions) == sorted(
        each["reading_id"] for each in rows
    )
    (reject,) = topics.records("rejects")
    assert (reject["topic"], reject["partition"]) == (names["shop.readings"], 1)
