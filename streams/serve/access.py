"""Who asks, how often and from where: what is checked before a request is looked into."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from millrace.streams.serve.problems import ProblemError, unavailable
from millrace.streams.serve.tokens import Caller, Right, Role, Tokens

ANYBODY = Caller("anybody", Role.ADMIN)
"""Who asks where there are no tokens."""

MOST_ITEMS = 1_000
"""Events or labels that may be sent at once."""

_MOST_CLIENTS = 10_000
_MOST_HELD_BYTES = 256 * 1024 * 1024
_WITHOUT_TOKEN = {"WWW-Authenticate": 'Bearer realm="millrace"'}


@dataclass
class _Budget:
    """What a client may do: so much a second, and as much at once.

    Attributes
    ----------
    left
        How much is left.
    at
        When that was so.
    """

    left: float
    at: float


class Held:
    """The bytes of all bodies whose requests are not answered yet: they have a limit together."""

    def __init__(self) -> None:
        self.size = 0

    @contextmanager
    def body(self) -> Iterator[bytearray]:
        """Give a body, which may grow by `add`, until the end of the block."""
        body = bytearray()
        try:
            yield body
        finally:
            self.size -= len(body)

    def add(self, body: bytearray, part: bytes) -> None:
        """Let a body grow.

        Raises
        ------
        ProblemError
            All are too large together.
        """
        if self.size + len(part) > _MOST_HELD_BYTES:
            detail = f"requests that wait have {_MOST_HELD_BYTES:,} bytes already"
            raise unavailable("too_much", detail, "Send it again in a moment.")
        body += part
        self.size += len(part)


@dataclass
class Access:
    """Checks requests.

    Parameters
    ----------
    tokens
        Who there is; None where anybody may do anything.
    names
        By what names this may be asked where there are no tokens, so that no page of the web that a
        browser shows can; None for any.
    rate
        Requests, events and labels of one client in a second; 0 for any number.
    clock
        Seconds, monotonic.

    Attributes
    ----------
    held
        The bodies of requests.
    """

    tokens: Tokens | None = None
    names: frozenset[str] | None = None
    rate: float = 0
    clock: Callable[[], float] = time.monotonic
    held: Held = field(default_factory=Held)
    _budgets: OrderedDict[str, _Budget] = field(default_factory=OrderedDict)

    def caller(self, request: Request, right: Right | None) -> Caller:
        """Return who asks, where they have a right; None for anyone who is known.

        Raises
        ------
        ProblemError
            They do not, or ask too often.
        """
        self._check_name(request)
        found = self._known(request)
        if right is not None and not found.may(right):
            raise forbidden(found, right)
        self.spend(found, request, 1)
        return found

    def still_may(self, request: Request, right: Right) -> bool:
        """Whether who has asked for something that goes on may still see it."""
        try:
            return self._known(request).may(right)
        except ProblemError:
            return False

    def spend(self, caller: Caller, request: Request, cost: int) -> None:
        """Count what a client does.

        Raises
        ------
        ProblemError
            It is too much.
        """
        if not self.rate or cost <= 0:
            return
        host = request.client.host if request.client else ""
        client = caller.name if self.tokens else host
        most, now = max(self.rate, MOST_ITEMS + 1), self.clock()
        budget = self._budgets.pop(client, None) or _Budget(most, now)
        budget.left = min(most, budget.left + (now - budget.at) * self.rate)
        budget.at = now
        self._budgets[client] = budget
        if len(self._budgets) > _MOST_CLIENTS:
            self._budgets.popitem(last=False)
        if budget.left < cost:
            seconds = str(int((cost - budget.left) / self.rate) + 1)
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_requests",
                f"a client may send {self.rate:g} requests, events and labels in a second",
                fix=f"Wait {seconds} s.",
                headers={"Retry-After": seconds},
            )
        budget.left -= cost

    def _known(self, request: Request) -> Caller:
        if self.tokens is None:
            return ANYBODY
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = self.tokens.caller(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "unknown_token",
                "the request has no token that is known",
                fix="Send the header Authorization: Bearer, with a token of `millrace token`.",
                headers=_WITHOUT_TOKEN,
            )
        return found

    def _check_name(self, request: Request) -> None:
        """Refuse a name of this machine that is not its own. Source: DNS rebinding."""
        if self.names is None:
            return
        try:
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:  # a bracket that does not close
            name = None
        if name not in self.names:
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "wrong_host",
                f"without tokens, this answers to {', '.join(sorted(self.names))} alone",
                fix="Ask by one of these names, or start `millrace serve` with --tokens.",
            )


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine alone.

    Examples
    --------
    >>> [is_loopback(each) for each in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "kafka-1")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def forbidden(caller: Caller, right: Right) -> ProblemError:
    """Return the problem that a role lacks a right."""
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        "forbidden",
        f"the role {caller.role} of {caller.name} may not do this ({right.name.lower()})",
        fix="Use a token of another role.",
    )
