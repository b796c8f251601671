"""Which partition a record belongs on: one rule for the ingest operator and for whoever produces.

A record that is produced to the partition where its model lives needs no other: with scope
`global` that is partition 0, else the one of its key.
"""

from __future__ import annotations

from contextlib import suppress
from zlib import crc32

from millrace.models.pipeline.definition import Scope
from millrace.schemas import RecordError
from millrace.streams.sources.definition import EventDefinition
from millrace.streams.sources.ids import IdTexts

GLOBAL_PARTITION = 0


def partition_of(routed_by: str, partitions: int) -> int:
    """Return the partition of a key.

    It is librdkafka's default for keyed records ("consistent"), so that a producer of
    confluent-kafka agrees.

    Examples
    --------
    >>> [partition_of(key, 4) for key in ("anna", "bert", "cleo")]
    [3, 2, 2]
    """
    return crc32(routed_by.encode()) % partitions


def routing_key(pipeline: EventDefinition, event_id: str, key: str | None) -> str | None:
    """Return what a record is routed by, and keyed with: its key, or its id where keys are none."""
    if pipeline.numbers_as_text:
        texts = IdTexts(pipeline)
        with suppress(RecordError):  # ingest rejects it, wherever it is
            event_id, key = texts.event_id(event_id), texts.key(key)
    return event_id if pipeline.key is None else key


def input_partition(
    pipeline: EventDefinition, routed_by: str | None, partitions: int
) -> int | None:
    """Return where to produce an event or a label; None where it has no key to go by."""
    if pipeline.scope is Scope.GLOBAL:
        return GLOBAL_PARTITION
    return None if routed_by is None else partition_of(routed_by, partitions)
