"""What a manifest lists: all entries of a partition, as one digest.

A list of a million entries is too long to be written at each save. So each entry is a number of
128 bits that nobody can know without the key (`binding`), and the digest is that of their XOR. A
save brings it up to date by what it writes. That it is a digest matters: whoever knew many XORs
could find entries that make the same one.

Parts of large entries are not listed: the entry says what they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from hashlib import sha256
from operator import xor

from millrace.streams.state.parts import is_part
from millrace.streams.state.records import StateRecord


class Listed:
    """The entries of one partition, kept up to date from save to save.

    Parameters
    ----------
    elements
        Key of each entry to the number that stands for it.

    Examples
    --------
    >>> from millrace.streams.state.records import state_record
    >>> listed = Listed({"a": 1, "b": 2})
    >>> listed.begin()
    >>> listed.note(state_record("state.x", "b", None))
    >>> listed.digest() == digest_of([1]), listed.digest() == digest_of([1, 2])
    (True, False)
    """

    def __init__(self, elements: Mapping[str, int] | None = None) -> None:
        self._elements = dict(elements or {})
        self._changed: dict[str, int] = {}
        self._saved = self._sum = _sum(self._elements.values())

    def begin(self) -> None:
        """Begin a save; the one before, if it has not ended, is given up."""
        self._changed, self._sum = {}, self._saved

    def note(self, record: StateRecord) -> None:
        """Take in a record of the save: an entry, a part of one, or what removes it."""
        key = record.key
        if is_part(key):
            return
        before = self._changed.get(key)
        if before is None:
            before = self._elements.get(key, 0)
        now = 0 if record.value is None else record.element or 0
        self._changed[key] = now
        self._sum ^= before ^ now

    def end(self) -> None:
        """Note that the save was committed."""
        for key, element in self._changed.items():
            if element:
                self._elements[key] = element
            else:
                self._elements.pop(key, None)
        self._changed, self._saved = {}, self._sum

    def digest(self) -> bytes:
        """Return what the manifest says of the entries as they are with this save."""
        return _digest(self._sum)


def digest_of(elements: Iterable[int]) -> bytes:
    """Return what a manifest says of entries that these numbers stand for."""
    return _digest(_sum(elements))


def _sum(elements: Iterable[int]) -> int:
    return reduce(xor, elements, 0)


def _digest(total: int) -> bytes:
    return sha256(total.to_bytes(16, "big")).digest()
