"""Asking a schema registry over HTTP.

What may go wrong is told apart by its type. The registry does not have what was asked for:
`NotFoundError`. It does not take what it was sent: `RefusedError`. It does not answer, is not one,
or refuses the worker: a `RegistryError` that names the setting. No message holds a password, nor
does any address.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPSHandler, Request, build_opener

import structlog

from millrace.schemas import RegistryError
from millrace.schemas.codec.parsing import MAX_SCHEMA_BYTES
from millrace.schemas.codec.types import MAX_DEPTH
from millrace.streams.environment import REGISTRY_URL
from millrace.streams.registry_settings import CA, PASSWORD, TOKEN, USER, RegistrySettings
from millrace.streams.sources.confluent import RegisteredSchema

_TIMEOUT_SECONDS = 5.0
_DEADLINE_SECONDS = 15.0  # of an answer that comes in drips
_MAX_ANSWER_BYTES = 4 * MAX_SCHEMA_BYTES  # in JSON, a schema's quotation marks take two bytes
_MAX_REFERENCES = 100
_TYPE = "application/vnd.schemaregistry.v1+json"
_ACCEPT = f"{_TYPE}, application/json"
_LONGEST_REASON = 500
_TOO_LARGE = f"it has more than {MAX_SCHEMA_BYTES} bytes, with those that it refers to"
_TRANSIENT = frozenset({408, 425, 429})
_REFUSED = frozenset({400, 405, 409, 413, 422})

_log = structlog.get_logger(__name__)


class NotFoundError(Exception):
    """The registry does not have what it was asked for."""


class RefusedError(NotFoundError):
    """The registry does not take what it was sent; the message is its own."""


class UnusableError(Exception):
    """A schema cannot be used, and never will be."""


class RegistryClient:
    """Asks a schema registry.

    Parameters
    ----------
    settings
        Where it is, and who asks.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self._urls = settings.urls
        self._authorization = settings.authorization
        self._opener = build_opener(HTTPSHandler(context=settings.tls()))

    def registered(self, schema_id: int) -> RegisteredSchema:
        """Return the schema with an id, and what it refers to.

        Raises
        ------
        NotFoundError
            There is none.
        RegistryError
            The registry does not answer, or refuses to.
        """
        try:
            answer = self._get(f"/schemas/ids/{schema_id}")
            kind = str(answer.get("schemaType") or "AVRO").upper()
            references = self._references(answer, {}) if kind == "AVRO" else ()
            found = RegisteredSchema(kind, _text(answer), tuple(references))
        except UnusableError as error:
            return RegisteredSchema("", "", problem=str(error))
        if found.size_bytes > MAX_SCHEMA_BYTES:
            return RegisteredSchema(kind, "", problem=_TOO_LARGE)
        return found

    def find(self, subject: str, schema: str) -> int | None:
        """Return the id under which a subject has this very schema; None if it has not.

        Raises
        ------
        RegistryError
            The registry does not answer, or refuses to.
        """
        try:
            return _id(self._get(f"/subjects/{quote(subject, safe='')}", {"schema": schema}))
        except NotFoundError:
            return None

    def misfit(self, subject: str, schema: str) -> str:
        """Return why a subject would not take a schema beside its newest one; empty if it would.

        Raises
        ------
        RegistryError
            The registry does not answer, or refuses to.
        """
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        try:
            answer = self._get(path, {"schema": schema})
        except RefusedError as error:
            return str(error)
        except NotFoundError:  # it has none yet
            return ""
        if answer.get("is_compatible"):
            return ""
        return _shortened(answer.get("messages") or answer.get("reason") or "it is not compatible")

    def register(self, subject: str, schema: str) -> int:
        """Register a schema under a subject; return its id.

        Raises
        ------
        RefusedError
            The subject does not take it.
        RegistryError
            The registry does not answer, or refuses to.
        """
        path = f"/subjects/{quote(subject, safe='')}/versions"
        try:
            return _id(self._get(path, {"schema": schema}))
        except NotFoundError as error:
            raise RefusedError(str(error)) from None

    def _references(
        self, answer: dict[str, object], done: dict[tuple[str, str], bool], depth: int = 0
    ) -> Iterator[str]:
        """Yield what a schema refers to, each once, after what it refers to itself."""
        references = answer.get("references")
        if depth > MAX_DEPTH:
            raise UnusableError(f"its references are nested more than {MAX_DEPTH} levels deep")
        for each in references if isinstance(references, list) else ():
            if not isinstance(each, dict):
                raise UnusableError("one of its references is no object")
            place = str(each.get("subject")), str(each.get("version"))
            if done.get(place):
                continue
            if place in done:
                raise UnusableError(f"its references form a circle at {place[0][:80]!r}")
            if len(done) >= _MAX_REFERENCES:
                raise UnusableError(f"it refers to more than {_MAX_REFERENCES} others")
            done[place] = False
            subject, version = (quote(part, safe="") for part in place)
            found = self._get(f"/subjects/{subject}/versions/{version}")
            yield from self._references(found, done, depth + 1)
            yield _text(found)
            done[place] = True

    def _get(self, path: str, sent: dict[str, str] | None = None) -> dict[str, object]:
        """Return the answer of the first address that has one; send it a document, if given."""
        for url in self._urls[:-1]:
            try:
                return self._ask(url, path, sent)
            except RegistryError as error:
                _log.warning("asking the next schema registry", reason=str(error))
        return self._ask(self._urls[-1], path, sent)

    def _ask(self, url: str, path: str, sent: dict[str, str] | None) -> dict[str, object]:
        request = Request(url + path, headers={"Accept": _ACCEPT})  # noqa: S310 - http, by settings
        if sent is not None:
            request.data = json.dumps(sent).encode()
            request.add_header("Content-Type", _TYPE)
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer = json.loads(_body(response))
        except HTTPError as error:
            with error:
                raise _refusal(url, error) from None
        except (OSError, HTTPException) as error:
            raise _no_answer(url, error) from None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise RegistryError(
                f"what answers at {url!r} is no schema registry. Check {REGISTRY_URL}, the"
                " setting schema_registry_url"
            )
        return answer


