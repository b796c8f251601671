"""A deploy at its place in the log: what the operators of another definition take over by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from millrace.models.identity.changes import changes
from millrace.models.identity.definition import describe, place
from millrace.models.identity.reference import Reference
from millrace.models.identity.summary import Changes
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.settings import text_of
from millrace.streams.control.commands import SET
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.record import AcceptedRecord, AuditRecord


class Deployment(NamedTuple):
    """A deploy, or another command that brings a definition.

    Attributes
    ----------
    command
        At its place.
    before, now
        The definitions.
    changes
        What it changes.
    """

    command: AcceptedRecord
    before: Pipeline
    now: Pipeline
    changes: Changes

    @classmethod
    def between(cls, before: Pipeline, now: Pipeline, command: AcceptedRecord) -> Deployment:
        """Return what a command changes that brings one definition after another.

        Whether the one may follow the other was decided when the command was accepted.
        """
        return cls(command, before, now, changes(describe(before), describe(now)))

    @property
    def number(self) -> int:
        """Of the command."""
        return self.command.value["number"]

    def kept(self, parameter: str, names: Iterable[str]) -> frozenset[str]:
        """Return which of a parameter's parts, by name, are what they were."""
        return frozenset(each for each in names if place(parameter, each) in self.changes.kept)

    def applied(self, before: Reference) -> list[AuditRecord]:
        """Return the records that say that a task has come to the command, and what it sets.

        Parameters
        ----------
        before
            Names the definition before; what was set in it ends with a deploy.
        """
        action, names = "unset", sorted(before.settings)
        if self.command.value["command"] == SET:
            action, names = "set", [self.command.value["arguments"]["name"]]
        settings = {
            name: f"{was!r} -> {now!r}" for name, (was, now) in self.changes.settings.items()
        }
        applied = definition_applied(self.command, str(before), settings)
        return [applied, *(self._of_setting(name, action) for name in names)]

    def _of_setting(self, name: str, action: str) -> AuditRecord:
        was, now = (text_of(each, name) for each in (self.before, self.now))
        return audited(Cause.of(self.command), name, action, before=was, after=now)

    def effects(self, *parameters: str) -> list[AuditRecord]:
        """Return the parts of some parameters that begin, begin anew or end."""
        changed = self.changes
        return [
            self.effect(part, action)
            for action, parts in (
                ("begins", changed.added),
                ("begins_anew", changed.changed),
                ("ends", changed.removed),
            )
            for part in parts
            if _is_of(part, parameters)
        ]

    def effect(self, subject: str, action: str) -> AuditRecord:
        """Return the record of an effect."""
        return audited(Cause.of(self.command), subject, action)


def definition_applied(
    command: AcceptedRecord,
    before: str | None = None,
    evidence: Mapping[str, str] | None = None,
) -> AuditRecord:
    """Return the record that says that a task has the definition that a command brings."""
    after = command.value["arguments"]["definition"]
    return audited(
        Cause.of(command), "definition", "applied", before=before, after=after, evidence=evidence
    )


def _is_of(part: str, parameters: Collection[str]) -> bool:
    return any(part == each or part.startswith(f"{each}[") for each in parameters)
