"""Which records come in their order, and which were put where they are by somebody."""

from __future__ import annotations

from millrace.schemas import SnapshotError
from millrace.streams.state.records import StateRecord


class MisplacedError(SnapshotError):
    """A record is signed with the key, but was copied, put back or changed."""


class Succession:
    """The records of one partition as they come: of each flush behind those of the flush before.

    Attributes
    ----------
    newest
        The number of the newest flush; -1 before any record that is signed with its place.
    """

    def __init__(self) -> None:
        self.newest = -1

    def take(self, record: StateRecord) -> None:
        """Take the next record.

        Raises
        ------
        MisplacedError
            It is of an earlier flush than one before it; or it is not signed with its place, and
            one before it is.
        """
        if not record.is_bound:
            if self.newest >= 0:
                raise MisplacedError(
                    "it is not signed with its place, which only release 0.1 wrote, and what is"
                    " before it is: it was put there"
                )
        elif record.flush < self.newest:
            raise MisplacedError(
                f"it is of flush {record.flush}, and behind what flush {self.newest} has written:"
                " it was put back"
            )
        else:
            self.newest = record.flush

    def pass_over(self, record: StateRecord, error: Exception) -> None:
        """Note one that does not count."""
