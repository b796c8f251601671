"""What an engine says of itself where nothing moves, when it commits offsets, and how it stops."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from millrace.streams.observability.metrics import Metrics
from millrace.streams.runtime.assignment import Assignment
from millrace.streams.runtime.batching import Interval, Pace
from millrace.streams.runtime.engine import Engine

_UNUSED = cast(Any, None)


class Inbox:
    """Has no consumer, and nothing in it, or something that is not taken."""

    consumer = None

    def __init__(self, stall: str = "") -> None:
        self._stall = stall

    def positions(self, offsets: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        return offsets

    def report_lag(self, _offsets: dict[tuple[str, int], int]) -> None:
        pass

    def stall(self, _seconds: float) -> str:
        return self._stall


class Outbox:
    """Keeps the offsets of every commit."""

    def __init__(self, is_in_transaction: bool) -> None:
        self.is_in_transaction = is_in_transaction
        self.commits: list[dict[tuple[str, int], int]] = []

    def commit(self, _consumer: None, offsets: dict[tuple[str, int], int]) -> None:
        self.commits.append(offsets)


def make_engine(inbox: Inbox | None = None, outbox: Outbox | None = None) -> Engine:
    return Engine(
        "learning",
        inbox=cast(Any, inbox or Inbox()),
        outbox=cast(Any, outbox),
        codec=_UNUSED,
        state=_UNUSED,
        assignments=_UNUSED,
        metrics=Metrics("p"),
        pace=Pace(100),
        flush=Interval(1.0),
        stall_seconds=60.0,
    )


def test_a_stall_is_a_failure_and_is_logged_once() -> None:
    """`/healthz` says so for as long as it lasts; the log says so when it begins."""
    engine = make_engine(Inbox(stall="stalled: events[0]"))

    with capture_logs() as logs:
        engine.check_progress()
        engine.check_progress()

    assert engine.failure == "stalled: events[0]"
    assert [(each["event"], each["agent"]) for each in logs] == [("stalled: events[0]", "learning")]


def test_no_stall_is_no_failure() -> None:
    """Nothing is said where nothing waits."""
    engine = make_engine()

    with capture_logs() as logs:
        engine.check_progress()

    assert (engine.failure, logs) == ("", [])


def test_a_stopped_engine_ends_the_stream() -> None:
    """Once told to stop it connects to nothing and gives an empty batch: there are no more."""

    async def stopped() -> list[Any]:
        engine = make_engine()
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


def test_a_last_commit_that_fails_keeps_nobody_from_stopping() -> None:
    """What it had open is taken back, the log says so, and closing raises nothing."""
    did: list[str] = []

    class LeavingInbox(Inbox):
        def close(self) -> None:
            did.append("leave")
            if did.count("leave") == 1:
                raise RuntimeError("Consumer group metadata not available")

    class OpenOutbox(Outbox):
        def abort(self) -> None:
            did.append("abort")

        def close(self) -> None:
            did.append("close")

    engine = make_engine(LeavingInbox(), OpenOutbox(is_in_transaction=True))
    with capture_logs() as logs:
        asyncio.run(engine.close())

    assert did == ["leave", "abort", "leave", "close"]
    assert [each["event"] for each in logs] == ["left without a last commit"]
    assert "metadata not available" in logs[0]["reason"]
