"""A worker follows what is in force, and ends where user code hangs at what is to be skipped."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.control.in_force import InForce, Skipped
from millrace.streams.runtime import in_force as module
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.in_force import InForceFollower

RECORD: Skipped = ("p.clean", 0, 7)


class Reader:
    """What is in force, without a broker."""

    def __init__(self, in_force: InForce) -> None:
        self.in_force = in_force
        self.reads = 0

    def read_to_end(self) -> InForce:
        return self.in_force

    def read_on(self, timeout_seconds: float) -> None:
        Event().wait(min(timeout_seconds, 0.01))
        self.reads += 1

    def close(self) -> None:
        pass


@pytest.fixture
def follow(
    make_pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Definitions, list[str]]]:
    """Follow for a moment, and return the definitions, and how often the process has ended."""
    monkeypatch.setattr(module, "_HANGING_SECONDS", 0.05)
    pipeline = make_pipeline()

    def follow(is_folding: Callable[[Skipped], bool]) -> tuple[Definitions, list[str]]:
        definitions, ended = Definitions(pipeline), list[str]()
        reader = Reader(InForce(models=(), champion="", skipped=(RECORD,)))
        follower = InForceFollower(
            lambda: reader,  # type: ignore[arg-type,return-value]  # as much of one as is read
            definitions,
            is_folding,
            lambda: ended.append("now"),
        )
        follower.start()
        while reader.reads < 3:
            Event().wait(0.01)
        follower.stop()
        return definitions, ended

    return follow


def test_what_is_skipped_is_known_soon(
    follow: Callable[..., tuple[Definitions, list[str]]],
) -> None:
    """Nothing ends where it is not being folded."""
    definitions, ended = follow(lambda _: False)
    assert (definitions.skipped, ended) == ({RECORD}, [])


def test_a_process_that_hangs_ends(follow: Callable[..., tuple[Definitions, list[str]]]) -> None:
    """The record is known to be skipped by then, and the next process begins behind it."""
    _, ended = follow(lambda record: record == RECORD)
    assert ended == ["now"]


def test_one_that_is_slow_goes_on(follow: Callable[..., tuple[Definitions, list[str]]]) -> None:
    """User code that ends within seconds does not hang."""
    answers = iter([True])
    definitions, ended = follow(lambda _: next(answers, False))
    assert (definitions.skipped, ended) == ({RECORD}, [])
