"""A Kafka record, as what reads parts of it sees it."""

from __future__ import annotations

from typing import Protocol

from millrace.streams.sources.envelopes import Headers


class Message(Protocol):
    """A Kafka record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
