"""A schema registry with two schemas, which can be away for a while."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from dev.kafka import free_port

EVENTS, PROTOBUF, UNKNOWN = 1, 2, 999
"""Ids: of events' own schema, of one that Millrace does not read, and of none."""


class Registry:
    """Answers `GET /schemas/ids/<id>` as a schema registry does, from `start` to `stop`.

    Parameters
    ----------
    schema
        Avro schema of an event.
    """

    def __init__(self, schema: Any) -> None:
        self._schemas = {
            EVENTS: {"schema": json.dumps(schema)},
            PROTOBUF: {"schemaType": "PROTOBUF", "schema": 'syntax = "proto3"; message M {}'},
        }
        self._port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        schemas = self._schemas

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = self.path.partition("?")[0].rpartition("/")[2]
                found = schemas.get(int(number)) if number.isdigit() else None
                body = found or {"error_code": 40403, "message": "Schema not found"}
                data = json.dumps(body).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def framed(schema_id: int, body: bytes) -> bytes:
    """Return a record in Confluent wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + body
