"""The client that is for `asyncio`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeVar, overload

from millrace.streams.client import requests
from millrace.streams.client.connection import (
    SILENT,
    arguments,
    no_reply,
    options,
    patience,
    replied,
)
from millrace.streams.client.errors import ClientError
from millrace.streams.client.events import Followed, Following, Gap
from millrace.streams.client.needed import httpx
from millrace.streams.client.requests import WAIT, Event
from millrace.streams.client.steps import Call, Document, Patience, Pause, Reply, Steps, deliver

T = TypeVar("T")


class AsyncClient:
    """A pipeline that `millrace serve` serves, for `asyncio`.

    It has the parameters and the methods of `Client`, which are coroutines here: `await
    client.predict(...)`. `follow` is iterated over with `async for`, and `aclose` ends it.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: Any = True,
    ) -> None:
        self._http = httpx.AsyncClient(**options(url, token), transport=transport, verify=verify)
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the connections."""
        await self._http.aclose()

    @overload
    async def send(self, events: Event, *, timeout: float | None = None) -> Document: ...
    @overload
    async def send(
        self, events: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]: ...
    async def send(
        self, events: Event | Sequence[Event], *, timeout: float | None = None
    ) -> Document | list[Document | ClientError]:
        """Send an event, or several, and do not wait for predictions."""
        return await self._deliver(events, {}, timeout)

    @overload
    async def predict(self, events: Event, *, timeout: float | None = None) -> Document: ...
    @overload
    async def predict(
        self, events: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]: ...
    async def predict(
        self, events: Event | Sequence[Event], *, timeout: float | None = None
    ) -> Document | list[Document | ClientError]:
        """Send an event, or several, and return the prediction of each."""
        return await self._deliver(events, WAIT, timeout)

    async def label(
        self,
        event_id: str,
        label: bool | float | str,
        *,
        time_ms: int | str | None = None,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Document:
        """Send the label of an event."""
        steps = requests.label(event_id, label, time_ms, key, self._patience(timeout))
        return await self._take(steps)

    async def labels(
        self, labels: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]:
        """Send several labels, with `event_id`, `label` and perhaps `label_time_ms` and `key`."""
        values = requests.values_of(labels)
        return await self._take(deliver("/v1/labels", values, {}, self._patience(timeout)))

    async def prediction(self, event_id: str, *, timeout: float | None = None) -> Document:
        """Return the prediction of an event, with what became of it."""
        return await self._take(requests.prediction(event_id, self._patience(timeout)))

    async def command(
        self,
        command: str,
        arguments: Mapping[str, str] | None = None,
        *,
        why: str = "",
        command_id: str | None = None,
        timeout: float | None = None,
    ) -> Document:
        """Ask something of the pipeline; `audit(command_id=...)` says what came of it."""
        waits = self._patience(timeout)
        return await self._take(requests.command(command, arguments or {}, why, command_id, waits))

    async def models(self) -> Document:
        """Return every candidate, how it does, and the newest metrics."""
        return await self._take(requests.get("/v1/models", {}, self._patience()))

    async def definitions(self) -> Document:
        """Return which definition is in force, and those that came into force."""
        return await self._take(requests.get("/v1/definitions", {}, self._patience()))

    async def evaluations(self, limit: int = 100) -> list[Document]:
        """Return the newest blocks of events, by which candidates are compared."""
        return await self._records("evaluations", limit=limit)

    async def alerts(self, limit: int = 100) -> list[Document]:
        """Return the newest alerts."""
        return await self._records("alerts", limit=limit)

    async def rejects(self, limit: int = 100) -> list[Document]:
        """Return the newest records that could not be used, and why."""
        return await self._records("rejects", limit=limit)

    async def audit(self, limit: int = 100, *, command_id: str | None = None) -> list[Document]:
        """Return who has changed what: the newest entries, or those of a command."""
        return await self._records("audit", limit=limit, command_id=command_id)

    async def follow(
        self, *topics: str, timeout: float = float("inf")
    ) -> AsyncIterator[Followed | Gap]:
        """Yield what workers write from now on, and where some of it may be missing."""
        following, params = Following(patience(timeout)), requests.streamed(topics)
        while True:
            try:
                async with self._http.stream(
                    "GET", "/v1/stream", params=params, timeout=SILENT
                ) as answer:
                    if answer.status_code != 200:
                        reply = replied(answer, await answer.aread())
                    else:
                        reply = Reply(200, b"the server has ended the stream")
                        if (gap := following.opened()) is not None:
                            yield gap
                        async for part in answer.aiter_text():
                            for found in following.text(part):
                                yield found
            except httpx.TransportError as error:
                reply = no_reply(error)
            await asyncio.sleep(following.ended(reply))

    async def _deliver(
        self, events: Event | Sequence[Event], params: Mapping[str, str], timeout: float | None
    ) -> Document | list[Document | ClientError]:
        path, values = "/v1/events", requests.values_of(events)
        if isinstance(events, Mapping):
            return await self._take(requests.one(path, values[0], params, self._patience(timeout)))
        return await self._take(deliver(path, values, params, self._patience(timeout)))

    async def _records(self, topic: str, **params: object) -> list[Document]:
        return await self._take(requests.records(topic, params, self._patience()))

    def _patience(self, timeout: float | None = None) -> Patience:
        return patience(self._timeout if timeout is None else timeout)

    async def _take(self, steps: Steps[T]) -> T:
        """Take steps until they return."""
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                found: T = done.value
                return found
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                reply = None
            else:
                reply = await self._request(step)

    async def _request(self, call: Call) -> Reply:
        try:
            answer = await self._http.request(**arguments(call))
        except httpx.TransportError as error:
            return no_reply(error)
        return replied(answer, answer.content)
