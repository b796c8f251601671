"""What is known stays bounded, and follows from the topics."""

from __future__ import annotations

from millrace.streams.formats import Outputs
from millrace.streams.serve.knowledge import Knowledge, Newest, Seen, record_type
from tests.unit.streams.serve.conftest import outcome, prediction


def seen(topic, record, offset=0):
    return Seen(topic, 0, offset, Outputs().encoder(record_type(topic)).encode(record), record)


def test_the_oldest_goes_where_there_are_too_many():
    """By number, and by bytes."""
    newest = Newest[int](most=100, most_bytes=10)
    for number in range(5):
        newest.add(number, b"xxxx")
    assert [newest.get(number) is not None for number in range(5)] == [False] * 3 + [True] * 2
    newest.add(9, b"x" * 11)
    assert [*newest.listed(10)] == []


def test_the_first_prediction_of_an_event_counts():
    """Where a worker has written it twice, which at least once allows."""
    knowledge = Knowledge(Outputs())
    for value in (True, False):
        knowledge.add(seen("predictions", prediction("e1", value)))
    assert knowledge.prediction("e1")["value"] is True
    assert knowledge.prediction("e2") is None


def test_fates_of_labels_are_not_those_of_events():
    """An early label is no end; an expired event stays so, whatever comes late."""
    knowledge = Knowledge(Outputs())
    knowledge.add(seen("outcomes", outcome("e1", "early")))
    assert knowledge.outcome("e1") is None
    knowledge.add(seen("outcomes", outcome("e1", "expired", None)))
    knowledge.add(seen("outcomes", outcome("e1", "late")))
    assert knowledge.outcome("e1")["fate"] == "expired"
