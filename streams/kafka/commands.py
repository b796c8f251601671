"""Commands on Kafka: one record each, on the one partition of the topic `commands`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.streams.control.signature import HEADER, signature_of
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.protocols import Clients, Headers

_SEND_SECONDS = 30.0


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    id
        Names it.
    command, arguments, who, why
        See `schemas/command.avsc`.
    """

    id: str
    command: str
    arguments: Mapping[str, str]
    who: str
    why: str

    def to_json(self, time_ms: int) -> bytes:
        """Return the value of its record."""
        document = {**vars(self), "arguments": {**self.arguments}, "time_ms": time_ms}
        return json.dumps(document).encode()


def written(request: Request, key: bytes = b"") -> tuple[bytes, Headers]:
    """Return the value and the headers of a command's record, signed with a key if there is one."""
    value = request.to_json(time.time_ns() // 1_000_000)
    return value, [(HEADER, signature_of(value, key).encode())] if key else []


def send(clients: Clients, prefix: str, request: Request, key: bytes = b"") -> None:
    """Write a command; it is there when this returns.

    Parameters
    ----------
    prefix
        Of the pipeline's topics.
    key
        Signs it; empty: it is not signed.

    Raises
    ------
    BrokerError
        The broker does not take it.
    """
    value, headers = written(request, key)
    producer = CheckedProducer(clients)
    producer.produce(f"{prefix}commands", value, request.id, 0, headers=headers)
    producer.flush(_SEND_SECONDS)
