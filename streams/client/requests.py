"""What can be asked of `millrace serve`: one function for each, the same for both clients."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from millrace.streams.client.errors import ClientError
from millrace.streams.client.steps import Document, Patience, Steps, ask, deliver

Event = Mapping[str, Any]
"""An event, or a label, as JSON has it."""

WAIT = {"wait": "prediction"}


def values_of(events: Event | Sequence[Event]) -> list[bytes]:
    """Return one event, or several, as JSON.

    Raises
    ------
    TypeError
        One is no dictionary.

    Examples
    --------
    >>> values_of([{"size": 1.5}])
    [b'{"size": 1.5}']
    >>> values_of("size")
    Traceback (most recent call last):
    TypeError: an event, or a label, must be a dictionary; got str 's'. Of a DataFrame, send
    frame.to_dict("records")
    """
    several = [events] if isinstance(events, Mapping) else [*events]
    for each in several:
        if not isinstance(each, Mapping):
            raise TypeError(
                f"an event, or a label, must be a dictionary; got {type(each).__name__} {each!r}."
                ' Of a DataFrame, send frame.to_dict("records")'
            )
    return [to_json(each) for each in several]


def to_json(value: object) -> bytes:
    """Return a value as JSON: times in ISO 8601, numbers of numpy as numbers.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> to_json({"at": datetime(2026, 1, 2, tzinfo=UTC)})
    b'{"at": "2026-01-02T00:00:00+00:00"}'
    """
    return json.dumps(value, default=_plain).encode()


def one(path: str, value: bytes, params: Mapping[str, str], patience: Patience) -> Steps[Document]:
    """Send one event or label.

    Raises
    ------
    ClientError
        It cannot be used, or there was no answer in time.
    """
    (found,) = yield from deliver(path, [value], params, patience)
    if isinstance(found, ClientError):
        raise found
    return found


def get(path: str, params: Mapping[str, object], patience: Patience) -> Steps[Document]:
    """Ask for what is known."""
    given = {name: str(value) for name, value in params.items() if value is not None}
    return ask(lambda: patience.call("GET", path, given, None), patience)


def prediction(event_id: str, patience: Patience) -> Steps[Document]:
    """Ask for a prediction by the id of its event.

    Raises
    ------
    TypeError
        The id is no text.
    """
    if not isinstance(event_id, str):
        raise TypeError(f"event_id must be text; got {type(event_id).__name__} {event_id!r}")
    quoted = quote(event_id, safe="")
    if not event_id.strip("."):  # else httpx takes it for a way up
        quoted = quoted.replace(".", "%2E")
    return get(f"/v1/predictions/{quoted}", {}, patience)


def records(topic: str, params: Mapping[str, object], patience: Patience) -> Steps[list[Document]]:
    """Ask for the newest records of a topic."""
    found: list[Document] = (yield from get(f"/v1/{topic}", params, patience))["records"]
    return found


def streamed(topics: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a stream."""
    return {"topics": ",".join(topics)} if topics else {}


def label(
    event_id: str, label: object, time: object, key: str | None, patience: Patience
) -> Steps[Document]:
    """Send a label."""
    said = {"event_id": event_id, "label": label, "label_time_ms": time, "key": key}
    known = {name: value for name, value in said.items() if value is not None}
    return one("/v1/labels", to_json(known), {}, patience)


def command(
    name: str, arguments: Mapping[str, str], why: str, command_id: str | None, patience: Patience
) -> Steps[Document]:
    """Ask something of the pipeline: with an id, so that it counts once."""
    body = {
        "command": name,
        "arguments": {argument: str(value) for argument, value in arguments.items()},
        "why": why,
        "id": command_id or str(uuid.uuid4()),
    }
    value = to_json(body)
    return ask(lambda: patience.call("POST", "/v1/commands", {}, value), patience)


def _plain(value: Any) -> object:
    """Return what stands for a value in JSON, which has no such type."""
    if isinstance(value, date):
        return value.isoformat()
    item: Callable[[], object] | None = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"JSON has no {type(value).__name__}; got {value!r}")
    return item()
