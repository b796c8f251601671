"""What an agent writes: refused where no topic would take it, and counted once it is committed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.kafka.clients import consumer_config
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateRecord
from millrace.streams.topology.topics import MAX_RECORD_BYTES, TopicCodec


def test_state_beyond_the_limit_names_the_setting(make_pipeline: Callable[..., Pipeline]) -> None:
    """An entry that no state topic takes says which limit it is over, and what to do."""
    pipeline = make_pipeline()
    codec, metrics = TopicCodec(pipeline), Metrics(pipeline.name)
    outbox = Outbox("p.learning", Settings(), "p.", codec, {"p.models": 1}, metrics)
    entry = StateRecord("models", "learning/models/", bytes(MAX_RECORD_BYTES), [])

    with pytest.raises(BrokerError, match=r"max\.message\.bytes of models.*bound the model's size"):
        outbox.put_state(0, entry)


def test_what_happened_counts_with_the_transaction_that_says_so(
    make_pipeline: Callable[..., Pipeline],
) -> None:
    """Where a batch led to no output, and its offsets wait, so does what happened in it.

    Otherwise it would count twice where the batch is folded once more after a crash.
    """
    pipeline = make_pipeline()
    metrics = Metrics(pipeline.name)

    def orphans() -> float | None:
        labels = {"pipeline": pipeline.name, "fate": "orphan"}
        return metrics.registry.get_sample_value("millrace_labels_total", labels)

    with EmbeddedBroker() as broker:
        settings = Settings(broker=broker.bootstrap)
        consumer = Consumer(consumer_config(settings, "p.learning"))
        outbox = Outbox("p.learning", settings, "p.", TopicCodec(pipeline), {}, metrics)
        outbox.open()
        outbox.tally["label", "orphan"] += 1

        outbox.commit(consumer, [])
        assert orphans() is None
        outbox.put_state(0, StateRecord("state.learning", "learning/pending/1", b"", []))
        outbox.commit(consumer, [])
        assert orphans() == 1
        consumer.close()
