"""The worker's web server: a few pages over HTTP, to clients that may be slow or ill-behaved.

A connection serves one request and is open for ten seconds at most, whatever the client sends or
does not send. The server answers in threads of its own, at most 32 at a time.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import structlog

from millrace.schemas import SettingsError
from millrace.streams.api.pages import Pages

_CONNECTION_SECONDS = 10.0
_MOST_CONNECTIONS = 32

_log = structlog.get_logger(__name__)


class PageServer:
    """Serves pages until it is closed, on a port that is bound at once.

    Parameters
    ----------
    host, port
        Where to listen; port 0 for any.
    pages
        What is served.

    Attributes
    ----------
    port
        On which it listens.

    Raises
    ------
    SettingsError
        The address cannot be bound.
    """

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        try:
            self._server = _Server((host, port), pages)
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"web_port must be a free port of web_host; cannot listen on {host}:{port}:"
                f" {getattr(error, 'strerror', None) or error}. Set MILLRACE_WEB_PORT, or 0 for"
                " any free port"
            ) from error
        self.port: int = self._server.server_address[1]
        Thread(target=self._server.serve_forever, name="pages", daemon=True).start()
        _log.info("serving /metrics, /livez, /readyz and /healthz", host=host, port=self.port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4 * _MOST_CONNECTIONS
    block_on_close = False

    def __init__(self, address: tuple[str, int], pages: Pages) -> None:
        self.pages = pages
        self._opened: dict[Any, float] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Refuse a connection where there are too many."""
        if len(self._opened) >= _MOST_CONNECTIONS:
            return False
        self._opened[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        self._opened.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that are open for too long; called twice a second."""
        horizon = time.monotonic() - _CONNECTION_SECONDS
        for request, opened in [*self._opened.items()]:
            if opened < horizon:
                with suppress(OSError):  # it has just ended by itself
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong where somebody looks for it: mostly, that a client has gone."""
        _log.debug("a request failed", client=client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "millrace", ""
    timeout = _CONNECTION_SECONDS

    def do_GET(self) -> None:
        self._send(with_body=True)

    def do_HEAD(self) -> None:
        self._send(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log."""

    def _send(self, with_body: bool) -> None:
        page = self.server.pages.answer(urlsplit(self.path).path)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)
