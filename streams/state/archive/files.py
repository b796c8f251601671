"""A file of the archive: the state of one partition, as the records of its last complete save.

The records are those of the state topics with their signatures, and the file is signed as a whole
with the same key, so that it counts under no other name.

What is signed::

    V | the pipeline's prefix | 0 | header and records in MessagePack, compressed (RFC 1950)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias, cast

import msgspec

from millrace.schemas import SnapshotError
from millrace.streams.kafka.protocols import Headers
from millrace.streams.state.records import MANIFEST, StateRecord
from millrace.streams.state.signing import sign, verified

_VERSION = b"V"
_FAST = 1

_Record: TypeAlias = tuple[str, bytes, bytes, list[tuple[str, bytes]]]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is of.

    Attributes
    ----------
    version
        Name of the version.
    agent, partition
        Whose state.
    time_ms
        When it was read: milliseconds since the Unix epoch. The state is not newer.
    flush
        Number of the save.
    covers
        Input topic to the first offset that the state has not seen.
    inputs
        Input topic to its id and its number of partitions.
    definition
        Reference of the definition in force; empty where none was deployed.
    """

    version: str
    agent: str
    partition: int
    time_ms: int
    flush: int
    covers: dict[str, int]
    inputs: dict[str, tuple[str, int]]
    definition: str


class Archived(NamedTuple):
    """The state of one partition, as a file has it."""

    header: Header
    records: list[StateRecord]


def to_bytes(header: Header, records: Iterable[StateRecord], prefix: str, key: bytes) -> bytes:
    """Return a file of the pipeline of a prefix.

    Raises
    ------
    SnapshotError
        The key is empty.
    """
    plain = [
        (each.topic, each.key.encode(errors="surrogateescape"), each.value, each.headers)
        for each in sorted(records, key=_in_order)
    ]
    return sign(_start(prefix) + zlib.compress(msgspec.msgpack.encode((header, plain)), _FAST), key)


def from_bytes(data: bytes, prefix: str, key: bytes) -> Archived:
    """Return what is in a file of the pipeline of a prefix.

    Raises
    ------
    SnapshotError
        It is not signed with the key, or is no such file.
    """
    body, start = verified(data, key), _start(prefix)
    if not body.startswith(start):
        raise SnapshotError(
            f"a file of the archive must be of the pipeline with the topics {prefix}*; this was"
            " signed for something else"
        )
    try:
        header, plain = msgspec.msgpack.decode(
            zlib.decompress(body[len(start) :]), type=tuple[Header, list[_Record]]
        )
    except (zlib.error, msgspec.MsgspecError) as error:
        raise SnapshotError(
            f"a file of the archive cannot be read by this release: {error}"
        ) from error
    return Archived(header, [_record(*each) for each in plain])


def _record(topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> StateRecord:
    name = key.decode(errors="surrogateescape")
    return StateRecord(topic, name, value, cast(Headers, headers))


def _in_order(record: StateRecord) -> tuple[bool, int, bool]:
    """Return where a record comes: as if it had been read from its topic."""
    return record.topic == "models", record.flush, record.key == MANIFEST


def _start(prefix: str) -> bytes:
    return _VERSION + prefix.encode() + b"\0"
