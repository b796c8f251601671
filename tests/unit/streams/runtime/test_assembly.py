"""What an agent's runtime is made of follows from the settings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.fakes import FakeBroker
from tests.unit.streams.runtime.worker import FakeWorker, put_events, work

MakeWorker = Callable[..., FakeWorker]


def test_inputs_must_have_the_same_number_of_partitions(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """A partition's task reads that partition of each: the error names all of them."""
    worker = FakeWorker(FakeBroker({"p.labels": 3}), make_pipeline())
    with pytest.raises(BrokerError, match=r"same number of partitions.*'p\.labels': 3"):
        worker.engine()


def test_engines_connect_only_when_they_run(make_worker: MakeWorker) -> None:
    """Making one, or the app, starts nothing."""
    worker = make_worker()
    worker.engine()
    assert (worker.clients.consumers, worker.clients.producers) == ([], [])


@pytest.mark.parametrize(
    ("operator", "chain", "seconds"),
    [("learning", "split", 1.0), ("ingest", "full", 10.0), ("prediction", "split", 10.0)],
)
def test_models_that_prediction_waits_for_are_saved_more_often(
    make_worker: MakeWorker, operator: str, chain: str, seconds: float
) -> None:
    """Every `publish_seconds`, where learning is apart; else every `flush_seconds`."""
    worker = make_worker(operator, chain=chain, publish_seconds=1.0)
    session = worker.start()
    worker.pass_time(seconds)
    assert not session._flush.is_due
    worker.pass_time(0.01)
    assert session._flush.is_due


def test_large_events_are_rejected(broker: FakeBroker, make_worker: MakeWorker) -> None:
    """By the setting `max_event_bytes`."""
    session = make_worker(max_event_bytes=20).start()
    put_events(broker, [1])
    work(session)
    assert len(broker.values("p.rejects")) == 1


def test_parts_of_state_fit_what_records_may_have(
    broker: FakeBroker, make_worker: MakeWorker
) -> None:
    """The client's own limit, `message.max.bytes`, bounds them."""
    worker = make_worker(kafka={"message.max.bytes": 4_000})
    session = worker.start()
    put_events(broker, range(50))
    work(session)
    session.close()
    values = broker.values(worker.state_topic)
    assert len(values) > 10
    frame = 100  # what a piece of 3,000 bytes is signed with
    assert max(len(each or b"") for each in values) <= 3_000 + frame


@pytest.mark.parametrize(
    ("operator", "chain", "count"),
    [
        *(("ingest", "full", 1), ("prediction", "default", 1)),
        *(("ingest", "default", 0), ("prediction", "split", 0)),
    ],
)
def test_outputs_are_compressed_as_is_set(
    make_worker: MakeWorker, operator: str, chain: str, count: int
) -> None:
    """By the producer, unless it writes internal topics, too; not that of the state."""
    worker = make_worker(operator, chain=chain, compression="gzip")
    worker.start()
    asked = [each._config.get("compression.type") for each in worker.clients.producers]
    assert (asked.count("gzip"), {*asked} - {"gzip"}) == (count, {None})
