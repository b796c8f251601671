"""What a worker wrote: what was wrong with records, and how each block of events was predicted."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Evaluation
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.kafka.records import origin_of
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.record import EvaluationRecord, Record, RejectRecord
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.topics import topic_prefix


def first_rejects(
    clients: Clients, pipeline: Pipeline, samples: Samples, outputs: Outputs | None = None
) -> dict[str, str]:
    """Return reason to detail of the first records in `rejects`; of no reason, if there are none.

    The topic is read until there is one for each reason that was counted, in whichever of the
    formats of outputs it is.
    """
    counters = (names.EVENTS_REJECTED, names.LABELS_REJECTED)
    reasons = {each for name in counters for each in samples.counted("reason", name.total)}
    details: dict[str, str] = {}
    if not reasons:
        return details
    for record in _records(clients, pipeline, "rejects", outputs):
        if isinstance(record, RejectRecord):
            details.setdefault(record.value["reason"], record.value["detail"])
        if details.keys() >= reasons:
            break
    return details


def evaluations(
    clients: Clients, pipeline: Pipeline, outputs: Outputs | None = None
) -> list[Evaluation]:
    """Return the blocks of events that are in `evaluations`."""
    records = _records(clients, pipeline, "evaluations", outputs)
    return [each.value for each in records if isinstance(each, EvaluationRecord)]


def _records(
    clients: Clients, pipeline: Pipeline, name: str, outputs: Outputs | None
) -> Iterator[Record]:
    prefix, codec = topic_prefix(pipeline), TopicCodec(pipeline, outputs)
    topic = f"{prefix}{name}"
    for message in read_to_end(clients, topic, range(count_partitions(clients, topic))):
        yield codec.decode(origin_of(message, prefix))
