"""The schemas of outputs: looked up, checked, registered, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from millrace.schemas import RegistryError, shipped
from millrace.streams.kafka.output_schemas import output_schemas, registered_outputs
from millrace.streams.settings import Settings

PREFIX = "loans."
TYPES = {"Alert", "Audit", "Evaluation", "Outcome", "Prediction", "Reject"}
OTHER = {"type": "record", "name": "Other", "fields": []}


class Registry:
    """A registry in which any schema fits a subject that is `open`, and none any other."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[str]] = {}
        self.open: set[str] = set()
        self.refusals: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                schema = json.loads(self.rfile.read(size))["schema"]
                path = self.path.partition("?")[0]
                registry.asked.append(path)
                status, answer = registry.answer(path, schema)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.settings = Settings(
            outputs="confluent",
            schema_registry_url=f"http://127.0.0.1:{self._server.server_port}",
        )

    def answer(self, path: str, schema: str) -> tuple[int, Any]:
        for end, (status, message) in self.refusals.items():
            if path.endswith(end):
                return status, {"error_code": status, "message": message}
        parts = path.split("/")
        versions = self.subjects.setdefault(parts[parts.index("subjects") + 1], [])
        if parts[1] == "compatibility":
            if not versions:
                return 404, {"error_code": 40401, "message": "no such subject"}
            is_compatible = parts[3] in self.open
            return 200, {"is_compatible": is_compatible, "messages": ["reader lacks x"]}
        if parts[-1] == "versions" and schema not in versions:
            versions.append(schema)
        if schema not in versions:
            return 404, {"error_code": 40403, "message": "no such schema"}
        known = [each for versions in self.subjects.values() for each in versions]
        return 200, {"id": 100 + known.index(schema)}

    def has(self, subject: str, schema: object) -> None:
        self.subjects[subject] = [json.dumps(schema)]

    @property
    def registered(self) -> list[str]:
        return [each for each in self.asked if each.endswith("/versions")]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Serve on a free port."""
    made = Registry()
    yield made
    made.close()


def test_every_output_has_a_subject() -> None:
    """Of its topic's full name, with the schema as it is shipped."""
    found = {each.type: (each.subject, json.loads(each.text)) for each in output_schemas(PREFIX)}
    assert found.keys() == TYPES
    assert found["Prediction"] == ("loans.predictions-value", shipped("prediction").schema)


def test_what_is_missing_is_registered(registry: Registry) -> None:
    """Once: whoever comes later finds it, and needs no right to write."""
    ids = registered_outputs(registry.settings, PREFIX)
    assert ids.keys() == TYPES
    assert len({*ids.values()}) == len(registry.registered) == len(TYPES)
    registry.asked.clear()
    assert registered_outputs(registry.settings, PREFIX) == ids
    assert registry.registered == []


def test_other_formats_ask_nothing(registry: Registry) -> None:
    """Where the format needs no registry, one that is set is left alone."""
    settings = registry.settings.model_copy(update={"outputs": "json"})
    assert registered_outputs(settings, PREFIX) == {}
    assert registry.asked == []


def test_an_earlier_version_may_be_there(registry: Registry) -> None:
    """The schema is registered beside it, if the registry says that it fits."""
    registry.has("loans.predictions-value", OTHER)
    registry.open.add("loans.predictions-value")
    assert registered_outputs(registry.settings, PREFIX)["Prediction"] > 0
    assert len(registry.subjects["loans.predictions-value"]) == 2


def test_what_does_not_fit_is_refused_before_anything_is_registered(registry: Registry) -> None:
    """The error names the subject, says why in the registry's words, and what to do."""
    registry.has("loans.rejects-value", OTHER)  # which is asked for last
    with pytest.raises(RegistryError, match=r"'loans\.rejects-value': reader lacks x\. Nothing"):
        registered_outputs(registry.settings, PREFIX)
    assert registry.registered == []


@pytest.mark.parametrize(
    ("end", "status", "message", "expected"),
    [
        ("predictions-value/versions", 409, "incompatible", "incompatible"),
        ("predictions-value/versions", 422, "read-only mode", "read-only mode"),
        ("predictions-value/versions", 404, "", "HTTP 404"),
        ("versions/latest", 422, "invalid schema", "invalid schema"),
        ("predictions-value", 403, "", "refuses the worker"),
        ("predictions-value", 500, "", "does not answer: HTTP 500"),
    ],
)
def test_a_registry_that_refuses(
    end: str, status: int, message: str, expected: str, registry: Registry
) -> None:
    """Is told apart from one that does not answer, and from one that wants to know who asks."""
    registry.refusals[end] = status, message
    with pytest.raises(RegistryError, match=expected):
        registered_outputs(registry.settings, PREFIX)


@pytest.mark.parametrize("answer", [{}, {"id": "7"}, {"id": -1}, {"id": 2**31}, []])
def test_what_is_no_registry(
    answer: object, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer without an id is an error, not an id."""
    monkeypatch.setattr(registry, "answer", lambda _path, _schema: (200, answer))
    with pytest.raises(RegistryError):
        registered_outputs(registry.settings, PREFIX)
