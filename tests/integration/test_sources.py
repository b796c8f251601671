"""A pipeline is attached to topics that others made, on a real Kafka."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from millrace.schemas import AvroType
from tests.chaos.registry import EVENTS, Registry, framed
from tests.integration import attached, sensors
from tests.integration.agents import delete
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, settings, wait_for

BOOTSTRAP = "bootstrap.servers"
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


@pytest.mark.timeout(300)  # what a killed worker left open hides what comes after it
@pytest.mark.parametrize("chain", ["default", "full"])
def test_the_label_is_a_column_of_the_table(
    kafka: str, unique_name: Callable[[str], str], chain: str
) -> None:
    """Each row is an event once, with the label of a later change, though a worker is killed."""
    name = unique_name("table")
    names = {"shop.orders": f"{name}-shop.orders"}
    create(kafka, {names["shop.orders"]: 3})
    topics, shop = Topics(kafka, name), Topics(kafka, f"{name}-shop")
    first, second = range(COUNT // 2), range(COUNT // 2, COUNT)
    at_once, by_update, gone = ({n for n in range(COUNT) if n % 4 in each} for each in KINDS)
    deployed = settings(
        *("by_column", name, kafka), file=Path(attached.__file__), topics=names, chain=chain
    )
    shop.produce("orders", [order("r", n, "ok" if n in at_once else None) for n in first])
    with Worker(deployed) as worker:
        worker.wait_ready()
        topics.records("predictions", at_least=10)
        shop.produce("orders", [order("c", n, "ok" if n in at_once else None) for n in second])
        shop.produce("orders", [order("u", n) for n in by_update])
        shop.produce("orders", [order("u", n, "fraud") for n in by_update])
        worker.kill()
    with Worker(deployed) as worker:
        worker.wait_ready()
        for n in gone:
            shop.produce("orders", [order("d", n), order("d", n) | {"value": None}])
        shop.produce("orders", [{"value": change("d", {"id": None}, None), "partition": 0}])
        predictions = topics.records("predictions", at_least=COUNT)
        outcomes = topics.records("outcomes", at_least=COUNT)
        (reject,) = topics.records("rejects", at_least=1)
    ids = [str(n) for n in range(COUNT)]
    assert sorted(each["event_id"] for each in predictions) == sorted(ids)
    assert len(outcomes) == COUNT
    ends = {int(e["event_id"]): (e["fate"], e["label"], e["label_source"]) for e in outcomes}
    assert {ends[n] for n in at_once} == {("joined", False, "shop.orders")}
    assert {ends[n] for n in by_update} == {("joined", True, "shop.orders")}
    assert {ends[n] for n in gone} == {("removed", None, None)}
    assert (reject["topic"], reject["reason"]) == (names["shop.orders"], "missing_id")


KINDS = {0}, {1, 2}, {3}


def order(op: str, number: int, verdict: str | None = None) -> dict[str, Any]:
    """Return what Debezium writes of a row of orders: all of one row is on one partition."""
    row = {"id": number, "customer": f"c{number % 9}", "price": 1.0 * number, "verdict": verdict}
    before, after = (row, None) if op == "d" else (None, row)
    by_id = {"key": json.dumps({"id": number}), "partition": number % 3}
    return by_id | {"value": change(op, before, after)}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("chain", ["default", "split"])
def test_payments_chargebacks_and_silence(
    kafka: str, unique_name: Callable[[str], str], chain: str
) -> None:
    """Nested payments get labels from another topic, or from silence without any traffic."""
    name = unique_name("attached")
    names = {"payments": f"{name}-shop.payments", "chargebacks": f"{name}-shop.chargebacks"}
    create(kafka, {names["payments"]: 3, names["chargebacks"]: 5})
    topics, shop = Topics(kafka, name), Topics(kafka, f"{name}-shop")
    now_ms = int(time.time() * 1000)
    before_ms = int(attached.START.timestamp() * 1000) - 1
    disputed, gone, silent, old = range(30), range(30, 40), range(40, COUNT), range(COUNT, 700)
    shop.produce("payments", [payment(each, before_ms, before_ms) for each in old])
    shop.produce("payments", [payment(each, now_ms) for each in range(COUNT)])
    shop.produce("payments", [{**payment(each, now_ms), "value": None} for each in gone])
    shop.produce("chargebacks", [chargeback(each, now_ms) for each in disputed])
    deployed = settings(
        *("pipeline", name, kafka),
        file=Path(attached.__file__),
        topics=names,
        chain=chain,
        tick_seconds=1,
    )
    with Worker(deployed) as worker:
        worker.wait_ready()
        predictions = topics.records("predictions", at_least=COUNT)
        outcomes = topics.records("outcomes", at_least=COUNT)
    assert Counter(each["event_id"] for each in predictions) == Counter(map(key, range(COUNT)))
    ends = {each["event_id"]: (each["fate"], each["label"]) for each in outcomes}
    assert len(ends) == len(outcomes) == COUNT
    assert {ends[key(each)] for each in disputed} == {("joined", True)}
    assert {ends[key(each)] for each in gone} == {("removed", None)}
    assert {ends[key(each)] for each in silent} == {("joined", False)}


def key(number: int) -> str:
    return f"pay-{number}"


def payment(number: int, at_ms: int, timestamp_ms: int = 0) -> dict[str, Any]:
    """Return a payment as the shop produces it; its id is the key of the record."""
    customer = {"id": number % 7, "country": "ch" if number % 2 else "de"}
    document = {"payment": {"amount": float(number), "at": at_ms, "customer": customer}}
    record = {"key": key(number), "value": as_json({**document, "shop": "web", "more": [1]})}
    return record | ({"timestamp": timestamp_ms} if timestamp_ms else {})


def chargeback(number: int, at_ms: int) -> dict[str, Any]:
    transaction = {"payment": key(number), "customer": number % 7}
    row = {"transaction": transaction, "reason": "stolen", "created_at": at_ms}
    return {"value": as_json(row)}


@pytest.mark.timeout(180)
def test_of_two_sources_of_labels_one_counts_more(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """Whichever comes first, its label is learned once the time to wait for it is over."""
    name = unique_name("disputed")
    names = {each: f"{name}-others.{each}" for each in ("claims", "verdicts")}
    create(kafka, {names["claims"]: 3, names["verdicts"]: 2})
    rows = sensors.readings(120)
    topics, others = Topics(kafka, name), Topics(kafka, f"{name}-others")
    claims = [
        {"reading": {"id": each["reading_id"]}, "says": "ok" if each["faulty"] else "bad"}
        for each in rows[:100]
    ]
    verdicts = [{"of": each["reading_id"], "faulty": each["faulty"]} for each in rows[:60]]
    later_ms = 2_000 * sensors.TTL.seconds // 3
    later = [each | {"at": each["at"] + later_ms} for each in rows[100:]]
    with Worker(settings("disputed", name, kafka, topics=names)) as worker:
        worker.wait_ready()
        topics.produce("events", [{"value": as_json(e | {"faulty": None})} for e in rows[:100]])
        topics.records("predictions", at_least=100)
        others.produce("verdicts", [{"value": as_json(each)} for each in verdicts[:30]])
        others.produce("claims", [{"value": as_json(each)} for each in claims])
        others.produce("verdicts", [{"value": as_json(each)} for each in verdicts[30:]])
        worker.wait_total(60, "millrace_outcomes_total")  # one of two labels each
        worker.wait_total(100, "millrace_pending", kind="held_label")
        topics.produce("events", [{"value": as_json(e | {"faulty": None})} for e in later])
        outcomes = topics.records("outcomes", at_least=160)
    joined = {each["event_id"]: each for each in outcomes if each["fate"] == "joined"}
    found = [
        (joined[e["reading_id"]]["label"], joined[e["reading_id"]]["label_source"])
        for e in rows[:100]
    ]
    of_verdicts = [(each["faulty"], "verdicts") for each in rows[:60]]
    assert found == of_verdicts + [(not each["faulty"], "claims") for each in rows[60:100]]
    lost = [each for each in outcomes if each["fate"] != "joined"]
    assert {(e["fate"], e["label_source"]) for e in lost} <= {
        ("corrected", "claims"),
        ("overruled", "claims"),
    }


ENVELOPE: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "namespace": "shop",
    "fields": [
        {"name": "before", "type": ["null", attached.ROW], "default": None},
        {"name": "after", "type": ["null", "Visit"], "default": None},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": None},
    ],
}


def in_form(form: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the record that somebody's tool writes for a row."""
    made = {"before": None, "after": row, "op": "c", "ts_ms": 1}
    about = {"specversion": "1.0", "id": row["id"], "source": "/shop", "type": "visit"}
    match form:
        case "debezium":
            return {"value": as_json(made)}
        case "debezium-schemas":
            return {"value": as_json({"schema": {"type": "struct"}, "payload": made})}
        case "debezium-avro":
            body = AvroType(ENVELOPE).encode(made)
            return {"value": framed(EVENTS, body[10:])}
        case "cloud-structured":
            return {"value": as_json({**about, "data": row})}
        case "cloud-binary":
            headers = [(f"ce_{name}", value.encode()) for name, value in about.items()]
            return {"value": as_json(row), "headers": headers}
    return {"value": as_json({"schema": {"type": "struct"}, "payload": row})}


