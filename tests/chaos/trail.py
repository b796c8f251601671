"""What commands come to, by the book, and whether the audit says so: each once, in every partition.

The book shares no code with the operator `control`. From the order in which commands stand on their
topic it says which are accepted, and which are refused for what.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from millrace.schemas import RecordError
from millrace.schemas.records import Audit
from millrace.streams.control.commands import RULE
from millrace.streams.operators.record import AcceptedRecord, Record
from millrace.streams.sources.commands import read_command

WRONG: Mapping[bytes | None, str] = {
    b"pause": "must be JSON or Avro",
    None: "has no value",
    b"[]": "must be an object",
    b"\xc3\x01\x00": "",  # Avro's marker, and little behind it
    b'{"command": "explode"}': "command must be one of",
    b'{"command": "promote"}': "promote must have the argument model",
    b'{"command": "promote", "arguments": {"modle": "forest"}}': "promote must have the argument",
    b'{"command": "promote", "arguments": {"model": ["forest"]}}': "field 'arguments",
    b'{"command": "reset", "arguments": {"model": "nobody"}}': "model must be one of",
    b'{"command": "pause", "arguments": {"until": "monday"}}': "pause must have no arguments",
    b'{"command": "rollback", "id": "' + b"x" * 2_000 + b'"}': "at most 1000 characters",
    b'{"command": "deploy", "arguments": {"definition": "f00", "description": "{}"}}': (
        "deploy must have the argument signature"
    ),
    (
        b'{"command": "deploy", "arguments": {"definition": "f00", "description": "{}",'
        b' "signature": "f00"}}'
    ): "deploy must be signed with MILLRACE_STATE_KEY",
    b'{"command": "set", "arguments": {"name": "drift.polcy", "value": "reset"}}': (
        "name must be one of drift.policy"
    ),
    b'{"command": "set", "arguments": {"name": "drift.policy", "value": "retrain"}}': (
        "drift.policy must be one of 'alert', 'reset', 'replace'"
    ),
}
"""Commands that are refused whatever is in force, each with a part of the reason."""

_FIXED = ("name", "event_id", "key", "event_time", "task", "label", "scope")
_RIVAL = ".challenger@"


def is_by_rule(value: bytes | None) -> bool:
    """Whether a record of `commands` is what the pipeline's own rule asks for."""
    try:
        return read_command(value)["who"] == RULE
    except RecordError:
        return False


@dataclass
class CommandBook:
    """Keeps the account of one pipeline's commands.

    Attributes
    ----------
    accepted
        Ids of what was accepted, in order.
    history
        Digests of the definitions that were deployed, in order.
    champions
        Id of what was accepted to who serves from its place on.
    answers_to_rule
        What the pipeline's own rule has asked for, with the answer, to how often.
    """

    champion: str
    models: list[str]
    accepted: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    champions: dict[str, str] = field(default_factory=dict)
    answers_to_rule: Counter[tuple[str, str]] = field(default_factory=Counter)
    _former: list[str] = field(default_factory=list)
    _is_paused: bool = False
    _description: dict[str, Any] | None = None
    _settings: dict[str, str] = field(default_factory=dict)

    def take(self, value: bytes | None) -> str | None:
        """Enter a command; return a part of the reason if it is refused, None if it is accepted."""
        if value in WRONG:
            return WRONG[value]
        command = read_command(value)
        id_, name = command["id"] or "", command["command"]
        if id_ in self.accepted:
            return "has come before"
        reason: str | None = getattr(self, f"_{name}")(**command["arguments"])
        if reason is None:
            self.accepted.append(id_)
            self.champions[id_] = self.champion
        if command["who"] == RULE:
            self.answers_to_rule[name, "accepted" if reason is None else "refused"] += 1
        return reason

    def _pause(self) -> str | None:
        if self._is_paused:
            return "paused already"
        self._is_paused = True
        return None

    def _resume(self) -> str | None:
        if not self._is_paused:
            return "not paused"
        self._is_paused = False
        return None

    def _reset(self, model: str) -> str | None:
        return None if model in self.models else "model must be one of"

    def _promote(self, model: str, champion: str | None = None) -> str | None:
        incumbent, _, rival = model.partition(_RIVAL)
        if incumbent not in self.models:
            return "model must be one of"
        if champion not in (None, self.champion):
            return "champion must be"
        if incumbent == self.champion:
            return None if rival else "another than the champion"
        self._former.append(self.champion)
        self.champion = incumbent
        return None

    def _rollback(self, champion: str | None = None) -> str | None:
        if champion not in (None, self.champion):
            return "champion must be"
        if not self._former:
            return "no champion before"
        self.champion = self._former.pop()
        return None

    def _set(self, name: str, value: str) -> str | None:
        if self._description is None:
            return "none was deployed yet"
        in_file = str(self._description["drift"][name.removeprefix("drift.")])
        if self._settings.get(name, in_file) == value:
            return "must be another than it is"
        self._settings[name] = value
        if value == in_file:
            del self._settings[name]
        return None

    def _deploy(self, definition: str, description: str, signature: str) -> str | None:
        assert signature
        found = json.loads(description)
        if self.history and definition == self.history[-1] and not self._settings:
            return "another than the one in force"
        models = [each["name"] for each in found["models"]]
        if self._description is not None:
            if any(found[each] != self._description[each] for each in _FIXED):
                return "must stay"
            if self.champion not in models:
                return "models must keep"
            before = {each["name"]: each["identity"] for each in self._description["features"]}
            if any(
                before.get(f["name"], f["identity"]) != f["identity"] for f in found["features"]
            ):
                return "must mean what it did"
        self.models, self._description = models, found
        self.history.append(definition)
        self._settings = {}
        former = [each for each in self._former if each in models]
        self._former = [each for each, _ in groupby([*former, self.champion])][:-1]
        return None


