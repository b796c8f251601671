"""What an agent writes: where it goes, what is refused, and when it counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, RejectReason
from millrace.schemas.records import Command, Prediction
from millrace.streams.control.signature import check_signature
from millrace.streams.formats import Outputs
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.sizes import SizeLimits
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.record import CommandRecord, Origin, PredictionRecord, reject
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.settings import Guarantee
from millrace.streams.sources.commands import read_command
from millrace.streams.state.records import StateRecord, state_record
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.topics import MAX_RECORD_BYTES

TOPICS = {
    "p.predictions": 4,
    "p.rejects": 1,
    "p.models": 4,
    "p.state.learning": 4,
    "p.commands": 1,
}
LARGEST_REJECT = (MAX_RECORD_BYTES - 64 * 1024) * 3 // 4


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker(TOPICS)


@pytest.fixture
def clients(broker: FakeBroker) -> FakeClients:
    return FakeClients(broker)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("p")


@pytest.fixture
def make_outbox(
    clients: FakeClients, metrics: Metrics, make_pipeline: Callable[..., Pipeline]
) -> Callable[..., Outbox]:
    def make(
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        sizes: SizeLimits | None = None,
        command_key: bytes = b"",
    ) -> Outbox:
        codec = TopicCodec(make_pipeline(), Outputs("json"))
        args = "learning", clients, "p.", codec, TOPICS, metrics, guarantee, sizes
        return Outbox(*args, command_key=command_key)

    return make


@pytest.fixture
def outbox(make_outbox: Callable[..., Outbox]) -> Outbox:
    return make_outbox()


def prediction(event_id: str = "1", *, partition: int | None = None, **origin: Any) -> Any:
    value: Prediction = {
        "event_id": event_id,
        "key": None,
        "event_time_ms": 0,
        "prediction_time_ms": 0,
        "value": True,
        "model": "own",
        "model_version": 0,
        "staleness_examples": 0,
        "reasons": None,
        "certainty": None,
        "definition": "",
        "probabilities": {},
        "features": {},
    }
    given = {"topic": "features", "partition": 1, "offset": 0, "timestamp_ms": 7} | origin
    record = PredictionRecord(value, Origin(key=None, value=b"", **given))
    record.partition = partition
    return record


def rejects(broker: FakeBroker) -> list[dict[str, Any]]:
    return [json.loads(each or b"") for each in broker.values("p.rejects", 0)]


def commit(outbox: Outbox, clients: FakeClients) -> None:
    outbox.commit(clients.consumer("g", {}), [])


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"millrace_{name}", {"pipeline": "p", **labels})


def test_outputs_go_where_their_origin_was(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker
) -> None:
    """To the same partition, with the key and the time of the event."""
    outbox.put(prediction())
    commit(outbox, clients)
    (record,) = broker.records("p.predictions", 1)
    assert json.loads(record.value() or b"")["event_id"] == "1"
    assert (record.key(), record.timestamp()[1]) == (b"1", 7)


@pytest.mark.parametrize("key", [b"", b"a key for tests"])
def test_a_command_is_signed_as_it_is_written(
    make_outbox: Callable[..., Outbox], clients: FakeClients, broker: FakeBroker, key: bytes
) -> None:
    """With the time that it says, where commands are signed."""
    value: Command = {
        "id": "rule:promotion@0-promote-own",
        "command": "promote",
        "arguments": {"model": "own"},
        "who": "rule:promotion",
        "why": "",
        "time_ms": 1_700_000_000_000,
    }
    outbox = make_outbox(command_key=key)
    outbox.put(CommandRecord(value, Origin("evaluations", 0, 5, 7, None, None)))
    commit(outbox, clients)
    (record,) = broker.records("p.commands", 0)
    headers = [(name, each or b"") for name, each in record.headers() or []]
    assert read_command(record.value()) == value
    given: dict[str, Any] = {
        "id_": value["id"],
        "written_ms": value["time_ms"],
        "received_ms": value["time_ms"],
    }
    if key:
        check_signature(record.value() or b"", headers, **given, key=key)
    else:
        assert not headers


@pytest.mark.parametrize(("partition", "to"), [(3, 3), (4, 0), (0, 0)])
def test_outputs_may_go_elsewhere(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker, partition: int, to: int
) -> None:
    """Within the partitions that the topic has."""
    outbox.put(prediction(partition=partition))
    commit(outbox, clients)
    assert len(broker.records("p.predictions", to)) == 1


def test_a_record_without_a_time_is_given_the_brokers(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker
) -> None:
    """A client may produce without one: then it is -1."""
    outbox.put(prediction(timestamp_ms=-1))
    commit(outbox, clients)
    (record,) = broker.records("p.predictions", 1)
    assert record.timestamp()[1] == broker.now_ms


def test_a_value_that_cannot_be_written_is_rejected(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker, metrics: Metrics
) -> None:
    """Text cut in the middle of a character, for example: its origin goes to `rejects`."""
    outbox.put(prediction("\ud800", full_topic="p.features"))
    commit(outbox, clients)
    assert broker.topics["p.predictions"][1].end == 0
    (reject,) = rejects(broker)
    assert (reject["reason"], reject["topic"]) == (RejectReason.ILL_TYPED_FIELD, "p.features")
    assert reject["detail"].startswith("Prediction cannot be written: UnicodeEncodeError: ")
    assert counted(metrics, "events_rejected_total", reason="ill_typed_field") == 1


def test_a_fault_of_encoding_is_an_internal_error(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker, metrics: Metrics
) -> None:
    """It is told apart from what values do, and counted."""
    record = prediction()
    record.topic = "nowhere"
    outbox.put(record)
    commit(outbox, clients)
    assert [each["reason"] for each in rejects(broker)] == [RejectReason.INTERNAL_ERROR]
    assert counted(metrics, "internal_errors_total", operator="encoding") == 1


def test_an_output_that_is_too_large_is_rejected(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker
) -> None:
    """By the client: the reject says how large it was, and for which topic; others are written."""
    broker.max_message_bytes = 3_000
    outbox.put(prediction("x" * 3_000))
    outbox.put(prediction())
    commit(outbox, clients)
    (reject,) = rejects(broker)
    assert reject["reason"] == RejectReason.OVERSIZED_OUTPUT
    assert " is larger than topic p.predictions takes (max.message.bytes)" in reject["detail"]
    assert [json.loads(each)["event_id"] for each in broker.values("p.predictions", 1)] == ["1"]


@pytest.mark.parametrize("guarantee", Guarantee)
def test_an_output_that_the_broker_refuses_is_rejected(
    guarantee: Guarantee, make_outbox: Callable[..., Outbox], clients: FakeClients, broker: Any
) -> None:
    """After an error, which aborts: then the topic's limit is known, in later sessions too."""
    broker.topic_bytes["p.predictions"] = 1_000
    sizes = SizeLimits()
    written = []
    for _ in range(4):
        outbox = make_outbox(guarantee, sizes)
        try:
            outbox.put(prediction("x" * 1_500))
            outbox.put(prediction())
            commit(outbox, clients)
        except (BrokerError, KafkaException):
            outbox.abort()
        else:
            written.append(len(rejects(broker)))
    assert written == [1, 2]
    assert {each["reason"] for each in rejects(broker)} == {"oversized_output"}
    own = [each for each in clients.producers if "on_delivery" in each._config]
    assert own[-1]._config["batch.size"] < 4_000