@pytest.mark.timeout(180)
def test_rows_in_every_form(kafka: str, unique_name: Callable[[str], str]) -> None:
    """Debezium with schemas, without and in Avro, CloudEvents in both modes, Connect: all alike."""
    name, each_of = unique_name("forms"), 40
    names = {form: f"{name}-{form}" for form in attached.FORMS}
    create(kafka, {topic: number for number, topic in enumerate(names.values(), 1)})
    registry, shop = Registry(ENVELOPE), Topics(kafka, name)
    expected = {}
    producer = Producer({"bootstrap.servers": kafka})
    for form, topic in names.items():
        for number in range(each_of):
            row = {"id": f"{form}-{number}", "pages": number, "bought": number % 3 == 0}
            expected[row["id"]] = number
            producer.produce(topic, **in_form(form, row))
    assert producer.flush(30) == 0
    registry.start()
    try:
        own = settings(
            *("in_every_form", name, kafka),
            file=Path(attached.__file__),
            topics=names,
            schema_registry_url=registry.url,
        )
        with Worker(own) as worker:
            worker.wait_ready()
            predictions = shop.records("predictions", at_least=len(expected))
            outcomes = shop.records("outcomes", at_least=len(expected))
    finally:
        registry.stop()
    found = [(each["event_id"], each["features"]["pages"]) for each in predictions]
    assert sorted(found) == sorted(expected.items())
    assert {each["fate"] for each in outcomes} == {"joined"}
    assert shop.records("rejects") == []


