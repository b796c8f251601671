"""Ctrl-C while an application is made waits until it is made: for a fraction of a millisecond.

River's generator evaluates text (`eval`). CPython remembers a KeyboardInterrupt that leaves text
under evaluation, and ends the process by SIGINT in the end, even where the interrupt was handled
and the exit code is another.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")


def shielded(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield items, none of whose making is cut in two by Ctrl-C. For the main thread only."""
    iterator = iter(items)
    while True:
        with _interrupts_held():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextmanager
def _interrupts_held() -> Iterator[None]:
    held: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if held and callable(handler):
        handler(signal.SIGINT, None)