def test_records_that_are_refused_with_their_batch_are_not_too_large() -> None:
    """The first time batches are made smaller; a record that is then taken was not too large."""
    sizes = SizeLimits()
    sizes.note_refused("t", 100)
    sizes.note_refused("t", 400)
    sizes.conclude()
    assert (sizes.batch_bytes, sizes.fits("t", 400)) == (400, True)
    sizes.note_refused("u", 500)
    sizes.conclude()
    assert (sizes.fits("t", 10**6), sizes.fits("u", 500), sizes.fits("u", 499)) == (
        True,
        False,
        True,
    )


def test_a_record_beyond_any_batch_is_too_large_at_once() -> None:
    """It goes in a batch of its own anyway."""
    sizes = SizeLimits()
    sizes.note_refused("t", 1_048_600)
    sizes.conclude()
    assert (sizes.batch_bytes, sizes.fits("t", 1_048_600)) == (1_000_000, False)


def test_a_reject_that_cannot_be_written_goes_without_the_original(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker
) -> None:
    """Its reason and its place are kept."""
    broker.max_message_bytes = 1_000
    origin = Origin("events", 0, 7, 0, b"k", b"x" * 5_000, (("h", b"v"),), "p.events")
    outbox.put(reject(origin, RejectReason.MALFORMED, "odd"))
    commit(outbox, clients)
    (written,) = rejects(broker)
    assert (written["reason"], written["detail"], written["offset"]) == ("malformed", "odd", 7)
    assert (written["value"], written["value_size_bytes"], written["headers"]) == (None, 5_000, [])


def test_a_reject_that_cannot_be_written_at_all_is_logged(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker
) -> None:
    """It stops nothing."""
    broker.max_message_bytes = 10
    with capture_logs() as logs:
        outbox.put(reject(Origin("events", 0, 7, 0, None, b"x"), RejectReason.MALFORMED, "odd"))
    assert [(each["event"], each["record"]) for each in logs] == [
        ("a reject cannot be written", "events[0]@7")
    ]
    commit(outbox, clients)
    assert broker.values("p.rejects") == []


