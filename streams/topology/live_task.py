"""A task, and its definition at each place in the log.

Where a definition is deployed, a new task takes over from the one before, between two records.
What comes after is decoded, too, as the new definition has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from millrace.schemas import RejectReason
from millrace.schemas.records import AcceptedCommand
from millrace.streams.control.commands import BRINGS_DEFINITION, DEPLOY, SNAPSHOT
from millrace.streams.control.in_force import Skipped
from millrace.streams.operators.columns import Made
from millrace.streams.operators.record import (
    NOWHERE,
    AcceptedRecord,
    Origin,
    PredictionRecord,
    Record,
    RejectRecord,
    place_of,
    reject,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task


class Definition(NamedTuple):
    """What one agent makes of a definition.

    Attributes
    ----------
    digest
        Its reference: the digest of its bundle, and what was set since.
    factory
        Makes tasks.
    codec
        Bytes to records.
    """

    digest: str
    factory: TaskFactory
    codec: TopicCodec


class FindDefinition(Protocol):
    """Finds definitions for one agent."""

    def __call__(self, digest: str) -> Definition:
        """Return the definition of a digest.

        Raises
        ------
        DefinitionError
            It is not there, or cannot be imported here.
        """
        ...

    def renewed(self, definition: Definition) -> Definition:
        """Return the same definition, which reads events of all schemas that are known by now."""
        ...


class Folded(NamedTuple):
    """What records have led to, and the dead letters of those that could not be decoded.

    `rest` are those that were not folded.
    """

    made: list[Made]
    undecodable: list[RejectRecord]
    rest: Sequence[Origin] = ()


class LiveTask:
    """The task of one partition, whichever definition it has.

    Parameters
    ----------
    definition
        The one to begin with.
    find
        Finds others.
    skipped
        Records that are rejected without being folded; there may be more from one slice to the
        next. A command is never skipped.

    Attributes
    ----------
    task
        The task of today.
    definition
        Its definition.
    before_change
        Called before another definition takes over the state.
    folding
        The records that are being folded.
    """

    def __init__(
        self,
        definition: Definition,
        find: FindDefinition,
        skipped: Collection[Skipped] = frozenset(),
    ) -> None:
        self.definition = definition
        self.task: Task = definition.factory.make()
        self.before_change: Callable[[], object] = lambda: None
        self.folding: Sequence[Origin] = ()
        self._find = find
        self._skipped = skipped

    def fold(self, origins: Sequence[Origin], *, to_snapshot: bool = False) -> Folded:
        """Decode records and pass them through the task, each as the definition has it there.

        Parameters
        ----------
        to_snapshot
            Whether to stop behind a command that asks for a snapshot.

        Raises
        ------
        DefinitionError
            A definition that is deployed here cannot be imported.
        """
        self.folding = origins
        try:
            return self._fold(origins, to_snapshot)
        finally:
            self.folding = ()

    def _fold(self, origins: Sequence[Origin], to_snapshot: bool) -> Folded:
        records, undecodable = self._decoded(origins)
        cut = self._first_change(records)
        if cut is None:
            return Folded(self.task.fold(Slice(records)), undecodable)
        change = records[cut]
        place = origins.index(change.origin)
        before = [each for each in undecodable if origins.index(each.origin) < place]
        made = self.task.fold(Slice(records[:cut]))
        if isinstance(change, AcceptedRecord):
            is_snapshot = change.value["command"] == SNAPSHOT
            made += self.task.fold(Slice([change])) if is_snapshot else self._deploy(change)
            place += 1
            if is_snapshot and to_snapshot:
                return Folded(made, before, origins[place:])
        elif isinstance(change, PredictionRecord):
            self.follow(change.value["definition"], change.origin)
        after = self._fold(origins[place:], to_snapshot)
        return Folded(made + after.made, before + after.undecodable, after.rest)

    def follow(self, digest: str, origin: Origin = NOWHERE) -> None:
        """Go on under another definition, where a record says so, and no command."""
        if digest == self.definition.digest:
            return
        value = AcceptedCommand(
            number=0, id="", command=DEPLOY, arguments={"definition": digest}, who="", why=""
        )
        self._change(AcceptedRecord(value, origin))

    def _decoded(self, origins: Sequence[Origin]) -> tuple[list[Record], list[RejectRecord]]:
        records, undecodable = self.definition.codec.decode_all(origins)
        reasons = {each.value["reason"] for each in undecodable}
        if RejectReason.UNKNOWN_SCHEMA.value in reasons:
            renewed = self._find.renewed(self.definition)
            if renewed is not self.definition:
                self.definition = renewed
                records, undecodable = renewed.codec.decode_all(origins)
        if self._skipped:
            undecodable += [_as_skipped(each) for each in records if self._is_skipped(each)]
            undecodable.sort(key=lambda each: origins.index(each.origin))
            records = [each for each in records if not self._is_skipped(each)]
        return records, undecodable

    def _is_skipped(self, record: Record) -> bool:
        is_named = place_of(record.origin) in self._skipped
        return is_named and not isinstance(record, AcceptedRecord)

    def _first_change(self, records: Sequence[Record]) -> int | None:
        """Return which record is the first that slices are cut at, if one is."""
        if {AcceptedRecord, PredictionRecord}.isdisjoint(map(type, records)):
            return None
        return next((at for at, each in enumerate(records) if self._is_change(each)), None)

    def _is_change(self, record: Record) -> bool:
        if isinstance(record, AcceptedRecord):
            return record.value["command"] in {SNAPSHOT, *BRINGS_DEFINITION}
        if isinstance(record, PredictionRecord):
            return record.value["definition"] not in ("", self.definition.digest)
        return False

    def _deploy(self, command: AcceptedRecord) -> list[Made]:
        """Let a task of another definition take over at a command."""
        is_same = command.value["arguments"]["definition"] == self.definition.digest
        if is_same or not self.task.awaits(command):
            return self.task.fold(Slice([command]))
        return self._change(command)

    def _change(self, command: AcceptedRecord) -> list[Made]:
        definition = self._find(command.value["arguments"]["definition"])
        self.before_change()
        task = definition.factory.make()
        made = task.inherit(self.task, command)
        self.task, self.definition = task, definition
        return made


def _as_skipped(record: Record) -> RejectRecord:
    return reject(record.origin, RejectReason.SKIPPED, "the command `skip` names this record")
