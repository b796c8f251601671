"""Control: what is asked for is accepted or refused, once, and comes into the log.

Reads `commands`. What it accepts it numbers and writes to every partition of the first topic that
joins two agents: `clean`, or `control` where ingest shares its agent with feature. There each task
applies it, at its place among events and labels. What it accepts and what it refuses, and why, is
in `audit`; what cannot be read at all is also in `rejects`. State: what is in force, and the ids
of past commands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Self

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import CommandError, RecordError, RejectReason
from millrace.schemas.records import AcceptedCommand, Command
from millrace.streams.control.commands import COMMANDS, DEPLOY, RULE, UNTOLD, check_form, spec_of
from millrace.streams.control.in_force import InForce
from millrace.streams.control.signature import check_deploy, check_signature
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.base import RecordOperator, Topics
from millrace.streams.operators.context import CommandTopic, Context
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AcceptedRecord, Origin, Record
from millrace.streams.sources.commands import read_command

_MOST_IDS = 100_000
_LONGEST_ID = 1_000
_MOST_TOLD = 65_536  # characters: they go to every partition, and into `audit`
_STATE = "state"


class ControlOperator(RecordOperator):
    """Accept or refuse each command.

    Parameters
    ----------
    pipeline
        The definition that is in force before the first command.
    target
        Where accepted commands go.
    key
        What commands must be signed with; empty: they need no signature.
    bundle_keys
        What definitions that are deployed must be signed with, one of these; without any, they need
        no signature.
    """

    name = "control"

    def __init__(
        self,
        pipeline: Pipeline,
        target: CommandTopic,
        key: bytes = b"",
        bundle_keys: Sequence[bytes] = (),
    ) -> None:
        self._target = target
        self._key = key
        self._bundle_keys = bundle_keys
        self._in_force: KeyedState[Mapping[str, Any]] = KeyedState()
        self._ids: KeyedState[int] = KeyedState(_MOST_IDS)
        self._at_first = InForce(
            models=tuple(pipeline.models), champion=pipeline.champion, prefix=f"{pipeline.name}."
        )
        topics = self.topics_in([self.name])
        super().__init__(pipeline, topics, in_force=self._in_force, ids=self._ids)

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:  # noqa: ARG003 - the same in each
        writes = frozenset({"clean", "control", "audit", "rejects"})
        return Topics(frozenset({"commands"}), writes)

    @classmethod
    def make(cls, context: Context) -> Self:
        keys = context.command_key, context.bundle_keys
        return cls(context.pipeline, context.commands_to, *keys)

    @property
    def in_force(self) -> InForce:
        """What is in force now."""
        saved = self._in_force.get(_STATE)
        return self._at_first if saved is None else replace(self._at_first, **saved)

    def process(self, record: Record) -> Iterable[Record]:
        origin = record.origin
        try:
            command = read_command(origin.value)
            _check_size(command)
        except RecordError as error:
            self.tally["command", "unreadable", "refused"] += 1
            cause = Cause("", "", origin)
            refused = audited(cause, "command", "refused", evidence={"reason": error.detail})
            return [refused, self._reject("event", origin, error.reason, error.detail)]
        return self._answer(command, origin)

    def _answer(self, command: Command, origin: Origin) -> list[Record]:
        if command["who"] == RULE and command["id"] in self._ids:
            return []  # it asks until it sees that another one serves
        id_ = command["id"] or f"{origin.full_topic or origin.topic}@{origin.offset}"
        name, arguments = command["command"], command["arguments"]
        cause = Cause(command["who"], command["why"], origin, id_)
        label = name if name in COMMANDS else "unknown"
        told = {each: value for each, value in arguments.items() if each not in UNTOLD}
        evidence = {"command": name} | told | {"command": name}  # first, and not overwritten
        before = replace(self.in_force, time_ms=origin.timestamp_ms)
        try:
            self._check_place(id_, origin)
            self._check_signature(command, origin)
            check_form(name, arguments)
            if name == DEPLOY and self._bundle_keys:
                check_deploy(before.prefix, arguments, self._bundle_keys)
            spec = spec_of(name)
            after = spec.takes(before, arguments)
        except CommandError as error:
            self.tally["command", label, "refused"] += 1
            evidence["reason"] = str(error)
            return [audited(cause, "command", "refused", evidence=evidence)]
        self.tally["command", label, "accepted"] += 1
        number = before.number + 1
        after = replace(after, number=number)
        if not spec.is_routine:
            self._ids[id_] = number
        self._in_force[_STATE] = asdict(after)
        told |= spec.tells(after)
        accepted = AcceptedCommand(
            number=number,
            id=id_,
            command=name,
            arguments=told,
            who=command["who"],
            why=command["why"],
        )
        topic, partitions = self._target
        partitions = partitions if spec.operators else 0
        written = [AcceptedRecord(accepted, origin, topic, each) for each in range(partitions)]
        if spec.is_routine:
            return [*written]
        evidence |= told | {"partitions": str(partitions)}
        told_of = audited(cause, "command", "accepted", evidence=evidence, after=str(number))
        return [told_of, *written]

    def _check_signature(self, command: Command, origin: Origin) -> None:
        if self._key:
            check_signature(
                origin.value or b"",
                origin.headers,
                id_=command["id"],
                written_ms=command["time_ms"],
                received_ms=origin.timestamp_ms,
                key=self._key,
            )

    def _check_place(self, id_: str, origin: Origin) -> None:
        if len(id_) > _LONGEST_ID:
            raise CommandError(
                f"the id of a command must have at most {_LONGEST_ID} characters; got {len(id_)}"
            )
        if id_ in self._ids:
            raise CommandError(f"the id of a command must be new; {id_!r} has come before")
        if origin.partition != 0:
            raise CommandError(f"commands must be on partition 0; got {origin.partition}")


def _check_size(command: Command) -> None:
    texts = [command["id"] or "", command["command"], command["who"], command["why"]]
    for name, value in command["arguments"].items():
        texts += [name, "" if name in UNTOLD else value]
    size = sum(map(len, texts))
    if size > _MOST_TOLD:
        detail = f"a command must have at most {_MOST_TOLD:,} characters; got {size:,}"
        raise RecordError(RejectReason.OVERSIZED, detail)