def test_headers_are_carried_on(
    clients: FakeClients, broker: FakeBroker, metrics: Metrics, make_pipeline: Callable[..., Any]
) -> None:
    """The trace context always, others by choice; of several of a name the last."""
    codec = TopicCodec(make_pipeline(carry_headers=["tenant"]))
    guarantee = Guarantee.EXACTLY_ONCE
    outbox = Outbox("learning", clients, "p.", codec, TOPICS, metrics, guarantee)
    headers = [("traceparent", b"1"), ("other", b"x"), ("tenant", None), ("tracestate", b"s")]
    outbox.put(prediction(headers=(*headers, ("traceparent", b"2"))))
    origin = Origin("events", 0, 0, 0, None, b"?", (*headers,))
    outbox.put(reject(origin, RejectReason.MALFORMED, "odd"))
    commit(outbox, clients)
    (written,) = broker.records("p.predictions", 1)
    assert written.headers() == [("traceparent", b"2"), ("tenant", None), ("tracestate", b"s")]
    (written,) = broker.records("p.rejects", 0)
    assert written.headers() == [("traceparent", b"1"), ("tenant", None), ("tracestate", b"s")]


@pytest.mark.parametrize(
    ("size", "kept"), [(LARGEST_REJECT, LARGEST_REJECT), (LARGEST_REJECT + 1, LARGEST_REJECT)]
)
def test_the_original_in_a_reject_is_cut(outbox: Outbox, size: int, kept: int) -> None:
    """To what the topic takes; how large it was stays known."""
    origin = Origin("events", 0, 0, 0, None, b"x" * size)
    record = reject(origin, RejectReason.MALFORMED, "too large")
    outbox.put(record)
    assert len(record.value["value"] or b"") == kept
    assert record.value["value_size_bytes"] == size


def test_a_reject_without_a_value(outbox: Outbox) -> None:
    """A tombstone has nothing to cut."""
    outbox.put(reject(Origin("events", 0, 0, 0, None, None), RejectReason.MALFORMED, "empty"))


def test_state_goes_to_its_partition(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker, metrics: Metrics
) -> None:
    """With its key and headers; the size of a model is a metric."""
    outbox.put_state(2, state_record("models", "learning/models/", b"123", flush=7, sequence=4))
    outbox.put_state(2, state_record("state.learning", "learning/pending/1", None))
    commit(outbox, clients)
    (model,) = broker.records("p.models", 2)
    assert (model.key(), model.value()) == (b"learning/models/", b"123")
    assert model.headers() == [("flush", b"7"), ("sequence", b"4")]
    (entry,) = broker.records("p.state.learning", 2)
    assert (entry.key(), entry.value()) == (b"learning/pending/1", None)
    assert counted(metrics, "model_size_bytes", partition="2") == 3


def put_flush(outbox: Outbox, partitions: int) -> None:
    for partition in range(partitions):
        for key in ("learning/pending/1", "manifest", "order/1"):
            outbox.put_state(partition, state_record("state.learning", key, b"x"))


def test_manifests_wait_together_for_the_entries(
    make_outbox: Callable[..., Outbox], clients: FakeClients, broker: FakeBroker
) -> None:
    """Each is written once all before it is there, and what follows it behind it."""
    outbox, waits = make_outbox(Guarantee.AT_LEAST_ONCE), []

    def note() -> None:
        waits.append([len(broker.records("p.state.learning", each)) for each in range(3)])

    for _ in range(9):
        broker.before("flush", note)
    put_flush(outbox, 3)
    commit(outbox, clients)

    assert waits == [[1, 1, 1], [3, 3, 3]]
    keys = [each.key() for each in broker.records("p.state.learning", 2)]
    assert keys == [b"learning/pending/1", b"manifest", b"order/1"]
    commit(outbox, clients)
    assert len(broker.records("p.state.learning", 2)) == 3


def test_no_manifest_without_its_entries(
    make_outbox: Callable[..., Outbox], clients: FakeClients, broker: FakeBroker
) -> None:
    """Where one of them is not written, none is; nor later, once the state was taken back."""
    outbox = make_outbox(Guarantee.AT_LEAST_ONCE)
    broker.fail_next("delivery", KafkaError.MSG_SIZE_TOO_LARGE)
    put_flush(outbox, 2)
    with pytest.raises(BrokerError):
        commit(outbox, clients)
    outbox.take_back()
    commit(outbox, clients)
    assert [each.key() for each in broker.records("p.state.learning", 1)] == [b"learning/pending/1"]


