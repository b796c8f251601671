"""A large value over several records, so that the size of a record limits no model.

What was signed of a value that does not fit one record is cut up. Its parts go out before the
record of its own key, which then is a head: it says how many they are and what they make. Each is
signed like any other value, and a value is read only if all its parts are there and make what the
head says.

What is signed begins with one byte::

    P | digest of the whole (32 bytes) | number (4 bytes) | piece
    H | digest of the whole (32 bytes) | how many (4 bytes)
    K | digest of the whole (32 bytes) | name under which it is kept beside the broker

The last is for the embedded broker, which drops a partition's records beyond 5 MB: there, large
values stay in the memory of the worker, one for each name, and a record only refers to them.

The body of a value in one record begins with 0, as its stamp is short (`snapshot`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from millrace.streams.state.signing import kind_of, sign, verified

PART_BYTES = 768 * 1024
"""Longest value of a record: a broker takes 1 MiB, if nobody has told it otherwise."""

_PART, _HEAD, _KEPT = b"P", b"H", b"K"
_DIGEST_END, _NUMBER_END = 33, 37
_MOST_UNFINISHED = 256

_PART_KEY = "part/"


def part_key(key: str, number: int) -> str:
    """Return the key of a part of an entry.

    Examples
    --------
    >>> part_key("learning/models/", 3), is_part("part/3/learning/models/"), is_part("learning/x/")
    ('part/3/learning/models/', True, False)
    """
    return f"{_PART_KEY}{number}/{key}"


def is_part(key: str) -> bool:
    """Whether a record's key is that of a part."""
    return key.startswith(_PART_KEY)


def part_bytes(most_bytes: object) -> int:
    """Return how long parts are where a client's records may have so many bytes; None for any.

    Examples
    --------
    >>> part_bytes(None) == PART_BYTES, part_bytes("100000")
    (True, 75000)
    """
    return PART_BYTES if most_bytes is None else min(PART_BYTES, int(str(most_bytes)) * 3 // 4)


def split(value: bytes, key: bytes, most_bytes: int = PART_BYTES) -> list[bytes]:
    """Return a signed value alone, or its parts and, last, their head.

    Examples
    --------
    >>> value = sign(b"12345", b"key")
    >>> records = split(value, b"key", most_bytes=20)
    >>> parts = Parts(b"key")
    >>> [parts.whole(each) == value for each in records]
    [False, True]
    """
    if len(value) <= most_bytes:
        return [value]
    body = verified(value, key)
    digest = sha256(body).digest()
    pieces = [body[at : at + most_bytes] for at in range(0, len(body), most_bytes)]
    parts = [
        sign(_PART + digest + number.to_bytes(4, "big") + piece, key)
        for number, piece in enumerate(pieces)
    ]
    return [*parts, sign(_HEAD + digest + len(pieces).to_bytes(4, "big"), key)]


def keep(
    value: bytes, key: bytes, name: str, beside: dict[str, bytes], most_bytes: int = PART_BYTES
) -> bytes:
    """Return a signed value, or a record that refers to it, if it is large: then it is kept.

    Examples
    --------
    >>> value, beside = sign(b"12345", b"key"), {}
    >>> record = keep(value, b"key", "models[0]/a", beside, most_bytes=20)
    >>> Parts(b"key", beside).whole(record) == value, Parts(b"key").whole(record)
    (True, None)
    """
    if len(value) <= most_bytes:
        return value
    beside[name] = value
    return sign(_KEPT + sha256(value).digest() + name.encode(), key)


class Parts:
    """Puts values together again.

    Parameters
    ----------
    key
        What they are signed with.
    beside
        Values that are kept beside the broker, by name.
    """

    def __init__(self, key: bytes, beside: Mapping[str, bytes] | None = None) -> None:
        self._key = key
        self._beside = {} if beside is None else beside
        self._unfinished: dict[bytes, dict[int, bytes]] = {}

    def whole(self, value: bytes) -> bytes | None:
        """Return a value that is whole, or a head's; None for a part, or where parts are missing.

        Raises
        ------
        SnapshotError
            It is a part or a head, and not signed with the key.
        """
        kind = kind_of(value)
        if kind not in (_PART, _HEAD, _KEPT):
            return value
        body = verified(value, self._key)
        if kind == _KEPT:
            kept = self._beside.get(body[_DIGEST_END:].decode(), b"")
            return kept if sha256(kept).digest() == body[1:_DIGEST_END] else None
        digest, number = body[1:_DIGEST_END], int.from_bytes(body[_DIGEST_END:_NUMBER_END], "big")
        if kind == _PART:
            self._unfinished.setdefault(digest, {})[number] = body[_NUMBER_END:]
            if len(self._unfinished) > _MOST_UNFINISHED:  # of heads that will never come
                del self._unfinished[next(iter(self._unfinished))]
            return None
        pieces = self._unfinished.pop(digest, {})
        joined = b"".join(pieces.get(each, b"") for each in range(min(number, len(pieces))))
        return sign(joined, self._key) if sha256(joined).digest() == digest else None


def count_parts(value: bytes, key: bytes) -> int:
    """Return how many parts the head of an entry has; 0 for a value in one record."""
    if kind_of(value) != _HEAD:
        return 0
    return int.from_bytes(verified(value, key)[_DIGEST_END:_NUMBER_END], "big")
