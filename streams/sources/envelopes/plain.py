"""No envelope: the record is the row."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.streams.sources.envelopes.base import Envelope, Headers, Opened, Says


class Plain(Envelope):
    name = "plain"

    def open(self, value: bytes, _headers: Headers) -> Opened:
        return Opened(Says.IS, value)

    def rows(
        self, values: Sequence[bytes | None], _headers: Sequence[Headers]
    ) -> list[bytes | None]:
        return [*values]
