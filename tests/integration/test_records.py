"""What goes in and what comes out of a worker on a real Kafka, record by record.

One worker takes good and bad readings, then labels of every fate. Its agents are all split, so
that every topic is in use. What is on them is read by a client that knows the published schemas
and nothing else of Millrace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.registry import BESIDE, OPERATORS
from tests.integration import sensors
from tests.integration.clients import Sent, Topics, as_json, avro, avro_label
from tests.integration.workers import Worker, settings, wait_for

GOOD = 400
PARTITIONS = 3
MAX_BYTES = 4_096
DELAY_MS = 90_000
HEADERS = [("trace", b"\x00\xff"), ("trace", b"again"), ("empty", None)]
TEMPLATE = sensors.readings(1, first=GOOD, labelled=False)[0]
LABELS = sensors.readings(GOOD)
STALE = next(each for each in LABELS[GOOD // 2 :] if each["sensor"] == "s0")
"""A reading whose label comes after its time."""
MUCH_LATER = [f"later-{i}" for i in range(8)]
PROBED = "s1"
"""The sensor that is asked about until its model is fresh."""


def odd(**changes: Any) -> dict[str, Any]:
    """Return a reading that is good but for the changes."""
    return TEMPLATE | changes


BAD: dict[str, tuple[str, bytes | None]] = {
    "no value": ("empty", None),
    "no bytes": ("empty", b""),
    "no known encoding": ("malformed", b"\x80\x01 what is this?"),
    "Avro that ends early": ("malformed", avro(sensors.SCHEMA, TEMPLATE)[:-3]),
    "Avro that runs on": ("malformed", avro(sensors.SCHEMA, TEMPLATE) + b"\x00"),
    "Avro of another schema": ("unknown_schema", b"\xc3\x01" + b"\x07" * 8 + b"body"),
    "Confluent without a registry": ("unknown_schema", b"\x00\x00\x00\x00\x07body"),
    "a list": ("wrong_shape", b"[1, 2]"),
    "a field too few": ("missing_field", b'{"reading_id": "a", "sensor": "s0"}'),
    "text for a number": ("ill_typed_field", as_json(odd(temperature="warm"))),
    "NaN in JSON": ("not_finite", as_json(odd(load=float("nan")))),
    "infinity in Avro": ("not_finite", avro(sensors.SCHEMA, odd(load=float("inf")))),
    "no id": ("missing_id", as_json(odd(reading_id=""))),
    "no key": ("missing_key", as_json(odd(sensor=None))),
    "a time to come": ("timestamp_out_of_range", as_json(odd(at=sensors.START_MS * 2))),
    "a time before time": ("timestamp_out_of_range", avro(sensors.SCHEMA, odd(at=-1))),
    "too long": ("oversized", as_json(odd(note="x" * MAX_BYTES))),
}
BAD_LABELS: dict[str, tuple[str, bytes]] = {
    "no known encoding": ("malformed", b"\x80label"),
    "no event id": ("missing_field", b'{"label": true}'),
    "no such class": ("unknown_label_type", b'{"event_id": "0", "label": "x", "key": "s0"}'),
    "no key": ("missing_key", b'{"event_id": "0", "label": true}'),
}
LATE_REASONS = {  # of records that have passed ingest
    "feature_error": "clean",
    "predict_error": "features",
    "duplicate_event": "features",
    "learn_error": "examples",
    "duplicate_label": "features",
    "late_correction": "features",
    "late_label": "features",
    "orphan_label": "features",
}


class Flow(NamedTuple):
    """What went in, and what came out."""

    name: str
    bad: dict[str, Sent]
    bad_labels: dict[str, Sent]
    counts: dict[str, int]
    predictions: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    models: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    metrics: Samples


@pytest.fixture(scope="module")
def flow(kafka: str, unique_name: Callable[[str], str]) -> Flow:
    """Send everything there is to send through one worker."""
    name = unique_name("flow")
    topics = Topics(kafka, name)
    own = settings(
        *("fragile", name, kafka),
        chain="split",
        publish_seconds=0.5,
        partitions=PARTITIONS,
        retention_hours=2,
        max_event_bytes=MAX_BYTES,
    )
    with Worker(own) as worker:
        worker.wait_ready()
        bad = send_readings(topics)
        worker.wait_total(GOOD + 1, "millrace_predictions_total")
        bad_labels = send_labels(topics, worker)
        worker.wait_total(1, "millrace_labels_rejected_total", reason="late_label")
        predict_until_fresh(topics)
        predictions = topics.records("predictions")
        rejects = topics.records("rejects", at_least=len(BAD) + len(BAD_LABELS) + 8)
        worker.wait_total(len(predictions), "millrace_predictions_total")
        metrics = worker.metrics()
    counts = {topic: len(topics.messages(topic)) for topic in ("events", "labels")}
    examples, models = topics.records("examples"), topics.records("models")
    return Flow(name, bad, bad_labels, counts, predictions, examples, models, rejects, metrics)


def event(reading: dict[str, Any], is_avro: bool) -> dict[str, Any]:
    """Return a reading as a producer would send it, keyed by its sensor."""
    value = avro(sensors.SCHEMA, reading) if is_avro else as_json(reading)
    return {"value": value, "key": reading["sensor"]}


def send_readings(topics: Topics) -> dict[str, Sent]:
    """Produce good readings with bad ones among them; return where the bad ones are."""
    stream = sensors.readings(GOOD, labelled=False)
    topics.produce("events", (event(each, i % 2 == 0) for i, each in enumerate(stream[:200])))
    records = [{"value": value, "key": b"k", "headers": HEADERS} for _, value in BAD.values()]
    sent = topics.produce("events", records)
    weak = [
        odd(reading_id="no-feature", load=0.0),
        odd(reading_id="no-prediction", temperature=sensors.NO_PREDICTION),
        odd(reading_id="not-learned", temperature=sensors.NOT_LEARNED),
    ]
    topics.produce("events", (event(each, is_avro=True) for each in weak))
    topics.produce("events", (event(each, i % 2 == 0) for i, each in enumerate(stream[200:])))
    topics.produce("events", [event(stream[0], is_avro=False)])  # again
    return dict(zip(BAD, sent, strict=True))


def send_labels(topics: Topics, worker: Worker) -> dict[str, Sent]:
    """Produce labels of every fate, waiting where their order among the events matters."""
    known = LABELS[: GOOD // 2]
    topics.produce("labels", (label(each, i % 2 == 0) for i, each in enumerate(known)))
    worker.wait_total(len(known), "millrace_labels_total", fate="joined")
    early = [odd(reading_id=each, faulty=True) for each in ("early", "corrected")]
    topics.produce("labels", (label(each, is_avro=True) for each in early))
    worker.wait_total(2, "millrace_labels_total", fate="early")
    sent = topics.produce("labels", ({"value": each} for _, each in BAD_LABELS.values()))
    again = [
        LABELS[0],
        LABELS[1] | {"faulty": not LABELS[1]["faulty"]},
        odd(reading_id="corrected", faulty=False),
        odd(reading_id="not-learned", faulty=True),
        odd(reading_id="never", sensor="s0", faulty=True),
    ]
    topics.produce("labels", (label(each, is_avro=False) for each in again))
    worker.wait_total(3, "millrace_labels_total", fate="early")
    worker.wait_total(1, "millrace_labels_total", fate="corrected")
    topics.produce("events", (event(each | {"faulty": None}, is_avro=True) for each in early))
    worker.wait_total(len(known) + 3, "millrace_labels_total", fate="joined")
    later_ms = TEMPLATE["at"] + 2 * 3_600_000
    later = [odd(reading_id=each, sensor="s0", at=later_ms) for each in MUCH_LATER]
    topics.produce("events", (event(each, is_avro=True) for each in later))
    worker.wait_total(1, "millrace_labels_total", fate="orphan")
    topics.produce("labels", [label(STALE, is_avro=True)])
    return dict(zip(BAD_LABELS, sent, strict=True))


def predict_until_fresh(topics: Topics) -> None:
    """Send readings until one meets a model that has learned from every label."""

    def is_fresh() -> bool:
        number = len(topics.messages("events"))
        at_ms = TEMPLATE["at"] + 3 * 3_600_000
        probe = odd(reading_id=f"probe-{number}", sensor=PROBED, at=at_ms)
        topics.produce("events", [event(probe, is_avro=True)])
        answers = topics.records("predictions")
        probes = [each for each in answers if each["event_id"].startswith("probe")]
        return bool(probes) and probes[-1]["staleness_examples"] == 0

    wait_for("fresh model", is_fresh)


def label(reading: dict[str, Any], is_avro: bool) -> dict[str, Any]:
    """Return the label of a reading, as it becomes known a while later."""
    about = {"key": reading["sensor"], "label_time_ms": reading["at"] + DELAY_MS}
    if is_avro:
        value = avro_label(reading["reading_id"], reading["faulty"], **about)
    else:
        value = as_json({"event_id": reading["reading_id"], "label": reading["faulty"]} | about)
    return {"value": value, "key": reading["sensor"]}


def test_every_good_event_has_one_prediction(flow: Flow) -> None:
    """JSON or Avro, each has one, with its id, key, time and the features that were seen."""
    by_id = {each["event_id"]: each for each in flow.predictions}
    assert len(by_id) == len(flow.predictions)
    others = {each for each in by_id if not each.isdigit() and not each.startswith("probe")}
    assert others == {"not-learned", "early", "corrected", *MUCH_LATER}
    for reading in LABELS:
        prediction = by_id[reading["reading_id"]]
        assert prediction["key"] == reading["sensor"]
        assert prediction["event_time_ms"] == reading["at"]
        assert prediction["model"] == "fragile"
        assert prediction["features"] == {
            "temperature": reading["temperature"],
            "load": reading["load"],
            "heat_per_load": reading["temperature"] / reading["load"],
        }


def test_a_key_keeps_its_partition(kafka: str, flow: Flow) -> None:
    """Predictions of one sensor are on one partition, in the order of its events, keyed by it."""
    partitions: dict[bytes, set[int]] = {}
    for message in Topics(kafka, flow.name).messages("predictions"):
        partitions.setdefault(message.key(), set()).add(message.partition())
    assert {key.decode() for key in partitions} == {*sensors.SENSORS}
    assert all(len(each) == 1 for each in partitions.values())
    for sensor in sensors.SENSORS:
        ids = [int(p["event_id"]) for p in numbered(flow.predictions) if p["key"] == sensor]
        assert ids == sorted(ids)


def numbered(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of the plain readings."""
    return [each for each in records if each["event_id"].isdigit()]


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_kept_with_the_reason(flow: Flow, case: str) -> None:
    """Its dead letter holds the original bytes, key, headers, time and place in the log."""
    reason, value = BAD[case]
    sent = flow.bad[case]
    (dead_letter,) = at(flow, "events", sent)
    assert dead_letter["reason"] == reason
    assert dead_letter["detail"]
    assert dead_letter["value"] == value
    assert dead_letter["value_size_bytes"] == len(value or b"")
    assert dead_letter["key"] == b"k"
    assert dead_letter["timestamp_ms"] == sent.timestamp_ms
    assert [(each["name"], each["value"]) for each in dead_letter["headers"]] == HEADERS


