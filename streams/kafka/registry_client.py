"""Asking a schema registry over HTTP.

What may go wrong is told apart by its type. The registry does not have what was asked for:
`NotFoundError`. It does not answer, is not one, or refuses the worker: a `RegistryError` that names
the setting. No message holds a password, nor does any address.
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
_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"
_TOO_LARGE = f"it has more than {MAX_SCHEMA_BYTES} bytes, with those that it refers to"
_TRANSIENT = frozenset({408, 425, 429})

_log = structlog.get_logger(__name__)


class NotFoundError(Exception):
    """The registry does not have what it was asked for."""


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

    def _get(self, path: str) -> dict[str, object]:
        """Return the answer of the first address that has one."""
        for url in self._urls[:-1]:
            try:
                return self._ask(url, path)
            except RegistryError as error:
                _log.warning("asking the next schema registry", reason=str(error))
        return self._ask(self._urls[-1], path)

    def _ask(self, url: str, path: str) -> dict[str, object]:
        request = Request(url + path, headers={"Accept": _ACCEPT})  # noqa: S310 - http, by settings
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer = json.loads(_body(response))
        except HTTPError as error:
            error.close()
            raise _refusal(url, error.code) from None
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


def _refusal(url: str, status: int) -> Exception:
    if status in (401, 403):
        return RegistryError(
            f"the schema registry {url!r} refuses the worker (HTTP {status}). Check {USER} and"
            f" {PASSWORD}, or {TOKEN}"
        )
    if status >= 500 or status in _TRANSIENT:
        return _no_answer(url, f"HTTP {status}")
    return NotFoundError(f"HTTP {status}")


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
