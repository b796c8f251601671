"""What a client does until it has an answer, without any I/O.

A generator yields a `Call`, and is sent its `Reply`; or it yields a `Pause`. It returns what was
asked for, or raises a `ClientError`. Whatever may have been lost on the way is sent again with the
same id, so that it counts once, until the deadline.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from millrace.streams.client.errors import (
    ClientError,
    DuplicateError,
    ForbiddenError,
    UnavailableError,
    error_of,
)

Document = dict[str, Any]
"""What the server answers with, as JSON has it."""

MOST_ITEMS = 1_000
"""Events or labels that are sent at once."""

_MOST_BYTES = 4 * 1024 * 1024
_MOST_WAIT_SECONDS = 10.0  # of one request; it is sent again until the deadline
_ANSWER_SECONDS = 15.0  # how long an answer may take that needs no wait
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0

T = TypeVar("T")


class Call(NamedTuple):
    """A request.

    Attributes
    ----------
    method, path, params
        Of HTTP.
    body
        JSON; None where there is none.
    seconds
        How long the answer may take.
    """

    method: str
    path: str
    params: Mapping[str, str]
    body: bytes | None
    seconds: float


class Reply(NamedTuple):
    """What came of a request.

    Attributes
    ----------
    status
        Of HTTP; 0 where there was no answer.
    body
        Of the answer; or in words why there is none.
    retry_after
        Seconds, as the header has it.
    """

    status: int
    body: bytes
    retry_after: float = 0.0

    @property
    def document(self) -> Document:
        """What the body says; a problem in words where it is no document."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        said = self.body[:200].decode(errors="replace")
        return {"detail": f"status {self.status}: {said}" if self.status else said}


class Pause(NamedTuple):
    """How long to wait."""

    seconds: float


Steps = Generator[Call | Pause, Reply | None, T]


@dataclass
class Patience:
    """How long to ask again, and how long to wait in between.

    Parameters
    ----------
    seconds
        Until when there has to be an answer.
    clock
        Seconds, monotonic.
    """

    seconds: float
    clock: Callable[[], float]
    _pause: float = field(init=False)
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew: something has come."""
        self._until, self._pause = self.clock() + self.seconds, _FIRST_PAUSE_SECONDS

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._until - self.clock()

    def pause(self, retry_after: float = 0.0) -> Pause | None:
        """Return how long to wait before asking again; None where there is no time for it."""
        seconds = max(retry_after, self._pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return Pause(seconds) if seconds < self.left else None

    def call(self, method: str, path: str, params: Mapping[str, str], body: bytes | None) -> Call:
        """Return a request that ends at the deadline; `wait` in it says how long it may take."""
        left = max(self.left, 0.1)
        if "wait" not in params:
            return Call(method, path, params, body, min(left, _ANSWER_SECONDS))
        wait = min(left, _MOST_WAIT_SECONDS)
        return Call(method, path, {**params, "timeout": f"{wait:.3f}"}, body, wait + 5)


def ask(call: Callable[[], Call], patience: Patience) -> Steps[Document]:
    """Ask until there is an answer."""
    while True:
        reply = yield from _replied(call())
        if reply.status in range(200, 300):
            return reply.document
        error = error_of(reply.status, reply.document)
        if not isinstance(error, UnavailableError):
            raise error
        pause = patience.pause(reply.retry_after)
        if pause is None:
            raise error
        yield pause


def deliver(
    path: str, values: Sequence[bytes], params: Mapping[str, str], patience: Patience
) -> Steps[list[Document | ClientError]]:
    """Send events or labels until each has an answer; return it, or why there is none.

    An event that has been sent once already, and whose answer was lost, may be a duplicate of
    itself: then its prediction is to come.

    Raises
    ------
    ForbiddenError
        None of them may be sent.
    """
    found: dict[int, Document | ClientError] = {}
    todo, again = [*range(len(values))], set[int]()
    while todo:
        retry_after = 0.0
        for places in _parts(todo, values):
            replies = yield from _post(path, [values[each] for each in places], params, patience)
            for place, reply in zip(places, replies, strict=True):
                found[place] = _found(reply)
                retry_after = max(retry_after, reply.retry_after)
        later = [each for each in todo if _is_later(found[each], each in again)]
        again.update(later)
        pause = patience.pause(retry_after) if later else None
        if pause is None:
            break
        yield pause
        todo = later
    return [found[each] for each in range(len(values))]


def _post(
    path: str, values: Sequence[bytes], params: Mapping[str, str], patience: Patience
) -> Steps[list[Reply]]:
    """Send some values, in parts where they are refused together."""
    body = values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]"
    reply = yield from _replied(patience.call("POST", path, params, body))
    if len(values) == 1:
        return [reply]
    if reply.status == 200:
        items = reply.document.get("items", [])
        return [Reply(each["status"], json.dumps(each["body"]).encode()) for each in items]
    if reply.status not in (400, 413):  # one of them is no JSON, or all are too large together
        return [reply] * len(values)
    half = len(values) // 2
    first = yield from _post(path, values[:half], params, patience)
    return first + (yield from _post(path, values[half:], params, patience))


def _replied(call: Call) -> Generator[Call | Pause, Reply | None, Reply]:
    reply = yield call
    assert reply is not None, "a call has a reply"
    return reply


def _found(reply: Reply) -> Document | ClientError:
    """Return what was answered; who may send nothing need not try the others."""
    if reply.status in range(200, 300):
        return reply.document
    error = error_of(reply.status, reply.document)
    if isinstance(error, ForbiddenError):
        raise error
    return error


def _is_later(found: Document | ClientError, is_again: bool) -> bool:
    """Whether the same may succeed later."""
    return isinstance(found, UnavailableError) or (isinstance(found, DuplicateError) and is_again)


def _parts(places: Sequence[int], values: Sequence[bytes]) -> Iterator[list[int]]:
    """Yield the places of values that are sent together."""
    part, size = list[int](), 0
    for each in places:
        if part and (len(part) == MOST_ITEMS or size + len(values[each]) > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(values[each])
    if part:
        yield part
