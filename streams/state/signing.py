"""What is signed with a key, and how that is checked.

State is pickled, and a pickle is a program. So nothing is unpickled that was not written with
this key: HMAC-SHA256 (RFC 2104) over everything that follows it.

A key is a line. Of several lines the first signs, and each is accepted (`streams.state.keys`).

Layout::

    MRS, format version (1 byte) | HMAC (32 bytes) | body

Release 0.1 wrote version 1, which counts by itself. What has version 2 counts on a topic of state
only in a record that is signed with its place, too (`streams.state.binding`).
"""

from __future__ import annotations

import hmac

from millrace.schemas import SnapshotError

_MAGIC = b"MRS"
_ALONE, _FORMAT_VERSION = 1, 2
_PREFIX = _MAGIC + bytes([_FORMAT_VERSION])
_PREFIX_ALONE = _MAGIC + bytes([_ALONE])
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
    first, *_ = keys_of(key)
    return _PREFIX + _signature(_PREFIX, body, first) + body


def verified(data: bytes, key: bytes) -> bytes:
    """Return the body that was signed.

    Raises
    ------
    OtherKeyError
        The data is changed, signed with another key, or in another format.
    SnapshotError
        The key is empty; or the data is cut off, or not signed.
    """
    keys = keys_of(key)
    if not data.startswith(_MAGIC) or len(data) < _BODY_START:
        raise SnapshotError(
            f"a snapshot must be signed; got {len(data)} bytes that start with {data[:4]!r}."
            " It was cut off, or is not a snapshot: delete it"
        )
    if not data.startswith((_PREFIX, _PREFIX_ALONE)):
        raise OtherKeyError(
            f"a snapshot must have format version {_FORMAT_VERSION} or less; got"
            f" {data[len(_MAGIC)]}."
            " Run the Millrace that wrote it, or delete the pipeline's state topics to start over"
        )
    body = data[_BODY_START:]
    if not any(_is_signed(data, body, each) for each in keys):
        raise OtherKeyError(
            "a snapshot's signature does not match this key. It was signed with another"
            " MILLRACE_STATE_KEY, so set that one; or it was changed, so delete it"
        )
    return body


def kind_of(data: bytes) -> bytes:
    """Return the first byte of what was signed, which says what it is; it is not checked."""
    return data[_BODY_START : _BODY_START + 1]


def is_alone(data: bytes) -> bool:
    """Whether data was signed by release 0.1, which knew no signature of records."""
    return data.startswith(_PREFIX_ALONE)


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


def keys_of(key: bytes) -> list[bytes]:
    """Return the lines of a key: the first one signs.

    Raises
    ------
    SnapshotError
        It is empty.
    """
    keys = [line for line in key.splitlines() if line]
    if not keys:
        raise SnapshotError("a snapshot must be signed with a key: set MILLRACE_STATE_KEY")
    return keys


def _is_signed(data: bytes, body: bytes, key: bytes) -> bool:
    prefix, found = data[: len(_PREFIX)], data[len(_PREFIX) : _BODY_START]
    return hmac.compare_digest(_signature(prefix, body, key), found)


def _signature(prefix: bytes, body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, prefix + body, "sha256")