@pytest.mark.timeout(240)
def test_what_comes_after_the_group_has_begun_is_read(
    kafka: str, unique_name: Callable[[str], str]
) -> None:
    """With `latest`: on a partition that is added, and on a topic that is created again."""
    name = unique_name("late")
    late = f"{name}-late"
    create(kafka, {late: 2})
    shop, admin = Topics(kafka, name), AdminClient({BOOTSTRAP: kafka})
    rows = iter(sensors.readings(60))
    sent = list[str]()

    def produce(count: int, partition: int) -> list[str]:
        records = [next(rows) for _ in range(count)]
        with_place = [{"value": as_json(each), "partition": partition} for each in records]
        producer = Producer({BOOTSTRAP: kafka})
        for each in with_place:
            producer.produce(late, **each)
        assert producer.flush(30) == 0
        return [each["reading_id"] for each in records]

    def predicted() -> list[str]:
        found = shop.records("predictions", at_least=len(sent))
        return sorted(each["event_id"] for each in found)

    for partition in (0, 1):
        produce(10, partition)
    with Worker(settings("late", name, kafka, topics={"late": late}, chain="default")) as worker:
        worker.wait_ready()
        sent += produce(3, 0)
        assert predicted() == sorted(sent)
        admin.create_partitions([NewPartitions(late, 3)])[late].result(30)
        wait_for("partition", lambda: len(admin.list_topics(late, 10).topics[late].partitions) == 3)
        sent += produce(3, 2)
        assert predicted() == sorted(sent)
        delete(kafka, late)
        wait_for("failing agent", worker.failing, seconds=40)
        assert "owns it has to create it again" in worker.why_it_restarts()
        create(kafka, {late: 2})
        sent += produce(3, 1)
        assert predicted() == sorted(sent)
        assert "Traceback" not in worker.log()
        assert worker.metrics().total("millrace_consumer_lag_records", topic=late) == 0
    sent += produce(3, 0)
    with Worker(settings("late", name, kafka, topics={"late": late}, chain="default")) as worker:
        worker.wait_ready()
        assert predicted() == sorted(sent)
    assert shop.records("rejects") == []
