"""Of each reason for which a worker rejected records, the first is found."""

from __future__ import annotations

import pytest

from millrace.schemas import RejectReason
from millrace.streams.formats import Outputs
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.record import EvaluationRecord, Origin, reject
from millrace.streams.replay.written import evaluations, first_rejects
from millrace.streams.topology.codec import TopicCodec
from tests.unit.models.selection.test_contest import block


@pytest.fixture
def broker():
    broker = FakeBroker()
    broker.create("p.rejects", 2)
    return broker


def test_the_first_of_each_reason_is_read(broker, make_pipeline):
    """From the topic, whichever format it has."""
    for partition, outputs in enumerate(("avro", "json")):
        codec = TopicCodec(make_pipeline(), Outputs(outputs))
        for number in range(2):
            reason = (RejectReason.MALFORMED, RejectReason.LATE_LABEL)[partition]
            record = reject(Origin("events", 0, number, 0, None, b""), reason, f"no {number}")
            broker.put("p.rejects", codec.encode(record)[1], partition=partition)
    samples = Samples(
        [
            (names.EVENTS_REJECTED.total, {"reason": "malformed"}, 2.0),
            (names.LABELS_REJECTED.total, {"reason": "late_label"}, 2.0),
        ]
    )
    found = first_rejects(FakeClients(broker), make_pipeline(), samples)
    assert found == {"malformed": "no 0", "late_label": "no 0"}


def test_without_rejects_nothing_is_read(make_pipeline):
    """There may be no such topic."""
    assert first_rejects(FakeClients(FakeBroker()), make_pipeline(), Samples([])) == {}


def test_blocks_of_events_are_read(broker, make_pipeline):
    """From the topic, whichever format it has."""
    broker.create("p.evaluations", 1)
    for outputs in ("avro", "json"):
        codec = TopicCodec(make_pipeline(), Outputs(outputs))
        record = EvaluationRecord(block(), Origin("features", 0, 0, 0, None, b""))
        broker.put("p.evaluations", codec.encode(record)[1])
    found = evaluations(FakeClients(broker), make_pipeline(), Outputs("json"))
    assert found == [block(), block()]
