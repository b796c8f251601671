"""One partition's chain of operators: the pure heart of an agent.

A task holds the operators of one agent for one partition and passes slices of records through
them. What the next operator in the chain reads goes to it by a function call; the rest is
returned, to be written to topics.

A slice goes through one operator after the other. That is equivalent to passing one record at a
time (each operator sees the same records in the same order), and what operators do for a slice as
a whole costs a fraction. Where prediction and learning share an agent, and so the models,
prediction calls learning itself: models have learned from a record before the next is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from millrace.models.identity.reference import Reference
from millrace.schemas.records import AcceptedCommand
from millrace.streams.control.commands import BRINGS_DEFINITION, COMMANDED, SNAPSHOT, spec_of
from millrace.streams.control.in_force import InForceThen
from millrace.streams.operators.audit import NO_EFFECT, TRAIL_STORE, AuditTrail, Cause, audited
from millrace.streams.operators.base import Operator, Tally
from millrace.streams.operators.columns import Made, PredictionColumns, as_records
from millrace.streams.operators.deployment import Deployment, definition_applied
from millrace.streams.operators.keyed_state import StateStore
from millrace.streams.operators.record import (
    NOWHERE,
    AcceptedRecord,
    AuditRecord,
    CommandRecord,
    Record,
)
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.topics import CARRIERS, INTERNAL


class Task:
    """The operators of one agent for one partition.

    Parameters
    ----------
    operators
        In the order in which a record meets them.
    clock_ms
        Milliseconds since the Unix epoch: stamped on predictions as they leave, and read
        nowhere else.
    definition
        The reference of the definition that they are made of.
    """

    def __init__(
        self, operators: Sequence[Operator], clock_ms: Callable[[], int], definition: str = ""
    ) -> None:
        self._chain = operators
        self.operators = tuple(each for one in operators for each in (one, *one.nested))
        self._clock_ms = clock_ms
        self._definition = definition
        written = {topic for each in operators for topic in each.topics.writes}
        self._read_later = {t for each in operators[1:] for t in each.topics.reads} - written
        self._joined = INTERNAL & {t for each in self.operators for t in each.topics.reads}
        self._passes_on = [*(CARRIERS & written - self._joined)]
        self._names = frozenset(each.name for each in self.operators)
        self._trail = AuditTrail("-".join(each.name for each in self.operators))
        self._writes_audit = any("audit" in each.topics.writes for each in self.operators)
        self._is_commanded = not self._names.isdisjoint(COMMANDED)

    def fold(self, slice_: Slice) -> list[Made]:
        """Fold a slice into the state and return what is to be written.

        A command is applied once all that is before it has gone through the whole chain.
        """
        if AcceptedRecord in {*map(type, slice_.parts)}:
            published = self._fold_around_commands(slice_)
        else:
            published = self._fold(slice_)
        self._stamp(published)
        return published

    def _fold_around_commands(self, slice_: Slice) -> list[Made]:
        published: list[Made] = []
        before: list[Made] = []
        for each in slice_.parts:
            if isinstance(each, AcceptedRecord):
                published += [*self._fold(Slice(before)), *self._apply(each)]
                before = []
            else:
                before.append(each)
        return published + self._fold(Slice(before))

    def _fold(self, slice_: Slice) -> list[Made]:
        published: list[Made] = []
        for_later = slice_.of(self._read_later) if self._read_later else []
        for operator in self._chain:
            made = operator.fold(slice_)
            published += [each for each in made if each.topic not in self._joined]
            slice_ = Slice(made + for_later)
        return published

    def _apply(self, command: AcceptedRecord) -> list[Made]:
        """Apply a command, and pass it on to the agents that read what this one writes."""
        spec = spec_of(command.value["command"])
        made = self._pass_on(command)
        if not spec.operators & self._names or not self._trail.take(command):
            return made
        changes: list[Made] = []
        if command.value["command"] not in BRINGS_DEFINITION:  # else it brings the one in force
            changes = self._changes(command)
        if spec.is_routine:
            return made + changes
        return made + (changes or [_come_to(command)])

    def _changes(self, command: AcceptedRecord) -> list[Made]:
        """Let the operators that a command is for do what it asks; return what that leads to."""
        concerned = spec_of(command.value["command"]).operators
        operators = (each for each in self.operators if each.name in concerned)
        return [each for operator in operators for each in operator.apply(command)]

    def awaits(self, command: AcceptedRecord) -> bool:
        """Whether a command has not been applied yet."""
        return self._trail.awaits(command)

    @property
    def version(self) -> str:
        """The version of its state that a command has asked for last; empty where none has."""
        return self._trail.version

    def _pass_on(self, command: AcceptedRecord) -> list[Made]:
        return [AcceptedRecord(command.value, command.origin, each) for each in self._passes_on]

    def begin(self, beginning: InForceThen) -> None:
        """Begin, without state, with what commands before the log have made of the models."""
        number, _, champion, is_paused = beginning
        commands = [("promote", {"model": champion})] * bool(champion)
        commands += [("pause", {})] * is_paused
        for name, arguments in commands:
            value = AcceptedCommand(
                number=number, id="", command=name, arguments=arguments, who="", why=""
            )
            self._changes(AcceptedRecord(value, NOWHERE))

    def inherit(self, before: Task, command: AcceptedRecord) -> list[Made]:
        """Take over from the task of the definition before, at the place of a deploy.

        This one has been made of the new definition, and has folded nothing; the other one has
        folded all that is before the command, and is not used again: its stores go on here, the
        same objects. A save of them that is going on has to be given up first.

        Returns
        -------
        list
            What is to be written: the command, where it is passed on, and what has changed.

        Raises
        ------
        DefinitionError
            The candidate that serves is not in this definition.
        """
        self._trail = before._trail
        made = self._pass_on(command)
        others = {each.name: each for each in before.operators}
        was, now = (each.operators[0].pipeline for each in (before, self))
        deployment = Deployment.between(was, now, command)
        changed = deployment.effects("features")  # whose operator may be of an agent without audit
        for each in self.operators:
            changed += each.inherit(others[each.name], deployment)
            each.tally.update(others[each.name].tally)
        if self._trail.take(command) and self._writes_audit:
            made += [*deployment.applied(Reference.of(before._definition)), *changed]
        self._stamp(made)
        return made

    def run(self, slice_: Slice) -> list[Record]:
        """Fold a slice, and return what is to be written with an object for each record."""
        return as_records(self.fold(slice_))

    def stores(self) -> Iterator[tuple[str, StateStore]]:
        """Return every store under its full name, `<operator>/<store>`."""
        for operator in self.operators:
            for name, store in operator.stores.items():
                yield f"{operator.name}/{name}", store
        if self._writes_audit or (self._is_commanded and any(each.stores for each in self._chain)):
            yield TRAIL_STORE, self._trail.state

    def take_tally(self) -> Tally:
        """Return what happened since the last call, and start counting from zero."""
        total: Tally = Counter()
        for operator in self.operators:
            total += operator.tally
            operator.tally.clear()
        return total

    def _stamp(self, published: Iterable[Made]) -> None:
        now_ms = self._clock_ms()
        for each in published:
            if isinstance(each, PredictionColumns):
                each.prediction_time_ms = now_ms
            elif isinstance(each, CommandRecord):
                each.value["time_ms"] = now_ms
            elif isinstance(each, AuditRecord):
                self._trail.add(each)


def _come_to(command: AcceptedRecord) -> AuditRecord:
    """Return the record that says that a task has come to the place of a command."""
    if command.value["command"] == SNAPSHOT:
        version = command.value["arguments"]["version"]
        return audited(Cause.of(command), "version", "asked_for", after=version)
    if command.value["command"] in BRINGS_DEFINITION:
        return definition_applied(command)
    return audited(Cause.of(command), "command", NO_EFFECT)