@pytest.mark.parametrize("case", BAD_LABELS)
def test_a_bad_label_is_kept_with_the_reason(flow: Flow, case: str) -> None:
    """Labels have dead letters like events."""
    reason, value = BAD_LABELS[case]
    (dead_letter,) = at(flow, "labels", flow.bad_labels[case])
    assert (dead_letter["reason"], dead_letter["value"]) == (reason, value)


def at(flow: Flow, topic: str, sent: Sent) -> list[dict[str, Any]]:
    """Return the dead letters of the record at one place in the log."""
    place = (f"{flow.name}.{topic}", sent.partition, sent.offset)
    return [r for r in flow.rejects if (r["topic"], r["partition"], r["offset"]) == place]


def test_what_fails_after_ingest_is_kept_too(flow: Flow) -> None:
    """Code of the user that raises, repeats, and labels out of their time: one dead letter each."""
    prefix = f"{flow.name}."
    found = Counter((r["reason"], r["topic"].removeprefix(prefix)) for r in flow.rejects)
    later = {key: count for key, count in found.items() if key[1] not in ("events", "labels")}
    assert later == dict.fromkeys(LATE_REASONS.items(), 1)
    details = {each["reason"]: each["detail"] for each in flow.rejects}
    assert "ZeroDivisionError" in details["feature_error"]
    assert "no prediction" in details["predict_error"]
    assert "cannot learn" in details["learn_error"]
    assert "'never'" in details["orphan_label"]
    assert repr(STALE["reading_id"]) in details["late_label"]


