"""Limits of a definition that are right one by one, and contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.models.pipeline.definition import Pending, Pipeline

EVENT_BYTES = 180
"""About what a waiting event takes in memory besides its values and its text."""

VALUE_BYTES = 9
"""About what a feature, or what a candidate predicted, takes in it."""


def contradictions(pipeline: Pipeline) -> Iterator[str]:
    """Return a sentence about each pair of limits of which one makes the other pointless."""
    pending = pipeline.pending
    if pipeline.max_ahead >= pending.ttl and not pipeline.learns_without_labels:
        yield (
            f"max_ahead should be below pending.ttl ({pending.ttl}), or events that are stamped"
            f" ahead make the labels of others late; it is {pipeline.max_ahead}"
        )
    possible = pending.limit_bytes // _event_bytes(pipeline)
    if possible < pending.limit and pending != Pending():
        yield (
            f"pending.limit_bytes should allow pending.limit ({pending.limit:,}) events; it allows"
            f" about {possible:,}"
        )


def _event_bytes(pipeline: Pipeline) -> int:
    """Return the least that an event takes while it waits, as the label join counts."""
    features = sum(len(each.names) for each in pipeline.features)
    return EVENT_BYTES + VALUE_BYTES * (features + len(pipeline.models))
