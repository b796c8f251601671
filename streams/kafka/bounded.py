"""Calls of librdkafka that may never return, made with a time limit.

`send_offsets_to_transaction` looks its group's coordinator up in a cache. Where that broker has
left the cluster's metadata for a moment, as it does in a restart, librdkafka (2.16) waits for
the forgotten connection forever, whatever timeout it was given. So such a call runs in a thread
of its own, which is left behind with its client when it does not return. What it might still
write is fenced by the next producer with its transactional id (KIP-98).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from millrace.schemas import BrokerError
from millrace.streams.kafka.errors import timed_out

T = TypeVar("T")


class BoundedCaller:
    """Makes calls one after another, and gives up one that takes too long.

    Parameters
    ----------
    name
        Of the thread.

    Examples
    --------
    >>> BoundedCaller("doctest").call(10, "adding", lambda: 1 + 1)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] | None = None

    def call(self, seconds: float, what: str, function: Callable[[], T]) -> T:
        """Return what `function` returns, or raise what it raises.

        Raises
        ------
        BrokerError
            It did neither within `seconds`.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            # A daemon: one that is left behind must not keep the process from ending.
            Thread(target=_run, args=(self._calls,), name=self._name, daemon=True).start()
        outcome: Future[T] = Future()

        def call() -> None:
            try:
                outcome.set_result(function())
            except BaseException as error:  # raised again by outcome.result
                outcome.set_exception(error)

        self._calls.put(call)
        try:
            return outcome.result(seconds)
        except TimeoutError:
            if outcome.done():  # `function` has raised it
                raise
            self.close()
            raise BrokerError(
                f"{what} timed out: the coordinator did not answer within {seconds:.0f} s"
            ) from timed_out()

    def close(self) -> None:
        """Let the thread end, once its call has returned."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _run(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # and with it the client, which must not outlive its use
