"""What an engine says of itself where nothing moves, when it commits offsets, and how it stops."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from streams.assignment import Assignment
from streams.engine import Engine
from streams.metrics import Metrics
from streams.pace import Interval, Pace

_UNUSED = cast(Any, None)


class Inbox:
    """Has no consumer, and nothing waits in it."""

    consumer = None

    def positions(self, offsets: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        return offsets

    def lag(self, _offsets: dict[tuple[str, int], int]) -> int:
        return 0


class Outbox:
    """Keeps the offsets of every commit."""

    def __init__(self, is_in_transaction: bool) -> None:
        self.is_in_transaction = is_in_transaction
        self.commits: list[dict[tuple[str, int], int]] = []

    def commit(self, _consumer: None, offsets: dict[tuple[str, int], int]) -> None:
        self.commits.append(offsets)


def make_engine(stall_seconds: float = 60.0, outbox: Outbox | None = None) -> Engine:
    return Engine(
        "learning",
        inbox=cast(Any, Inbox()),
        outbox=cast(Any, outbox),
        codec=_UNUSED,
        state=_UNUSED,
        assignments=_UNUSED,
        metrics=Metrics("p"),
        pace=Pace(100),
        flush=Interval(1.0),
        stall_seconds=stall_seconds,
    )


def test_a_stall_is_a_failure() -> None:
    """Assigned, with records waiting, and nothing taken for too long: `/healthz` will say so."""
    engine = make_engine(stall_seconds=-1.0)
    engine.check_progress()
    assert engine.failure == ""  # it has no partitions yet
    engine.is_ready = True

    engine.check_progress()

    assert engine.failure.startswith("stalled: records wait, and none was taken for")


def test_no_stall_within_its_time() -> None:
    """A pause shorter than the setting is none."""
    engine = make_engine(stall_seconds=60.0)
    engine.is_ready = True

    engine.check_progress()

    assert engine.failure == ""


def test_a_stopped_engine_ends_the_stream() -> None:
    """Once told to stop it connects to nothing and gives an empty batch: there are no more."""

    async def stopped() -> list[Any]:
        engine = make_engine(stall_seconds=60.0)
        engine.stop()
        return await engine.next_batch()

    assert asyncio.run(stopped()) == []


@pytest.mark.parametrize("is_in_transaction", [True, False])
def test_offsets_follow_outputs(monkeypatch: pytest.MonkeyPatch, is_in_transaction: bool) -> None:
    """In the same transaction; where there is none now and then, and at last, when it is left."""
    outbox = Outbox(is_in_transaction)
    engine = make_engine(outbox=outbox)
    assignment = Assignment(0, _UNUSED, {"features": 0}, {"features": 0}, order=None)
    assignment._saved = assignment.next_offset  # nothing of it is state
    monkeypatch.setattr(engine, "_assigned", {0: assignment})
    seconds = [0.0]
    monkeypatch.setattr(engine, "_offsets", Interval(10.0, clock=lambda: seconds[-1]))
    for each in (1.0, 11.0, 12.0):
        seconds.append(each)
        assignment.next_offset["features"] += 1
        engine._commit()
    engine._commit(is_last=True)

    seen = [each.get(("features", 0)) for each in outbox.commits]
    assert seen == ([1, 2, 3, 3] if is_in_transaction else [None, 2, None, 3])


def test_offsets_follow_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without records is used to commit what was folded before it, once."""
    outbox = Outbox(is_in_transaction=False)
    engine = make_engine(outbox=outbox)
    assignment = Assignment(0, _UNUSED, {"features": 0}, {"features": 0}, order=None)
    monkeypatch.setattr(engine, "_assigned", {0: assignment})
    monkeypatch.setattr(engine, "_offsets", Interval(-1.0))
    assignment.next_offset["features"] = 7

    engine._rest()
    engine._rest()

    assert outbox.commits == [{("features", 0): 7}]
