"""What is signed with a key, and how that is checked.

State is pickled, and a pickle is a program. So nothing is unpickled that was not written with
this key: HMAC-SHA256 (RFC 2104) over everything that follows it.

A key is a line. Of several lines the first signs, and each is accepted (`streams.state.keys`).

Layout::

    MRS, format version (1 byte) | HMAC (32 bytes) | body
"""

from __future__ import annotations

import hmac

from millrace.schemas import SnapshotError

_MAGIC = b"MRS"
_FORMAT_VERSION = 1
_PREFIX = _MAGIC + bytes([_FORMAT_VERSION])
_BODY_START = len(_PREFIX) + 32


class OtherKeyError(SnapshotError):
    """It has a signature, but of another key or format; or it was changed since."""


def sign(body: bytes, key: bytes) -> bytes:
    """Return `body` with its signature in front.

    Raises
    ------
    SnapshotError
        The key is empty.
    """
    first, *_ = _keys(key)
    return _PREFIX + _signature(body, first) + body


def verified(data: bytes, key: bytes) -> bytes:
    """Return the body that was signed.

    Raises
    ------
    OtherKeyError
        The data is changed, signed with another key, or in another format.
    SnapshotError
        The key is empty; or the data is cut off, or not signed.
    """
    keys = _keys(key)
    if not data.startswith(_MAGIC) or len(data) < _BODY_START:
        raise SnapshotError(
            f"a snapshot must be signed; got {len(data)} bytes that start with {data[:4]!r}."
            " It was cut off, or is not a snapshot: delete it"
        )
    if not data.startswith(_PREFIX):
        raise OtherKeyError(
            f"a snapshot must have format version {_FORMAT_VERSION}; got {data[len(_MAGIC)]}."
            " Run the Millrace that wrote it, or delete the pipeline's state topics to start over"
        )
    body = data[_BODY_START:]
    if not any(_is_signed(data, body, each) for each in keys):
        raise OtherKeyError(
            "a snapshot's signature does not match this key. It was signed with another"
            " MILLRACE_STATE_KEY: set that one; or it was changed: delete it"
        )
    return body


def kind_of(data: bytes) -> bytes:
    """Return the first byte of what was signed, which says what it is; it is not checked."""
    return data[_BODY_START : _BODY_START + 1]


def is_signed_anew(data: bytes, key: bytes) -> bool:
    """Whether genuine data is signed with the first of the keys."""
    first, *former = _keys(key)
    return not former or _is_signed(data, data[_BODY_START:], first)


def signed_anew(data: bytes, key: bytes) -> bytes:
    """Return what was signed with any of the keys, signed with the first.

    Raises
    ------
    SnapshotError
        See `verified`.

    Examples
    --------
    >>> both = bytes([*b"new", 10, *b"old"])
    >>> verified(signed_anew(sign(b"state", b"old"), both), b"new")
    b'state'
    """
    return sign(verified(data, key), key)


def _is_signed(data: bytes, body: bytes, key: bytes) -> bool:
    return hmac.compare_digest(_signature(body, key), data[len(_PREFIX) : _BODY_START])


def _signature(body: bytes, key: bytes) -> bytes:
    digest = hmac.new(key, _PREFIX, "sha256")
    digest.update(body)
    return digest.digest()


def _keys(key: bytes) -> list[bytes]:
    keys = [line for line in key.splitlines() if line]
    if not keys:
        raise SnapshotError("a snapshot must be signed with a key: set MILLRACE_STATE_KEY")
    return keys