def test_the_accounts_of_events_balance(flow: Flow) -> None:
    """Every event became a prediction or a dead letter, on the topics and in the metrics."""
    of_labels = {*LATE_REASONS} - {"feature_error", "predict_error", "duplicate_event"}
    labels = f"{flow.name}.labels"
    rejected = [r for r in flow.rejects if r["topic"] != labels and r["reason"] not in of_labels]
    assert flow.counts["events"] == len(flow.predictions) + len(rejected)
    total = flow.metrics.total
    assert total("millrace_records_received_total", kind="event") == flow.counts["events"]
    assert total("millrace_predictions_total") == len(flow.predictions)
    assert total("millrace_events_rejected_total") == len(rejected)


def test_the_accounts_of_labels_balance(flow: Flow) -> None:
    """Every label has one fate, and those that taught nothing are in `rejects`."""
    fates = flow.metrics.counted("fate", "millrace_labels_total")
    assert fates == {
        "joined": GOOD // 2 + 3,
        "early": 3,
        "corrected": 1,
        "duplicate": 1,
        "late_correction": 1,
        "late": 1,
        "orphan": 1,
    }
    assert flow.metrics.total("millrace_labels_rejected_total") == len(BAD_LABELS) + 5
    assert flow.metrics.total("millrace_examples_learned_total") == GOOD // 2 + 2
    assert flow.counts["labels"] == GOOD // 2 + len(BAD_LABELS) + 2 + 5 + 1
    waiting = flow.metrics.by("kind", "millrace_pending")
    expired = flow.metrics.total("millrace_events_expired_total", cause="ttl")
    assert waiting["label"] == 0
    assert waiting["event"] + expired == len(flow.predictions) - fates["joined"]