def _text(answer: dict[str, object]) -> str:
    text = answer.get("schema")
    return text if isinstance(text, str) else ""


def _id(answer: dict[str, object]) -> int:
    found = answer.get("id")
    if type(found) is int and 0 <= found < 2**31:
        return found
    raise RegistryError(f"the schema registry must answer with the id of a schema; got {found!r}")


def _shortened(reason: object) -> str:
    text = " ".join(map(str, reason)) if isinstance(reason, list) else str(reason)
    return f"{text[:_LONGEST_REASON]}..." if len(text) > _LONGEST_REASON else text


def _body(response: HTTPResponse) -> bytes:
    """Return an answer's body, unless it is too large or takes too long."""
    body = bytearray()
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while part := response.read1(64 * 1024):
        body += part
        if len(body) > _MAX_ANSWER_BYTES:
            raise UnusableError(_TOO_LARGE)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the answer took more than {_DEADLINE_SECONDS:.0f} s")
    return bytes(body)


def _refusal(url: str, error: HTTPError) -> Exception:
    status = error.code
    if status in (401, 403):
        return RegistryError(
            f"the schema registry {url!r} refuses the worker (HTTP {status}). Check {USER} and"
            f" {PASSWORD}, or {TOKEN}"
        )
    if status >= 500 or status in _TRANSIENT:
        return _no_answer(url, f"HTTP {status}")
    kind = RefusedError if status in _REFUSED else NotFoundError
    return kind(_reason_of(error) or f"HTTP {status}")


def _reason_of(error: HTTPError) -> str:
    """Return the message in the body of a refusal; empty where there is none."""
    try:
        answer = json.loads(error.read(_MAX_ANSWER_BYTES))
    except (OSError, HTTPException, ValueError, RecursionError):
        return ""
    return _shortened(answer.get("message") or "") if isinstance(answer, dict) else ""


def _no_answer(url: str, error: object) -> RegistryError:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return RegistryError(
            f"the certificate of the schema registry {url!r} is not trusted:"
            f" {reason.verify_message}. Set {CA} to the file of the authority that signed it"
        )
    return RegistryError(
        f"the schema registry {url!r} does not answer: {reason}. Check that it is up, and"
        f" {REGISTRY_URL}, the setting schema_registry_url"
    )
