"""Limits that contradict each other are found by `millrace check`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace import LabelDefault, Pending, Pipeline
from millrace.models.pipeline.limits import contradictions, room, shortages


@pytest.fixture
def make() -> Callable[..., Pipeline]:
    """Make a pipeline of fruits with given limits."""

    def pipeline(**changes: Any) -> Pipeline:
        names = {"id": "string", "size": "double", "y": "boolean"}
        fields = [{"name": name, "type": kind} for name, kind in names.items()]
        return Pipeline(
            **{
                "name": "fruits",
                "schema": {"type": "record", "name": "Fruit", "fields": fields},
                "event_id": "id",
                "label": "y",
                "task": "binary",
                "models": {"bayes": GaussianNB},
            }
            | changes
        )

    return pipeline


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"pending": Pending(ttl=timedelta(hours=25))}, None),
        ({"pending": Pending(ttl=timedelta(days=1))}, "max_ahead should be below pending.ttl (1 d"),
        ({"max_ahead": timedelta(days=8)}, "make the labels of others late; it is 8 days"),
        ({"pending": Pending(limit=10)}, None),
        ({"pending": Pending(limit=10**7)}, "limit_bytes should allow pending.limit (10,000,000)"),
        ({"pending": Pending(limit=10, limit_bytes=1_000)}, "events; it allows about 5"),
    ],
)
def test_contradictions(changes: dict[str, Any], words: str | None, make: Any) -> None:
    """Each is one sentence with the parameters; the defaults have none."""
    found = [*contradictions(make(**changes))]
    assert [words in each for each in found] == ([] if words is None else [True])


def test_the_room_that_events_need(make: Callable[..., Pipeline]) -> None:
    """It grows with the rate and the wait, which is that of the default where there is one."""
    pipeline = make(pending=Pending(limit=10**6, ttl=timedelta(days=30)))
    needed = room(pipeline, 10)
    assert (needed.wait, needed.events) == (timedelta(days=30), 25_920_000)
    assert needed.waiting_bytes == needed.events * needed.event_bytes
    assert needed.held == 10**6
    sooner = make(
        pending=pipeline.pending, label_default=LabelDefault(False, after=timedelta(hours=1))
    )
    assert room(sooner, 10).events == 36_000


@pytest.mark.parametrize(
    ("pending", "words"),
    [
        ({"limit": 3_600}, ""),
        ({"limit": 1_800}, "limit=3_600, limit_bytes="),
        ({"limit": 1_800}, "evicted after 0:30:00 and gets no label"),
        ({"limit_bytes": 1_000}, "evicted after 0:00:0"),
    ],
)
def test_limits_that_do_not_hold_it(
    make: Callable[..., Pipeline], pending: dict[str, int], words: str
) -> None:
    """The sentence says what would, and what becomes of events."""
    pipeline = make(pending=Pending(ttl=timedelta(hours=1), **pending))
    found = [*shortages(pipeline, room(pipeline, 1))]
    assert words in "".join(found)
    assert bool(found) is bool(words)


def test_what_is_said_to_be_needed_is_enough(make: Callable[..., Pipeline]) -> None:
    """With limits as the sentence gives them, nothing is evicted at this rate."""
    pipeline = make()
    needed = room(pipeline, 5)
    limits = {"limit": needed.events, "limit_bytes": needed.waiting_bytes}
    pipeline = make(pending=Pending(**limits))
    assert [*shortages(pipeline, room(pipeline, 5))] == []
