"""Calls of librdkafka that may never return, made with a time limit.

`send_offsets_to_transaction` looks its group's coordinator up in a cache. Where that broker has
left the cluster's metadata for a moment, as it does in a restart, librdkafka (2.16) waits for
the forgotten connection forever, whatever timeout it was given. So such a call runs in a thread
of its own, which is left behind with its client when it does not return. What it might still
write is fenced by the next producer with its transactional id (KIP-98).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Thread
from typing import ParamSpec, TypeVar

from millrace.schemas import BrokerError
from millrace.streams.kafka.errors import timed_out

T = TypeVar("T")
P = ParamSpec("P")


class DaemonExecutor(Executor):
    """Makes calls one after another, in a thread that does not keep the process from ending.

    Parameters
    ----------
    name
        Of the thread, which is started with the first call.

    Examples
    --------
    >>> executor = DaemonExecutor("doctest")
    >>> executor.submit(divmod, 7, 2).result(10)
    (3, 1)
    >>> executor.shutdown()
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] | None = None
        self._is_shut_down = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Make a call when those before it have returned."""
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_run, args=(self._calls,), name=self._name, daemon=True).start()
        outcome: Future[T] = Future()

        def call() -> None:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                outcome.set_result(fn(*args, **kwargs))
            except BaseException as error:  # raised again by outcome.result
                outcome.set_exception(error)

        self._calls.put(call)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the interface
        """Let the thread end once its calls have returned; nobody waits for it."""
        if self._calls is not None and not self._is_shut_down:
            self._calls.put(None)
        self._is_shut_down = True


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
        self._executor = DaemonExecutor(name)

    def call(self, seconds: float, what: str, function: Callable[[], T]) -> T:
        """Return what `function` returns, or raise what it raises.

        Raises
        ------
        BrokerError
            It did neither within `seconds`.
        """
        outcome = self._executor.submit(function)
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
        """Let the thread end, once its call has returned; the next call gets another one."""
        self._executor.shutdown()
        self._executor = DaemonExecutor(self._name)


def _run(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # and with it the client, which must not outlive its use
