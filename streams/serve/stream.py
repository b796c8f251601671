"""Passes on what workers write, to each who listens. Source: server-sent events, in WHATWG's HTML.

Who is too slow loses records, and is told how many: nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

from millrace.streams.formats.json import to_json
from millrace.streams.serve.knowledge import Seen

MOST_LISTENERS = 100
"""Who may listen at a time."""

_MOST_QUEUED = 1_000
_ALIVE_SECONDS = 15.0


class _Listener:
    def __init__(self, topics: Collection[str]) -> None:
        self.topics = topics
        self.queue: asyncio.Queue[Seen | None] = asyncio.Queue(_MOST_QUEUED)
        self.lost = 0

    def put(self, seen: Seen | None) -> None:
        """Queue a record, or the end, in place of the oldest where the queue is full."""
        if self.queue.full():
            self.queue.get_nowait()
            self.lost += 1
        self.queue.put_nowait(seen)


class Hub:
    """Everybody who listens."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def is_closed(self) -> bool:
        """Whether all streams are to end."""
        return self._is_closed

    def publish(self, seen: Seen) -> None:
        """Pass on a record."""
        for each in self._listeners:
            if seen.topic in each.topics:
                each.put(seen)

    def close(self) -> None:
        """End all streams."""
        self._is_closed = True
        for each in self._listeners:
            each.put(None)

    async def listen(
        self, topics: Collection[str], is_allowed: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[str]:
        """Yield the records of some topics as they come, as events; a comment where none come.

        It ends when `is_allowed` says so: a token may be revoked.
        """
        listener = _Listener(topics)
        self._listeners.add(listener)
        try:
            yield ": listening\n\n"
            while not self._is_closed and is_allowed():
                try:
                    seen = await asyncio.wait_for(listener.queue.get(), _ALIVE_SECONDS)
                except TimeoutError:
                    yield ": nothing new\n\n"
                    continue
                if not is_allowed():
                    return
                if listener.lost:
                    yield f'event: lost\ndata: {{"records": {listener.lost}}}\n\n'
                    listener.lost = 0
                if seen is not None:
                    yield _event(seen)
        finally:
            self._listeners.discard(listener)


def _event(seen: Seen) -> str:
    """Return a record as an event: its topic, its place, and what it says."""
    place = f"{seen.topic}-{seen.partition}-{seen.offset}"
    return f"event: {seen.topic}\nid: {place}\ndata: {to_json(seen.record)}\n\n"