def test_the_size_of_a_model_is_that_of_all_its_parts(outbox: Outbox, metrics: Metrics) -> None:
    """It is known once its head is written, as its last record."""
    for at, size in enumerate((700, 700, 30)):
        outbox.put_state(3, StateRecord("models", f"part/{at}/learning/models/", bytes(size), []))
    outbox.put_state(3, StateRecord("models", "learning/models/", bytes(70), []))
    assert counted(metrics, "model_size_bytes", partition="3") == 1500
    outbox.put_state(3, StateRecord("models", "learning/models/", bytes(20), []))
    assert counted(metrics, "model_size_bytes", partition="3") == 20


def test_what_happened_counts_when_it_is_committed(
    outbox: Outbox, clients: FakeClients, metrics: Metrics
) -> None:
    """Not before, and once."""
    outbox.put(prediction())
    outbox.tally["label", "orphan"] += 1
    assert counted(metrics, "labels_total", fate="orphan") == 0
    for _ in range(2):
        commit(outbox, clients)
    assert counted(metrics, "labels_total", fate="orphan") == 1
    assert counted(metrics, "predictions_total", model="own") == 1
    assert counted(metrics, "end_to_end_latency_seconds_count") == 1


def test_latency_is_in_seconds(
    outbox: Outbox, clients: FakeClients, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the event's timestamp to the commit; each prediction counts once."""
    monkeypatch.setattr("millrace.streams.runtime.outbox.time.time", lambda: 1_002.5)
    outbox.put(prediction(timestamp_ms=1_000_000))
    commit(outbox, clients)
    outbox.put(prediction(timestamp_ms=1_001_500))
    commit(outbox, clients)
    assert counted(metrics, "end_to_end_latency_seconds_sum") == pytest.approx(3.5)
    assert counted(metrics, "predictions_total", model="own") == 2


def test_closing_frees_what_the_writer_holds(
    outbox: Outbox, clients: FakeClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that commits ends with it."""
    closed: list[bool] = []
    monkeypatch.setattr(outbox._writer, "close", lambda: closed.append(True))
    outbox.close()
    assert closed == [True]


def test_what_happened_waits_for_a_transaction(
    outbox: Outbox, clients: FakeClients, metrics: Metrics
) -> None:
    """Where a batch led to no output: it might be folded again after a crash."""
    outbox.tally["label", "orphan"] += 1
    commit(outbox, clients)
    assert counted(metrics, "labels_total", fate="orphan") == 0
    outbox.put(prediction())
    commit(outbox, clients)
    assert counted(metrics, "labels_total", fate="orphan") == 1


def test_what_is_aborted_does_not_count(
    outbox: Outbox, clients: FakeClients, broker: FakeBroker, metrics: Metrics
) -> None:
    """Neither the outputs nor what led to them."""
    outbox.put(prediction("1"))
    outbox.tally["label", "orphan"] += 1
    outbox.abort()
    assert not outbox.is_in_transaction
    outbox.renew()
    outbox.put(prediction("2"))
    commit(outbox, clients)
    assert [each.key() for each in broker.records("p.predictions", 1)] == [b"2"]
    assert counted(metrics, "labels_total", fate="orphan") == 0
    assert counted(metrics, "predictions_total", model="own") == 1


def test_transactional_ids_belong_to_one_worker(make_outbox: Callable[..., Outbox]) -> None:
    """They begin with the group's name, and no two are the same."""
    first, second = make_outbox().transactional_id, make_outbox().transactional_id
    assert first.startswith("p.learning-")
    assert first != second


def test_at_least_once_has_no_transactions(
    make_outbox: Callable[..., Outbox], clients: FakeClients, broker: FakeBroker, metrics: Metrics
) -> None:
    """An output is visible at once, and counted when it is acknowledged."""
    outbox = make_outbox(Guarantee.AT_LEAST_ONCE)
    outbox.put(prediction())
    assert (outbox.transactional_id, outbox.is_in_transaction) == ("", False)
    assert len(broker.records("p.predictions", 1)) == 1
    assert counted(metrics, "predictions_total", model="own") is None
    commit(outbox, clients)
    assert counted(metrics, "predictions_total", model="own") == 1


@pytest.mark.parametrize("guarantee", [*Guarantee])
def test_errors_of_the_connection_are_counted(
    make_outbox: Callable[..., Outbox],
    clients: FakeClients,
    metrics: Metrics,
    guarantee: Guarantee,
) -> None:
    """librdkafka handles them itself; the agent's name is on them."""
    outbox = make_outbox(guarantee)
    clients.producers[-1].report(KafkaError(KafkaError._TRANSPORT))
    outbox.put(prediction())
    clients.producers[-1].poll(0)
    assert counted(metrics, "broker_errors_total", agent="learning", error="_TRANSPORT") == 1
