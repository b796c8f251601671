"""No envelope: the record is the row."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.streams.operators.record import Origin
from millrace.streams.sources.envelopes.base import Envelope, Opened, Says


class Plain(Envelope):
    name = "plain"

    def open(self, origin: Origin) -> Opened:
        return Opened(Says.IS, origin.value)

    def rows(self, values: Sequence[bytes | None]) -> list[bytes | None]:
        return [*values]