def test_delayed_and_early_labels_make_examples(flow: Flow) -> None:
    """An example holds the features and the prediction of its event, the label and its delay."""
    predicted = {each["event_id"]: each for each in flow.predictions}
    labels = {each["reading_id"]: each["faulty"] for each in LABELS[: GOOD // 2]}
    labels |= {"early": True, "corrected": False, "not-learned": True}
    assert {each["event_id"]: each["label"] for each in flow.examples} == labels
    assert len(flow.examples) == len(labels)
    for example in flow.examples:
        prediction = predicted[example["event_id"]]
        assert example["label_delay_ms"] == DELAY_MS
        assert example["features"] == prediction["features"]
        assert example["predicted"]["fragile"]["value"] == prediction["value"]
        assert {*example["predicted"]} == {"fragile", "no_change", "prior"}


def test_models_travel_to_where_predictions_are_made(flow: Flow) -> None:
    """A prediction says how many examples its model has learned from, and how many it has not."""
    first = {(p["model_version"], p["staleness_examples"]) for p in numbered(flow.predictions)}
    assert first == {(0, 0)}
    learned = Counter(each["key"] for each in flow.examples)
    probes = [each for each in flow.predictions if each["event_id"].startswith("probe")]
    for probe in probes:
        assert probe["model_version"] + probe["staleness_examples"] == learned[PROBED]
    assert probes[-1]["model_version"] == learned[PROBED]


def test_models_are_published_by_key(flow: Flow) -> None:
    """The last snapshot of each sensor's model has learned from all of its labels."""
    latest = {each["scope_key"]: each for each in flow.models}
    learned = Counter(each["key"] for each in flow.examples)
    assert {key: each["version"] for key, each in latest.items()} == learned
    assert {each["champion"] for each in latest.values()} == {"fragile"}


def test_topics_are_kept_as_asked(kafka: str, flow: Flow) -> None:
    """Partitions, cleanup, retention and the limit on a record's size are the broker's own."""
    admin = AdminClient({"bootstrap.servers": kafka})
    known = admin.list_topics(timeout=10).topics
    names = [name for name in known if name.startswith(f"{flow.name}.")]
    state = {f"state.{each}" for each in (*OPERATORS, *BESIDE)}
    streams = {"clean", "features", "examples", "predictions", "outcomes", "alerts", "rejects"}
    streams |= {"evaluations"}
    inputs, kept = {"events", "labels"}, {"audit", "commands"}
    compacted = state | {"models", "definitions"}
    assert {name.partition(".")[2] for name in names} == compacted | streams | inputs | kept
    alone = ("commands", "definitions", "evaluations", *(f"state.{each}" for each in BESIDE))
    single = {f"{flow.name}.{each}" for each in alone}
    assert {len(known[name].partitions) for name in single} == {1}
    assert {len(known[name].partitions) for name in {*names} - single} == {PARTITIONS}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    for resource, described in admin.describe_configs(resources).items():
        config = {key: entry.value for key, entry in described.result(10).items()}
        topic = resource.name.partition(".")[2]
        if topic in compacted:
            assert config["cleanup.policy"] == "compact"
        else:
            assert config["cleanup.policy"] == "delete"
            hours = 20 if topic == "evaluations" else 2
            assert config["retention.ms"] == ("-1" if topic in kept else str(hours * 3_600_000))
        if topic not in inputs:
            assert config["max.message.bytes"] == str(16 * 1024 * 1024)
