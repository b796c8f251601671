"""The client that blocks until it has an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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


class Client:
    """A pipeline that `millrace serve` serves.

    Whatever gets no answer is asked again until the timeout: events, labels and commands have ids,
    so that each counts once. What cannot be used raises a `RefusedError`, and what has no answer in
    time an `UnavailableError`; both are `ClientError`, and have the server's document. Threads may
    share a client.

    Parameters
    ----------
    url
        Of the server.
    token
        Of `millrace token`; none where the server asks for none.
    timeout
        Seconds until there has to be an answer, where a call does not say otherwise.
    transport
        What httpx sends requests with, if not connections of its own: in tests, for example.
    verify
        Whether a server's certificate is checked, or the `ssl.SSLContext` that does.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        verify: Any = True,
    ) -> None:
        self._http = httpx.Client(**options(url, token), transport=transport, verify=verify)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    @overload
    def send(self, events: Event, *, timeout: float | None = None) -> Document: ...
    @overload
    def send(
        self, events: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]: ...
    def send(
        self, events: Event | Sequence[Event], *, timeout: float | None = None
    ) -> Document | list[Document | ClientError]:
        """Send an event, or several, and do not wait for predictions.

        Returns
        -------
        dict or list
            Where the event is, or its prediction if that is known already. Of several: this of
            each, or the error of one that cannot be used.

        Raises
        ------
        ClientError
            The event cannot be used, or there was no answer in time.
        """
        return self._deliver(events, {}, timeout)

    @overload
    def predict(self, events: Event, *, timeout: float | None = None) -> Document: ...
    @overload
    def predict(
        self, events: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]: ...
    def predict(
        self, events: Event | Sequence[Event], *, timeout: float | None = None
    ) -> Document | list[Document | ClientError]:
        """Send an event, or several, and return the prediction of each.

        Returns
        -------
        dict or list
            The prediction as it was logged; of several: this of each, or the error of one that has
            none.

        Raises
        ------
        ClientError
            The event cannot be used, or has no prediction in time.
        """
        return self._deliver(events, WAIT, timeout)

    def label(
        self,
        event_id: str,
        label: bool | float | str,
        *,
        time_ms: int | str | None = None,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Document:
        """Send the label of an event.

        Parameters
        ----------
        time_ms
            When it became known: milliseconds since the Unix epoch, or text in ISO 8601.
        key
            The event's, where models are kept by key or by partition.

        Raises
        ------
        ClientError
            It cannot be used, or there was no answer in time.
        """
        steps = requests.label(event_id, label, time_ms, key, self._patience(timeout))
        return self._take(steps)

    def labels(
        self, labels: Sequence[Event], *, timeout: float | None = None
    ) -> list[Document | ClientError]:
        """Send several labels, with `event_id`, `label` and perhaps `label_time_ms` and `key`.

        Returns
        -------
        list
            Where each is, or the error of one that cannot be used.
        """
        values = requests.values_of(labels)
        return self._take(deliver("/v1/labels", values, {}, self._patience(timeout)))

    def prediction(self, event_id: str, *, timeout: float | None = None) -> Document:
        """Return the prediction of an event, with what became of it.

        Raises
        ------
        UnknownPredictionError
            It is not among the newest, which the server knows.
        ClientError
            There was no answer in time.
        """
        return self._take(requests.prediction(event_id, self._patience(timeout)))

    def command(
        self,
        command: str,
        arguments: Mapping[str, str] | None = None,
        *,
        why: str = "",
        command_id: str | None = None,
        timeout: float | None = None,
    ) -> Document:
        """Ask something of the pipeline; `audit(command_id=...)` says what came of it.

        Parameters
        ----------
        why
            The reason; the audit has it.
        command_id
            Of several commands with one id, one counts; by default it is a new one.

        Returns
        -------
        dict
            The command's `id`, and where it is.

        Raises
        ------
        ClientError
            Its form is wrong, or the token may not give it, or there was no answer in time.
        """
        waits = self._patience(timeout)
        return self._take(requests.command(command, arguments or {}, why, command_id, waits))

    def models(self) -> Document:
        """Return every candidate, how it does, and the newest metrics."""
        return self._take(requests.get("/v1/models", {}, self._patience()))

    def definitions(self) -> Document:
        """Return which definition is in force, and those that came into force."""
        return self._take(requests.get("/v1/definitions", {}, self._patience()))

    def evaluations(self, limit: int = 100) -> list[Document]:
        """Return the newest blocks of events, by which candidates are compared."""
        return self._records("evaluations", limit=limit)

    def alerts(self, limit: int = 100) -> list[Document]:
        """Return the newest alerts."""
        return self._records("alerts", limit=limit)

    def rejects(self, limit: int = 100) -> list[Document]:
        """Return the newest records that could not be used, and why."""
        return self._records("rejects", limit=limit)

    def audit(self, limit: int = 100, *, command_id: str | None = None) -> list[Document]:
        """Return who has changed what: the newest entries, or those of a command."""
        return self._records("audit", limit=limit, command_id=command_id)

    def follow(self, *topics: str, timeout: float = float("inf")) -> Iterator[Followed | Gap]:
        """Yield what workers write from now on, and where some of it may be missing.

        A connection that ends is made again, and a `Gap` says so.

        Parameters
        ----------
        topics
            `predictions`, `outcomes`, `alerts`, `evaluations`, `rejects`, `audit`; all without any.
        timeout
            Seconds without a connection after which to give up.

        Raises
        ------
        ClientError
            The token may not see it, or there was no connection for too long.
        """
        following, params = Following(patience(timeout)), requests.streamed(topics)
        while True:
            try:
                with self._http.stream(
                    "GET", "/v1/stream", params=params, timeout=SILENT
                ) as answer:
                    if answer.status_code != 200:
                        reply = replied(answer, answer.read())
                    else:
                        reply = Reply(200, b"the server has ended the stream")
                        if (gap := following.opened()) is not None:
                            yield gap
                        for part in answer.iter_text():
                            yield from following.text(part)
            except httpx.TransportError as error:
                reply = no_reply(error)
            time.sleep(following.ended(reply))

    def _deliver(
        self, events: Event | Sequence[Event], params: Mapping[str, str], timeout: float | None
    ) -> Document | list[Document | ClientError]:
        path, values = "/v1/events", requests.values_of(events)
        if isinstance(events, Mapping):
            return self._take(requests.one(path, values[0], params, self._patience(timeout)))
        return self._take(deliver(path, values, params, self._patience(timeout)))

    def _records(self, topic: str, **params: object) -> list[Document]:
        return self._take(requests.records(topic, params, self._patience()))

    def _patience(self, timeout: float | None = None) -> Patience:
        return patience(self._timeout if timeout is None else timeout)

    def _take(self, steps: Steps[T]) -> T:
        """Take steps until they return."""
        reply: Reply | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                found: T = done.value
                return found
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                reply = None
            else:
                reply = self._request(step)

    def _request(self, call: Call) -> Reply:
        try:
            answer = self._http.request(**arguments(call))
        except httpx.TransportError as error:
            return no_reply(error)
        return replied(answer, answer.content)
