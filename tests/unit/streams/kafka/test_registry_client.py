"""What a registry answers, over HTTP: schemas, references, refusals, nonsense."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from millrace.schemas import RegistryError
from millrace.streams.kafka import registry_client
from millrace.streams.kafka.registry_client import NotFoundError, RegistryClient
from millrace.streams.registry_settings import RegistrySettings
from millrace.streams.settings import Settings


class Server:
    """A registry with given answers: path to status and document, or bytes."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.authorization: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                server.authorization.append(self.headers["Authorization"])
                status, document = server.answers.get(self.path, (404, {"error_code": 40403}))
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", document)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"

    def has(self, schema_id: int, schema: object, **more: object) -> None:
        self.answers[f"/schemas/ids/{schema_id}"] = 200, {"schema": json.dumps(schema), **more}

    def has_subject(self, path: str, schema: object, **more: object) -> None:
        self.answers[f"/subjects/{path}"] = 200, {"schema": json.dumps(schema), **more}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on a free port."""
    made = Server()
    yield made
    made.close()


def client_of(server: Server, **more: Any) -> RegistryClient:
    return RegistryClient(RegistrySettings(server.url, **more))


def reference(subject: str, version: int = 1) -> dict[str, object]:
    return {"name": subject, "subject": subject, "version": version}


@pytest.mark.parametrize(("kind", "read"), [(None, "AVRO"), ("JSON", "JSON"), ("PROTOBUF",) * 2])
def test_the_kind_of_a_schema(kind: str | None, read: str, server: Server) -> None:
    """A schema without `schemaType` is Avro."""
    server.has(1, "string", **({} if kind is None else {"schemaType": kind}))
    assert client_of(server).registered(1) == (read, '"string"', (), "")


def test_references_come_before_what_uses_them(server: Server) -> None:
    """References are followed, nested and diamond-shaped; each is asked for once."""
    server.has(1, "top", references=[reference("a/b"), reference("c")])
    server.has_subject("a%2Fb/versions/1", "left", references=[reference("base", 3)])
    server.has_subject("c/versions/1", "right", references=[reference("base", 3)])
    server.has_subject("base/versions/3", "base")
    found = client_of(server).registered(1)
    assert found.references == ('"base"', '"left"', '"right"')
    assert len(server.asked) == 4


def test_references_in_a_circle(server: Server) -> None:
    """Schemas that refer to each other cannot be used, and it is said why."""
    server.has(1, "top", references=[reference("a")])
    server.has_subject("a/versions/1", "a", references=[reference("b")])
    server.has_subject("b/versions/1", "b", references=[reference("a")])
    assert "form a circle at 'a'" in client_of(server).registered(1).problem


def test_too_many_references(server: Server) -> None:
    """A schema with more references than anybody writes is not followed to the end."""
    server.has(1, "top", references=[reference(f"s{n}") for n in range(500)])
    for n in range(500):
        server.has_subject(f"s{n}/versions/1", "string")
    assert "more than 100 others" in client_of(server).registered(1).problem
    assert len(server.asked) < 110


def test_references_nested_without_end(server: Server) -> None:
    """References have a depth, too."""
    server.has(1, "top", references=[reference("s0")])
    for n in range(90):
        server.has_subject(f"s{n}/versions/1", "string", references=[reference(f"s{n + 1}")])
    assert "more than 64 levels" in client_of(server).registered(1).problem


def test_references_of_a_json_schema_are_not_asked_for(server: Server) -> None:
    """JSON is checked against the pipeline's schema: what a JSON Schema says does not matter."""
    server.has(1, {}, schemaType="JSON", references=[reference("a")])
    assert client_of(server).registered(1).references == ()
    assert len(server.asked) == 1


def test_a_reference_that_is_missing(server: Server) -> None:
    """A schema is not there as long as a part of it is missing."""
    server.has(1, "top", references=[reference("a")])
    with pytest.raises(NotFoundError):
        client_of(server).registered(1)


@pytest.mark.parametrize("size", [2 * 2**20, 6 * 2**20])
def test_a_schema_that_is_too_large(size: int, server: Server) -> None:
    """A schema is capped before anything reads it."""
    server.has(1, "x" * size)
    assert "more than 1048576 bytes" in client_of(server).registered(1).problem


