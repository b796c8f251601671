"""A signature that binds a record of state to its place, so that it counts nowhere else.

What is signed is all that says what a record means: the topic with its pipeline, the partition, the
key, the flush, the sequence, and the value, or that there is none. Who may write to a topic, but
has no key, can then put back only a record that was there before, at the same place; that it is
behind a newer one is seen by its flush (`found`), and that it is there instead of a newer one by
what the manifest lists (`listed`).

The signature is the first half of an HMAC-SHA256, in the header `signature`. The other half is
never written: it stands for the record in what the manifest lists.
"""

from __future__ import annotations

import hmac

from millrace.schemas import shipped
from millrace.streams.state.records import SIGNATURE, StateRecord
from millrace.streams.state.signing import OtherKeyError, is_alone, keys_of, verified
from millrace.streams.state.succession import MisplacedError

_KIND = b"MRR\1"
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
        self._key = key
        self._keys = keys_of(key)

    def signed(self, partition: int, record: StateRecord) -> StateRecord:
        """Return a record as it is written to a partition."""
        code = self._code(self._keys[0], self._message(partition, record))
        headers = [*record.headers, (SIGNATURE, code[:_TAG_BYTES])]
        return record._replace(headers=headers, element=_element(code))

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
        for key in self._keys:
            code = self._code(key, message)
            if hmac.compare_digest(code[:_TAG_BYTES], signature):
                is_current = key == self._keys[0]
                return record._replace(element=_element(code), is_current=is_current)
        payload = payload_of(record)
        if payload is None:
            raise OtherKeyError(
                "its signature does not match this key. It was signed with another"
                " MILLRACE_STATE_KEY: set that one; or it was copied or changed: delete it"
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
        key = record.key.encode(errors="surrogateescape")
        place = f"{self._prefix}{record.topic} {partition} {record.flush} {record.sequence}"
        end = f" {len(key)} {record.value is not None:d} "
        return b"".join((_KIND, place.encode(), end.encode(), key, record.value or b""))

    @staticmethod
    def _code(key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, "sha256")


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
