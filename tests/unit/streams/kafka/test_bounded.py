"""A call that does not come back is given up, and the next one does not wait for it."""

from __future__ import annotations

from threading import Event, current_thread

import pytest

from millrace.schemas import BrokerError
from millrace.streams.kafka.bounded import BoundedCaller


def test_returns_what_the_call_returns() -> None:
    """Calls are made one after another in one thread that is not the caller's."""
    caller = BoundedCaller("commit")

    names = {caller.call(10, "a name", lambda: current_thread().name) for _ in range(2)}

    assert names == {"commit"}
    caller.close()


def test_raises_what_the_call_raises() -> None:
    """An error comes out where the call was made."""

    def fail() -> None:
        raise KeyError("x")

    caller = BoundedCaller("commit")

    with pytest.raises(KeyError, match="x"):
        caller.call(10, "a failure", fail)
    caller.close()


def test_gives_up_a_call_that_hangs() -> None:
    """The hanging call is left behind, and the next one is served by a new thread."""
    released = Event()
    caller = BoundedCaller("commit")

    with pytest.raises(BrokerError, match="a commit timed out"):
        caller.call(0.01, "a commit", released.wait)

    assert caller.call(10, "a number", lambda: 7) == 7
    released.set()
    caller.close()
