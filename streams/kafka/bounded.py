"""Calls of librdkafka that may never return.

`send_offsets_to_transaction` looks its group's coordinator up in a cache. Where that broker has
left the cluster's metadata for a moment, as it does in a restart, librdkafka (2.16) waits for
the forgotten connection for ever, whatever timeout it was given. So such a call runs in a thread
of its own, which is left behind with its client when it does not come back. What it might still
write is fenced by whoever begins anew under its transactional id (KIP-98).
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from millrace.schemas import BrokerError


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
        self._calls: SimpleQueue[_Call | None] | None = None

    def call(self, seconds: float, what: str, function: Callable[[], Any]) -> Any:
        """Return what `function` returns, or raise what it raises.

        Raises
        ------
        BrokerError
            It did neither within `seconds`.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            # A daemon: one that is left behind must not keep the process from ending.
            Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True).start()
        call = _Call(function)
        self._calls.put(call)
        try:
            error, result = call.outcome.get(timeout=seconds)
        except Empty:
            self.close()
            raise BrokerError(
                f"{what} requires a coordinator that answers within {seconds:.0f} s; got nothing"
            ) from None
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """Let the thread end, once it has come back."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


class _Call:
    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.outcome: SimpleQueue[tuple[BaseException | None, Any]] = SimpleQueue()


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        try:
            call.outcome.put((None, call.function()))
        except BaseException as error:  # raised again where it was called from
            call.outcome.put((error, None))
        del call  # and with it the client, which must not outlive its use
