"""What commands have made of the models of one partition.

Who serves, and whether models learn, is said here and nowhere else. What changes models is noted
with the command's number; the models of each scope key do it when they are next used. So a command
is applied at once, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.candidates.inheriting import Names
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.on_change import MadeBy
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AcceptedRecord, AuditRecord

_CHAMPION, _NUMBER, _PAUSED = "champion", "number", "paused"
_FAILED = "failed"  # number of the last command before the champion could not learn
_RESET = "reset/"
_MADE_BY, _CHANGED, _NAMES = "made_by", "changed", "features"
_MOST_NAMES = 100


class Commanded:
    """Who serves, whether models learn, and what is to be done to models when they are next used.

    Parameters
    ----------
    champion
        Who serves before the first command.

    Attributes
    ----------
    store
        The state; empty before the first command.
    """

    def __init__(self, champion: str) -> None:
        self._at_first = champion
        self.store: KeyedState[Any] = KeyedState()

    @property
    def champion(self) -> str:
        """The candidate that serves."""
        return str(self.store.get(_CHAMPION, self._at_first))

    @property
    def is_paused(self) -> bool:
        """Whether models learn nothing."""
        return _PAUSED in self.store

    @property
    def number(self) -> int:
        """Number of the last command that changed models; 0 before the first."""
        return int(self.store.get(_NUMBER, 0))

    def note_failure(self) -> bool:
        """Note that the champion could not learn; return whether it is the first time it serves."""
        is_first = self.store.get(_FAILED) != self.number
        if is_first:
            self.store[_FAILED] = self.number
        return is_first

    @property
    def made_by(self) -> Mapping[str, MadeBy] | None:
        """What candidates were made by before the first deploy; None where there was none."""
        found: Mapping[str, MadeBy] | None = self.store.get(_MADE_BY)
        return found

    def deploy(
        self,
        number: int,
        fates: Mapping[str, Fate],
        before: Mapping[str, MadeBy],
        now: Mapping[str, MadeBy],
    ) -> None:
        """Note a deploy.

        Parameters
        ----------
        number
            Of its command.
        fates
            Candidate to what becomes of it.
        before, now
            What candidates were made by, and are from now on.
        """
        self.store[_MADE_BY] = self.made_by or before
        for name, fate in fates.items():
            if fate is Fate.BEGINS:
                self.let_begin(name, number)
            elif fate is Fate.CHALLENGES:
                self.store[_CHANGED] = {**self.changed, name: number}
            elif fate in (Fate.REPLACES, Fate.ADOPTS):
                noted = (now[name], number)
                self.store[str(fate)] = {**self.store.get(str(fate), {}), name: noted}
        self.serve_by(self.champion, number)

    @property
    def changed(self) -> Mapping[str, int]:
        """Candidate to the number of the deploy that brought its challenger."""
        found: Mapping[str, int] = self.store.get(_CHANGED, {})
        return found

    def noted(self, fate: Fate, since: int) -> dict[str, tuple[MadeBy, int]]:
        """Return what is made by what, of candidates with a fate by deploys after a command.

        Parameters
        ----------
        fate
            Either `REPLACES` or `ADOPTS`.
        since
            Number of the command.

        Returns
        -------
        dict
            Candidate to what it was made by, and the number of the last such deploy.
        """
        found = self.store.get(str(fate), {}).items()
        return {name: (made_by, int(at)) for name, (made_by, at) in found if at > since}

    def note_names(self, number: int, before: Names, now: Names) -> None:
        """Note the features that there are from a deploy on."""
        noted: dict[int, Names] = self.store.get(_NAMES) or {0: before}
        if now != noted[max(noted)]:
            newest = sorted(noted)[-_MOST_NAMES:]
            self.store[_NAMES] = {each: noted[each] for each in newest} | {number: now}

    def names_since(self, number: int, now: Names) -> list[Names]:
        """Return the features that there were at a command, and after each deploy since."""
        noted: dict[int, Names] = self.store.get(_NAMES) or {0: now}
        then = max((each for each in noted if each <= number), default=min(noted))
        return [noted[each] for each in sorted(noted) if each >= then]

    def let_begin(self, name: str, number: int) -> None:
        """Let a candidate begin untrained where models are older than a command."""
        self.store[_RESET + name] = max(self.store.get(_RESET + name, 0), number)

    def reset_since(self, number: int) -> list[str]:
        """Return the candidates that begin untrained, by commands after that number."""
        noted = [(key, int(at)) for key, at in self.store.items() if key.startswith(_RESET)]
        return [key.removeprefix(_RESET) for key, at in noted if at > number]

    def serve_by(self, champion: str, number: int) -> None:
        """Let a candidate serve from a command on."""
        self.store[_CHAMPION] = champion
        self.store[_NUMBER] = number

    def apply(self, command: AcceptedRecord) -> list[AuditRecord]:
        """Note what a command asks for; return what it changes."""
        name = command.value["command"]
        model = command.value["arguments"].get("model", "")
        if name == "promote":
            return self._promote(incumbent_of(model), command, "promoted")
        if name == "rollback":
            return self._promote(model, command, "rolled_back")
        if name == "reset":
            self.store[_RESET + model] = self.store[_NUMBER] = command.value["number"]
            return [audited(Cause.of(command), f"models[{model!r}]", "reset", after="untrained")]
        if name in ("pause", "resume"):
            return self._pause(name == "pause", command)
        return []

    def _promote(self, champion: str, command: AcceptedRecord, action: str) -> list[AuditRecord]:
        before = self.champion
        if champion == before:
            return []
        self.serve_by(champion, command.value["number"])
        return [audited(Cause.of(command), "champion", action, before=before, after=champion)]

    def _pause(self, is_paused: bool, command: AcceptedRecord) -> list[AuditRecord]:
        if is_paused == self.is_paused:
            return []
        before, after = ("on", "paused") if is_paused else ("paused", "on")
        if is_paused:
            self.store[_PAUSED] = command.value["number"]
        else:
            del self.store[_PAUSED]
        action = f"{command.value['command']}d"
        return [audited(Cause.of(command), "learning", action, before=before, after=after)]
