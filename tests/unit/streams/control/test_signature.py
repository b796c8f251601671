"""Signatures of commands."""

from __future__ import annotations

from typing import Any

import pytest

from millrace.schemas import CommandError
from millrace.streams.control.signature import HEADER, check_signature, signature_of

KEY, VALUE, NOW_MS = b"a secret", b'{"command": "pause"}', 1_700_000_000_000
SIGNED: dict[str, Any] = {
    "value": VALUE,
    "headers": [(HEADER, signature_of(VALUE, KEY).encode())],
    "id_": "c1",
    "written_ms": NOW_MS,
    "received_ms": NOW_MS + 299_000,
    "key": KEY,
}


def test_what_is_signed_is_taken() -> None:
    """The digits of a signature may be capital letters."""
    check_signature(**SIGNED)
    capital = [(name, value.upper()) for name, value in SIGNED["headers"]]
    check_signature(**SIGNED | {"headers": capital})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"headers": []}, "no such header"),
        ({"headers": [(HEADER, None)]}, "no such header"),
        ({"headers": [(HEADER, b"\xff")]}, "it is another"),
        ({"value": VALUE + b" "}, "it is another"),
        ({"key": b"another secret"}, "it is another"),
        ({"id_": None}, "field 'id'"),
        ({"written_ms": None}, "field 'time_ms'"),
        ({"written_ms": NOW_MS - 2_000}, "within 5 minutes .* got 1699999998000"),
        ({"received_ms": NOW_MS - 301_000}, "within 5 minutes"),
    ],
)
def test_what_is_not_is_refused(change: dict[str, Any], says: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(CommandError, match=says):
        check_signature(**SIGNED | change)
