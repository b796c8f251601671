"""Which records a process is folding, said where others can read it while user code hangs.

It is in a small file that the supervisor opens for each of its processes. One that begins anew
finds there what the one before it was folding when it ended, and folds these one by one: so what
hangs again is known to the record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple, Self

from millrace.streams.control.in_force import Skipped
from millrace.streams.operators.record import Origin, place_of

_SIZE = 1024  # bytes: names of agents and topics are shorter


class Folding(NamedTuple):
    """Consecutive records that an agent is folding.

    Examples
    --------
    >>> str(Folding("feature", ("loans.clean", 0, 7), ("loans.clean", 0, 7)))
    'loans.clean[0]@7 (agent feature)'
    >>> str(Folding("feature", ("loans.clean", 0, 7), ("loans.clean", 0, 9)))
    'loans.clean[0]@7 to loans.clean[0]@9 (agent feature)'
    """

    agent: str
    first: Skipped
    last: Skipped

    @classmethod
    def read(cls, file: int) -> Self | None:
        """Return what a file says; None where nothing is being folded."""
        text = os.pread(file, _SIZE, 0)
        if not text.startswith(b"["):
            return None
        agent, first, last = json.loads(text)
        return cls(agent, tuple(first), tuple(last))

    def includes_end(self, origin: Origin) -> bool:
        """Whether a record is the last of these, or behind it."""
        topic, partition, offset = place_of(origin)
        return (topic, partition) == self.last[:2] and offset >= self.last[2]

    def __str__(self) -> str:
        first, last = ("{}[{}]@{}".format(*each) for each in (self.first, self.last))
        return f"{first if first == last else f'{first} to {last}'} (agent {self.agent})"


class FoldingNote:
    """Says what this process is folding.

    Parameters
    ----------
    file
        Descriptor of the file; None where nobody reads it.

    Attributes
    ----------
    before
        What the process before this one was folding when it ended; None for nothing.
    """

    def __init__(self, file: int | None = None) -> None:
        self._file = file
        self.before = None if file is None else Folding.read(file)

    def begin(self, agent: str, origins: Sequence[Origin]) -> None:
        """Say that these are being folded."""
        if self._file is not None:
            ends = place_of(origins[0]), place_of(origins[-1])
            os.pwrite(self._file, json.dumps([agent, *ends]).encode().ljust(_SIZE), 0)

    def end(self) -> None:
        """Say that nothing is."""
        if self._file is not None:
            os.pwrite(self._file, b" ", 0)
