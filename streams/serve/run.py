"""Runs the HTTP server of a pipeline until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

import structlog
import uvicorn

from millrace.schemas import SettingsError
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.registry import read_outputs
from millrace.streams.serve.access import Access, is_loopback
from millrace.streams.serve.app import make_app
from millrace.streams.serve.protocol import MOST_CONNECTIONS, Protocol
from millrace.streams.serve.service import Service
from millrace.streams.serve.tokens import Tokens
from millrace.streams.settings import Settings
from millrace.streams.state.keys import state_key

_STOP_SECONDS = 5
_BACKLOG = 2_048
_OTHER_FILES = 500  # connections to Kafka, and those that are turned away
_LOCAL_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})

_log = structlog.get_logger(__name__)


def run_server(settings: Settings, *, is_insecure: bool) -> None:
    """Serve a pipeline until the process is to stop.

    Parameters
    ----------
    is_insecure
        Whether others than this machine may ask without a token.

    Raises
    ------
    SettingsError
        A setting is wrong, or would let anybody in.
    BrokerError
        The broker does not answer, or has no such pipeline.
    SnapshotError
        The definition in force is signed with another key.
    """
    access = access_of(settings, is_insecure=is_insecure)
    key = state_key(settings)
    _allow_files(MOST_CONNECTIONS + _OTHER_FILES)
    with listening_on(settings.serve_host, settings.serve_port) as listening:
        asyncio.run(_serve(settings, access, key, listening))


def access_of(settings: Settings, *, is_insecure: bool) -> Access:
    """Return who may ask what.

    Raises
    ------
    SettingsError
        It would be anybody, from anywhere.
    """
    rate = settings.serve_rate
    if settings.serve_tokens:
        return Access(Tokens(Path(settings.serve_tokens)), rate=rate)
    if is_loopback(settings.serve_host):
        return Access(names=_LOCAL_NAMES | {settings.serve_host}, rate=rate)
    if not is_insecure:
        raise SettingsError(
            "serve_tokens must be set where others than this machine may ask"
            f" (serve_host is {settings.serve_host!r}); got none. Make one with `millrace token`,"
            " and add --tokens; or let anybody do anything with --insecure"
        )
    _log.warning("anybody who reaches this port may do anything", host=settings.serve_host)
    return Access(rate=rate)


async def _serve(settings: Settings, access: Access, key: bytes, listening: socket.socket) -> None:
    service = Service(
        KafkaClients(settings),
        settings.pipeline_name,
        state_key=key,
        command_key=settings.command_key.get_secret_value().encode(),
        outputs=read_outputs(settings),
        max_event_bytes=settings.max_event_bytes,
        topic_names=settings.topics,
    )
    async with service.running():
        host, port = listening.getsockname()[:2]
        _log.info("serving over HTTP", pipeline=service.name, host=host, port=port)
        await Server(service, access).serve([listening])


def _allow_files(wanted: int) -> None:
    """Let this process have so many connections and files, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Server(uvicorn.Server):
    """Tells who waits that it stops, before it waits for them; and leaves signals to who runs it.

    Uvicorn's own way ends the process by the same signal once it has stopped, and so leaves out all
    that comes behind it.
    """

    def __init__(self, service: Service, access: Access) -> None:
        config = uvicorn.Config(
            make_app(service, access),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            http=Protocol,
            timeout_graceful_shutdown=_STOP_SECONDS,
            proxy_headers=False,
        )
        super().__init__(config)
        self._service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if current_thread() is main_thread():
            loop = asyncio.get_running_loop()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, self.handle_exit, each, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop()
        await super().shutdown(sockets)


def listening_on(host: str, port: int) -> socket.socket:
    """Return a socket that listens, of whose connections none waits to send more at once (Nagle).

    asyncio sees to that where the protocol is named; else an answer in two parts takes 40 ms.

    Raises
    ------
    SettingsError
        The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise SettingsError(
            f"serve_port must be a free port of serve_host; cannot listen on {host}:{port}:"
            f" {getattr(error, 'strerror', None) or error}. Set MILLRACE_SERVE_PORT, or 0 for any"
        ) from error
    return listening
