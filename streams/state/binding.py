"""A signature that binds a record of state to its place, so that it counts nowhere else.

What is signed is all that says what a record means: the topic with its pipeline, the partition, the
key, the flush, the sequence, and the value, or that there is none. Who may write to a topic, but
has no key, can then put back only a record that was there before, at the same place; that it is
behind a newer one is seen by its flush (`found`), and that it is there instead of a newer one by
what the manifest lists (`listed`).

The signature is the first half of 32 bytes of keyed BLAKE2b (RFC 7693, section 2.9), in the header
`signature`. The other half is never written: it stands for the record in what the manifest lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import cast

from millrace.schemas import shipped
from millrace.streams.state.records import SIGNATURE, StateRecord
from millrace.streams.state.signing import OtherKeyError, is_alone, keys_of, verified
from millrace.streams.state.succession import MisplacedError

_PURPOSE = b"a record of state"
_TAG_BYTES = 16


class Binding:
    """Signs the records of one pipeline's state, and checks them.

    Parameters
    ----------
    prefix
        Of the pipeline's topics.
    key
        Of several lines the first signs, and each is accepted.

    Examples
    --------
    >>> from millrace.streams.state.records import state_record
    >>> from millrace.streams.state.signing import sign
    >>> binding = Binding("loans.", b"secret")
    >>> record = binding.signed(0, state_record("state.x", "a", sign(b"", b"secret"), flush=3))
    >>> binding.checked(0, record) == record
    True
    >>> binding.checked(1, record)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    millrace.streams.state.succession.MisplacedError: it is signed with this key, but for ...
    """

    def __init__(self, prefix: str, key: bytes) -> None:
        self._prefix = prefix
        self._places: dict[tuple[str, int], bytes] = {}
        self._key = key
        self._keyed = [_keyed(line) for line in keys_of(key)]

    def signed(self, partition: int, record: StateRecord) -> StateRecord:
        """Return a record as it is written to a partition."""
        code = _code(self._keyed[0], self._message(partition, record))
        headers = [*record.headers, (SIGNATURE, code[:_TAG_BYTES])]
        return StateRecord(*record[:3], headers, element=_element(code))

    def checked(self, partition: int, record: StateRecord) -> StateRecord:
        """Return a record that was read from a partition, if it is genuine.

        Raises
        ------
        OtherKeyError
            It is signed with another key, or was changed.
        MisplacedError
            It is signed with the key, but not as it is here.
        SnapshotError, RecordError
            It is not signed.
        """
        signature = dict(record.headers).get(SIGNATURE)
        if not isinstance(signature, bytes):
            return self._checked_alone(record)
        message = self._message(partition, record)
        for keyed in self._keyed:
            code = _code(keyed, message)
            if compare_digest(code[:_TAG_BYTES], signature):
                is_current = keyed is self._keyed[0]
                return record._replace(element=_element(code), is_current=is_current)
        payload = payload_of(record)
        if payload is None:
            raise OtherKeyError(
                "its signature does not match this key. It was signed with another"
                " MILLRACE_STATE_KEY, so set that one; or it was copied or changed, so delete it"
            )
        verified(payload, self._key)
        raise MisplacedError(
            "it is signed with this key, but for another place: it was copied from another key,"
            " partition or pipeline, or changed"
        )

    def _checked_alone(self, record: StateRecord) -> StateRecord:
        """Return a record of release 0.1, which signed values alone, and no tombstones."""
        payload = payload_of(record)
        if payload is not None:
            verified(payload, self._key)
            if not is_alone(payload):
                raise MisplacedError("its signature is missing: it was copied or changed")
        return record._replace(is_current=False)

    def _message(self, partition: int, record: StateRecord) -> bytes:
        topic, name, value, headers, *_ = record
        key = name.encode(errors="surrogateescape")
        numbers = cast(Mapping[str, bytes | None], dict(headers))
        flush, sequence = numbers["flush"] or b"", numbers["sequence"] or b""
        place = self._places.get((topic, partition)) or self._place(topic, partition)
        kind = b"removed" if value is None else b"value"
        return b"%b %b %b %b %d %b%b" % (
            *(place, flush, sequence, kind, len(key), key),
            value or b"",
        )

    def _place(self, topic: str, partition: int) -> bytes:
        place = f"{self._prefix}{topic} {partition}".encode()
        self._places[topic, partition] = place
        return place


def payload_of(record: StateRecord) -> bytes | None:
    """Return what was dumped of a record; None where it removes its key.

    Raises
    ------
    RecordError
        The record of `models` cannot be decoded.
    """
    if record.topic != "models" or record.value is None:
        return record.value
    return shipped("model_snapshot").decode(record.value)["payload"]


def _element(code: bytes) -> int:
    return int.from_bytes(code[_TAG_BYTES:], "big")


def _keyed(key: bytes) -> blake2b:
    """Return what makes codes with a key of any length, which signs values otherwise."""
    return blake2b(key=sha256(_PURPOSE + key).digest(), digest_size=32)


def _code(keyed: blake2b, message: bytes) -> bytes:
    hashed = keyed.copy()
    hashed.update(message)
    return hashed.digest()
