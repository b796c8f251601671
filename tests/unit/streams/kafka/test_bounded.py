"""A call that does not come back is given up, and the next one does not wait for it."""

from __future__ import annotations

from threading import Event, current_thread

import pytest

from millrace.schemas import BrokerError
from millrace.streams.kafka.bounded import BoundedCaller, DaemonExecutor


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


def test_a_call_that_times_out_by_itself_raises_its_own_error() -> None:
    """It has returned in time: that is not the limit's doing."""
    caller = BoundedCaller("commit")

    def fail() -> None:
        raise TimeoutError("of the call")

    with pytest.raises(TimeoutError, match="of the call"):
        caller.call(10, "a failure", fail)
    caller.close()


def test_closing_ends_the_thread() -> None:
    """Also a second time, and before anything was called."""
    caller = BoundedCaller("commit")
    caller.close()
    thread = caller.call(10, "a thread", current_thread)
    assert thread.daemon  # so that one that hangs does not keep the process from ending
    caller.close()
    caller.close()
    thread.join(10)
    assert not thread.is_alive()


def test_gives_up_a_call_that_hangs() -> None:
    """The hanging call is left behind, and the next one is served by a new thread."""
    released = Event()
    caller = BoundedCaller("commit")

    with pytest.raises(BrokerError, match=r"^a commit timed out: .* within 0 s$"):
        caller.call(0.01, "a commit", released.wait)

    assert caller.call(10, "a number", lambda: 7) == 7
    released.set()
    caller.close()


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    """Its thread is a daemon's; and after a shutdown there are no more calls."""
    executor = DaemonExecutor("kafka")
    thread = executor.submit(current_thread).result(10)
    assert thread.daemon
    executor.shutdown()
    executor.shutdown()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="cannot schedule"):
        executor.submit(current_thread)
