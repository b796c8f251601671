"""Schemas are looked up in the registry by id, and kept."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from millrace.schemas import BrokerError
from millrace.streams.kafka.registry import written_schema
from millrace.streams.settings import Settings

SCHEMA = {"type": "record", "name": "Loan", "fields": []}
ANSWERS = {
    1: (200, {"schema": json.dumps(SCHEMA)}),
    2: (404, {"error_code": 40403, "message": "Schema not found"}),
    3: (200, {"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"}),
    4: (401, {"error_code": 40101, "message": "Unauthorized"}),
}


@pytest.fixture
def registry():
    """Serve the answers; give the address and what was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            number = int(self.path.partition("?")[0].rpartition("/")[2])
            asked.append(number)
            status, document = ANSWERS[number]
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_schema_is_looked_up_once(registry):
    """An id always means the same schema."""
    address, asked = registry
    look_up = written_schema(Settings(schema_registry_url=address))
    assert [look_up(1), look_up(1)] == [SCHEMA, SCHEMA]
    assert asked == [1]


@pytest.mark.parametrize("number", [2, 3])
def test_an_unknown_schema_and_one_that_is_not_avro_are_none(registry, number):
    """Their records are rejected."""
    address, asked = registry
    look_up = written_schema(Settings(schema_registry_url=address))
    assert [look_up(number), look_up(number)] == [None, None]
    assert asked == [number]


def test_a_registry_that_refuses_is_an_error(registry):
    """The record is not rejected: it can be read once the settings are corrected."""
    address, _ = registry
    with pytest.raises(BrokerError, match=f"schema registry '{address}' does not answer: .*401"):
        written_schema(Settings(schema_registry_url=address))(4)


def test_a_registry_that_cannot_be_reached_is_an_error(monkeypatch):
    """The error names its address and the setting."""
    monkeypatch.setattr(
        "confluent_kafka.schema_registry.SchemaRegistryClient.get_schema",
        lambda *_: (_ for _ in ()).throw(RuntimeError("connection refused")),
    )
    look_up = written_schema(Settings(schema_registry_url="http://127.0.0.1:9"))
    expected = r"'http://127.0.0.1:9' does not answer: connection refused.*schema_registry_url"
    for _ in range(2):
        with pytest.raises(BrokerError, match=expected):
            look_up(1)


def test_without_a_registry_no_schema_is_known():
    """No client is made."""
    assert written_schema(Settings(schema_registry_url=""))(1) is None
