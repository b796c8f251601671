"""Produces what clients of Python cannot: headers whose names are any bytes.

It calls the librdkafka that confluent-kafka brings with it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path

import confluent_kafka

_PRODUCER = 0
_OK = 0
_COPY = 2
_END, _TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _HEADERS = 0, 1, 3, 4, 5, 7, 10


def produce_raw(
    bootstrap: str, topic: str, value: bytes, headers: Iterable[tuple[bytes, bytes | None]]
) -> None:
    """Produce a record to partition 0, and wait until the broker has it."""
    library = _library()
    text = ctypes.create_string_buffer(512)
    config = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(config, b"bootstrap.servers", bootstrap.encode(), text, 512)
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, config, text, 512))
    assert client, text.value
    made = ctypes.c_void_p(library.rd_kafka_headers_new(8))
    for name, content in headers:
        size = ctypes.c_ssize_t(0 if content is None else len(content))
        library.rd_kafka_header_add(made, name, ctypes.c_ssize_t(len(name)), content, size)
    error = library.rd_kafka_producev(
        client,
        *(_TOPIC, topic.encode()),
        *(_PARTITION, ctypes.c_int32(0)),
        *(_FLAGS, ctypes.c_int(_COPY)),
        *(_VALUE, value, ctypes.c_size_t(len(value))),
        *(_HEADERS, made),
        _END,
    )
    assert error == _OK, error
    assert library.rd_kafka_flush(client, 10_000) == _OK
    library.rd_kafka_destroy(client)


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, name).restype = ctypes.c_void_p
    return library
