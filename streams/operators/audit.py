"""What an agent writes of the changes that it makes, as a chain that shows a break.

Each record has the digest of the one before it. The newest digest is in the state of the agent,
which nobody else writes: so a record that is changed, left out or added later is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from millrace.schemas.records import Audit
from millrace.streams.control.commands import SNAPSHOT
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AcceptedRecord, AuditRecord, Origin, writable

NO_EFFECT = "no_effect"
"""The action of a command that has changed nothing."""

TRAIL_STORE = "audit/trail"
"""Full name of the store that holds the state of a trail."""

HEAD = "head"
"""Its entry that holds the number and the digest of the newest record."""

_COMMAND = "command"
_VERSION = "version"


class Cause(NamedTuple):
    """Why something was changed.

    Attributes
    ----------
    who
        Who asked for it, or the rule that did it.
    why
        The reason.
    origin
        The record that led to it.
    command_id
        Of the command; None where a rule did it.
    """

    who: str
    why: str
    origin: Origin
    command_id: str | None = None

    @classmethod
    def of(cls, command: AcceptedRecord) -> Cause:
        """Return a command as a cause."""
        value = command.value
        return cls(value["who"], value["why"], command.origin, value["id"])


def audited(
    cause: Cause,
    subject: str,
    action: str,
    *,
    before: str | None = None,
    after: str | None = None,
    evidence: Mapping[str, str] | None = None,
) -> AuditRecord:
    """Return the record of a change; the trail of its agent gives it its place in the chain.

    It can always be written, whatever a command has in it: one that is not written is a gap.
    """
    origin = cause.origin
    value = Audit(
        writer="",
        number=0,
        time_ms=origin.timestamp_ms,
        subject=writable(subject),
        action=action,
        who=writable(cause.who),
        why=writable(cause.why),
        command_id=_writable_or_none(cause.command_id),
        evidence={writable(name): writable(each) for name, each in (evidence or {}).items()},
        before=_writable_or_none(before),
        after=_writable_or_none(after),
        topic=origin.full_topic or origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        previous="",
        digest="",
    )
    return AuditRecord(value, origin)


def _writable_or_none(text: str | None) -> str | None:
    return None if text is None else writable(text)


class AuditTrail:
    """The chain of one agent in one partition, and the last command that was applied there.

    Parameters
    ----------
    writer
        The agent.

    Attributes
    ----------
    state
        The number and the digest of the last record, the number of the last command, and the
        version that was asked for last.

    Examples
    --------
    >>> cause = Cause("anna", "a trial", Origin("commands", 0, 7, 0, None, None))
    >>> trail, records = AuditTrail("learning"), [audited(cause, "champion", "applied")] * 2
    >>> for record in records:
    ...     trail.add(record)
    >>> trail.state["head"][0], records[1].value["digest"] == digest_of(records[1].value)
    (2, True)
    """

    def __init__(self, writer: str) -> None:
        self.state: KeyedState[tuple[int, str]] = KeyedState()
        self._writer = writer

    def add(self, record: AuditRecord) -> None:
        """Give a record its place in the chain."""
        number, previous = self.state.get(HEAD, (0, ""))
        value = record.value
        value["writer"], value["number"], value["previous"] = self._writer, number + 1, previous
        value["digest"] = digest_of(value)
        self.state[HEAD] = number + 1, value["digest"]

    def awaits(self, command: AcceptedRecord) -> bool:
        """Whether a command is to be applied: once, though it may be read again."""
        number, _ = self.state.get(_COMMAND, (0, ""))
        return command.value["number"] > number

    def take(self, command: AcceptedRecord) -> bool:
        """Whether a command is to be applied now; from then on it is not any more."""
        if not self.awaits(command):
            return False
        value = command.value
        self.state[_COMMAND] = value["number"], value["id"]
        if value["command"] == SNAPSHOT:
            self.state[_VERSION] = value["number"], value["arguments"]["version"]
        return True

    @property
    def version(self) -> str:
        """The version that a command has asked for last; empty where none has."""
        return self.state.get(_VERSION, (0, ""))[1]


def digest_of(value: Audit) -> str:
    """Return the digest of an audit record, from all fields but the digest itself."""
    content = {name: each for name, each in value.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()
