"""What an engine says of itself where nothing moves, and what it does when it is to stop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from streams.engine import Engine
from streams.metrics import Metrics

_UNUSED = cast(Any, None)


def make_engine(stall_seconds: float) -> Engine:
    return Engine(
        "learning",
        inbox=_UNUSED,
        outbox=_UNUSED,
        codec=_UNUSED,
        state=_UNUSED,
        assignments=_UNUSED,
        metrics=Metrics("p"),
        flush_seconds=1.0,
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