@pytest.mark.parametrize("status", [400, 404, 406, 422])
def test_what_the_registry_does_not_have(status: int, server: Server) -> None:
    """An id that the registry does not know, or does not take for one, is missing."""
    server.answers["/schemas/ids/1"] = status, {}
    with pytest.raises(NotFoundError):
        client_of(server).registered(1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_registry_that_is_unwell(status: int, server: Server) -> None:
    """A fault of the registry is told by its address, the status and the setting."""
    server.answers["/schemas/ids/1"] = status, {}
    with pytest.raises(
        RegistryError, match=rf"'{server.url}' does not answer: HTTP {status}\. Check"
    ):
        client_of(server).registered(1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_the_worker(status: int, server: Server) -> None:
    """Wrong credentials are told by the settings that hold them, and are not shown."""
    server.answers["/schemas/ids/1"] = status, {}
    client = client_of(server, user="me", password="s3cret")
    with pytest.raises(RegistryError, match=r"refuses the worker.*SCHEMA_REGISTRY_USER") as caught:
        client.registered(1)
    assert "MILLRACE_SCHEMA_REGISTRY_TOKEN" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b"[" * 100_000, b"\xff"])
def test_what_is_no_registry(body: bytes, server: Server) -> None:
    """An answer that no registry gives is a fault of the setting, not of the record."""
    server.answers["/schemas/ids/1"] = 200, body
    with pytest.raises(RegistryError, match=r"no schema registry\. Check SCHEMA_REGISTRY_URL"):
        client_of(server).registered(1)


@pytest.mark.parametrize("references", [5, "x", [None], [{}], {"a": 1}])
def test_odd_references(references: object, server: Server) -> None:
    """References of another shape are no reason to fail."""
    server.has(1, "string", references=references)
    try:
        found = client_of(server).registered(1)
    except NotFoundError:
        return
    assert found.problem or found.references == ()


def test_a_registry_that_cannot_be_reached() -> None:
    """A refused connection names the address and the setting, and no password."""
    settings = Settings(schema_registry_url="http://me:s3cret@127.0.0.1:9").registry
    with pytest.raises(RegistryError) as caught:
        RegistryClient(settings).registered(1)
    assert str(caught.value).startswith("the schema registry 'http://127.0.0.1:9' does not answer:")
    assert "the setting schema_registry_url" in str(caught.value)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_registry_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that accepts a connection and says nothing is given up."""
    monkeypatch.setattr(registry_client, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RegistryError, match="does not answer: timed out"):
            RegistryClient(RegistrySettings(url)).registered(1)


def test_a_registry_that_drips(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that never ends is given up, too."""
    server.has(1, "string")
    monkeypatch.setattr(registry_client, "_DEADLINE_SECONDS", -1.0)
    with pytest.raises(RegistryError, match="the answer took more than"):
        client_of(server).registered(1)


def test_who_asks(server: Server) -> None:
    """A user is sent as basic authentication, a token as a bearer's, and otherwise nothing."""
    server.has(1, "string")
    basic = f"Basic {b64encode(b'me:p:w').decode()}"
    for settings, expected in (
        (Settings(schema_registry_url=server.url), None),
        (Settings(schema_registry_url=f"http://me:p%3Aw@{server.address}"), basic),
        (
            Settings(
                schema_registry_url=f"{server.url}/",
                schema_registry_user="me",
                schema_registry_password="p:w",
            ),
            basic,
        ),
        (Settings(schema_registry_url=server.url, schema_registry_token="t"), "Bearer t"),
    ):
        RegistryClient(settings.registry).registered(1)
        assert server.authorization[-1] == expected


def test_credentials_do_not_follow_a_redirect(server: Server) -> None:
    """Another address that the registry points to does not get the password."""
    server.has(2, "string")
    server.answers["/schemas/ids/1"] = 302, f"{server.url}/schemas/ids/2"
    client_of(server, token="t").registered(1)
    assert server.authorization == ["Bearer t", None]


def test_the_first_of_several_that_answers(server: Server) -> None:
    """Of several addresses the next is asked where one does not answer."""
    server.has(1, "string")
    client = RegistryClient(RegistrySettings(f"http://127.0.0.1:9, {server.url}"))
    assert client.registered(1).kind == "AVRO"