def unlike_the_book(
    book: CommandBook, commands: Mapping[int, bytes | None], by_control: Sequence[Audit]
) -> Iterator[str]:
    """Hold the answers against the book: each command has one, which the book has, too.

    Parameters
    ----------
    commands
        Offset to value of all records of the topic, in order.
    by_control
        What control has put into the audit, in order.
    """
    answers: defaultdict[int, list[Audit]] = defaultdict(list)
    for each in by_control:
        answers[each["offset"]].append(each)
    for offset, value in commands.items():
        if value is not None and b'"tick"' in value:  # which the worker sends, and nobody answers
            continue
        is_repeated = is_by_rule(value) and read_command(value)["id"] in book.accepted
        reason = book.take(value)
        found = answers.pop(offset, [])
        where = f"command {offset}, {(value or b'nothing')[:80]!r},"
        if is_repeated and not found:
            continue
        if len(found) != 1:
            yield f"{where} has {len(found)} answers"
            continue
        action, said = found[0]["action"], found[0]["evidence"].get("reason", "")
        if action != ("accepted" if reason is None else "refused") or (reason or "") not in said:
            yield f"{where} is {action}: {said!r}, of {reason!r}"
    yield from (f"there is no command {each}, and it is answered" for each in answers)


def unapplied(accepted: Sequence[str], entries: Sequence[Audit], where: str) -> Iterator[str]:
    """Hold what one partition has applied against what was accepted: each once, and in order."""
    of_commands = [each["command_id"] for each in entries if each["command_id"] is not None]
    applied = [id_ for id_, _ in groupby(of_commands)]
    if applied != [*accepted]:
        lacking = [each for each in accepted if each not in applied]
        yield f"{where} has applied {len(applied)} commands of {len(accepted)}, without {lacking}"
    effects = [(each["command_id"], each["subject"], each["action"]) for each in entries]
    twice = [each for each in effects if each[0] is not None and effects.count(each) > 1]
    yield from (f"{where} has {each} more than once" for each in {*twice})
    for before, each in pairwise(entries):
        if (before["topic"], before["offset"]) > (each["topic"], each["offset"]):
            yield f"{where} says number {each['number']} of an offset before"


@dataclass
class InForce:
    """What the audit of one partition says was in force, at each place of its log."""

    definition: str
    champion: str
    entries: Sequence[Audit]
    _at: int = 0

    def at(self, offset: int) -> tuple[str, str]:
        """Return definition and champion before a record; offsets must ascend."""
        while self._at < len(self.entries) and self.entries[self._at]["offset"] < offset:
            entry = self.entries[self._at]
            if entry["subject"] == "definition":
                self.definition = entry["after"] or ""
            elif entry["subject"] == "champion":
                self.champion = entry["after"] or ""
            self._at += 1
        return self.definition, self.champion


def not_in_force(
    in_force: InForce, predictions: Sequence[Mapping[str, Any]], places: Mapping[str, int]
) -> Iterator[str]:
    """Hold what predictions name against what the audit says was in force where they were made.

    Parameters
    ----------
    places
        Event to the offset of its vector.
    """
    for each in predictions:
        offset = places[each["event_id"]]
        named = each["definition"], each["model"].partition(_RIVAL)[0]
        expected = in_force.at(offset)
        if named != expected:
            yield f"{each['event_id']} at {offset} is by {named}, of {expected}"


def not_by_champion(
    book: CommandBook, first: str, log: Iterable[Record], predictions: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Hold who has predicted against who serves by the commands that came before in the log.

    Parameters
    ----------
    first
        Who serves before the first command.
    log
        What the agent that predicts has read of one partition, in order.
    """
    champion, serves = first, dict[object, str]()
    for record in log:
        if isinstance(record, AcceptedRecord):
            champion = book.champions.get(record.value["id"], champion)
        elif record.type in ("Event", "FeatureVector"):
            serves.setdefault(record.value["event_id"], champion)
    for each in predictions:
        who, expected = each["model"].partition(_RIVAL)[0], serves[each["event_id"]]
        if who != expected:
            yield f"{each['event_id']} is by {who}, and {expected} serves"


def other_champions(
    book: CommandBook, saved: Iterable[Mapping[str, Any]], partitions: int
) -> Iterator[str]:
    """Hold who serves in each partition, by the saved state, against what was accepted.

    Parameters
    ----------
    saved
        The candidates as `millrace state --json` has them.
    """
    found: defaultdict[int, set[str]] = defaultdict(set)
    for each in saved:
        if each["is_champion"]:
            found[each["partition"]].add(each["model"].partition(_RIVAL)[0])
    for partition in range(partitions):
        if found[partition] != {book.champion}:
            yield f"{sorted(found[partition])} serves in {partition}, of {book.champion}"
