"""Limits of a definition that are right one by one, and contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from typing import NamedTuple

from millrace.models.pipeline.definition import Pending, Pipeline

EVENT_BYTES = 180
"""About what a waiting event takes in memory besides its values and its text."""

VALUE_BYTES = 9
"""About what a feature, or what a candidate predicted, takes in it."""

ENDED_BYTES = 150
"""About what the id of an event that has ended takes in memory, besides its text."""

_ID_LETTERS = 36  # of a UUID
_BESIDE = 4  # values: what two baselines predicted, and probabilities of two classes


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


class Room(NamedTuple):
    """What the events that wait for their labels need in one partition.

    Attributes
    ----------
    wait
        How long an event waits at most.
    events
        How many wait then.
    event_bytes
        About what one takes, as the label join counts, with an id of 36 letters.
    held
        How many the limits hold.
    """

    wait: timedelta
    events: int
    event_bytes: int
    held: int

    @property
    def waiting_bytes(self) -> int:
        """What all that wait take."""
        return self.events * self.event_bytes

    @property
    def total_bytes(self) -> int:
        """The same, with the ids of as many events that have ended."""
        return self.events * (self.event_bytes + ENDED_BYTES + _ID_LETTERS)


def room(pipeline: Pipeline, events_per_second: float) -> Room:
    """Return what events need that come at a rate, in one partition, if no label comes before.

    Parameters
    ----------
    events_per_second
        In that partition.
    """
    pending, wait = pipeline.pending, pipeline.longest_wait
    size = _event_bytes(pipeline) + VALUE_BYTES * _BESIDE + _ID_LETTERS
    held = min(pending.limit, pending.limit_bytes // size)
    return Room(wait, ceil(events_per_second * wait.total_seconds()), size, held)


def shortages(pipeline: Pipeline, needed: Room) -> Iterator[str]:
    """Return a sentence where limits do not hold the events that wait."""
    if needed.held >= needed.events:
        return
    fate = "no label" if pipeline.label_default is None else "not even label_default's label"
    after = timedelta(seconds=int(needed.wait.total_seconds() * needed.held / needed.events))
    yield (
        f"pending should hold the {needed.events:,} events of a partition that wait at this rate:"
        f" limit={needed.events:_}, limit_bytes={needed.waiting_bytes:_}. It holds about"
        f" {needed.held:,}, so that an event is evicted after {after} and gets {fate}"
    )


def _event_bytes(pipeline: Pipeline) -> int:
    """Return the least that an event takes while it waits, as the label join counts."""
    features = sum(len(each.names) for each in pipeline.features)
    return EVENT_BYTES + VALUE_BYTES * (features + len(pipeline.models))
