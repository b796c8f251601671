"""What is in force: what commands have made of a pipeline so far.

Plain data, and what each command makes of it: a command that it does not fit is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from millrace.models.candidates.incumbents import (
    deploy_of,
    incumbent_of,
    is_number,
    since_of,
)
from millrace.models.identity.reference import Reference
from millrace.schemas import CommandError, DefinitionError, EventSchema
from millrace.streams.control.restoring import Restore
from millrace.streams.control.ticks import elapsed_ms

if TYPE_CHECKING:
    from millrace.models.identity.definition import Description
    from millrace.models.identity.past import Past
    from millrace.models.identity.summary import Changes

_MOST_FORMER = 100
_MOST_SKIPPED = 10_000
_FOLDED = ("events", "labels", "clean", "features", "examples", "predictions")

Arguments = Mapping[str, str]

Skipped = tuple[str, int, int]
"""A record that is not folded: its topic's full name, its partition, its offset."""


class InForceThen(NamedTuple):
    """What a task begins with that has no state.

    Attributes
    ----------
    number
        Of the last command before.
    definition
        Reference of the definition; empty for the first that there was.
    champion
        The candidate that serves; empty for that of the definition.
    is_paused
        Whether models learn nothing.
    """

    number: int = 0
    definition: str = ""
    champion: str = ""
    is_paused: bool = False


@dataclass(frozen=True, kw_only=True)
class InForce:
    """What is in force.

    Parameters
    ----------
    models
        Names of the candidates.
    champion
        The candidate that serves.
    former
        Those that served before, the last one last.
    is_paused
        Whether models learn nothing.
    number
        Of the last command that was accepted.
    description
        What the definition is, as it was deployed, as data: see `models.identity.definition`. None
        before the first that was deployed.
    past
        What is remembered of the definitions before it; None where there are none.
    history
        The definitions that were in force, each with the number of its command and its reference,
        oldest first; the last one is in force.
    prefix
        Of the pipeline's topics.
    skipped
        Records that are rejected without being folded.
    served
        The champions, each with the number of the command since which it serves, oldest first.
    paused_at
        Numbers of the commands that paused learning and let it go on again, in turns.
    time_ms
        When the broker has received the last command: milliseconds since the Unix epoch.
    ticked_ms
        The same of the last `tick`: ticks have let time pass up to then.
    tick_ms
        How much time that one has let pass.
    """

    models: tuple[str, ...]
    champion: str
    former: tuple[str, ...] = ()
    is_paused: bool = False
    number: int = 0
    description: dict[str, Any] | None = None
    past: Past | None = None
    history: tuple[tuple[int, str], ...] = ()
    prefix: str = ""
    skipped: tuple[Skipped, ...] = ()
    served: tuple[tuple[int, str], ...] = ()
    paused_at: tuple[int, ...] = ()
    time_ms: int = 0
    ticked_ms: int = 0
    tick_ms: int = 0

    @property
    def definition(self) -> str:
        """The reference of the definition in force; empty before the first that was deployed."""
        return self.history[-1][1] if self.history else ""

    def promoted(self, arguments: Arguments) -> InForce:
        """Return what is in force once a candidate, or a challenger in its place, serves."""
        model = arguments["model"]
        self._check_model(incumbent_of(model))
        self._check_challenger(model)
        self._check_champion(arguments)
        if model == self.champion:
            raise CommandError(f"model must be another than the champion; got {model!r}")
        if incumbent_of(model) == self.champion:  # by another model, which takes its place
            return self
        return self._serving(incumbent_of(model), (*self.former, self.champion)[-_MOST_FORMER:])

    def rolled_back(self, arguments: Arguments) -> InForce:
        """Return what is in force once the champion before serves again."""
        self._check_champion(arguments)
        if not self.former:
            raise CommandError(f"there is no champion before {self.champion!r} to go back to")
        return self._serving(self.former[-1], self.former[:-1])

    def with_reset(self, arguments: Arguments) -> InForce:
        """Return the same: a candidate begins untrained."""
        self._check_model(arguments["model"])
        return self

    def unchanged(self, _arguments: Arguments) -> InForce:
        """Return the same."""
        return self

    def restored(self, arguments: Arguments) -> InForce:
        """Return the same: models are those of a version that was made under this definition.

        What was set since does not matter: it changes no model.
        """
        made_under = Reference.of(Restore.of(arguments).definition).digest
        now = Reference.of(self.definition).digest
        if made_under != now:
            raise CommandError(
                f"version must be of the definition in force, {now!r}; it was made under"
                f" {made_under!r}. Deploy that one first: `millrace definitions` shows when"
                " it was in force"
            )
        if self.description is not None and self.description.get("scope") == "key":
            raise CommandError("scope must be global or partition to restore a version; got 'key'")
        return self

    def paused(self, _arguments: Arguments) -> InForce:
        """Return what is in force while models learn nothing."""
        if self.is_paused:
            raise CommandError("learning is paused already")
        return self._switched(is_paused=True)

    def resumed(self, _arguments: Arguments) -> InForce:
        """Return what is in force once models learn again."""
        if not self.is_paused:
            raise CommandError("learning is not paused")
        return self._switched(is_paused=False)

    def ticked(self, arguments: Arguments) -> InForce:
        """Return what is in force once time has passed without events.

        Of the time that is asked for, what was before the last tick does not count: so no number of
        ticks, from whomever, lets more time pass than does pass by the broker's clock.
        """
        tick_ms = min(elapsed_ms(arguments), self.time_ms - self.ticked_ms)
        if tick_ms <= 0:
            raise CommandError("another tick has let this time pass already")
        return replace(self, ticked_ms=self.time_ms, tick_ms=tick_ms)

    def deployed(self, arguments: Arguments) -> InForce:
        """Return what is in force once another definition is."""
        from millrace.models.identity.definition import named  # noqa: PLC0415 - River: 1 s
        from millrace.models.identity.past import remembered  # noqa: PLC0415 - the same

        digest, now = arguments["definition"], _description(arguments["description"])
        if not digest.isalnum():
            raise CommandError(f"definition must be the digest of a bundle; got {digest!r}")
        if digest == self.definition:
            raise CommandError(f"definition must be another than the one in force; got {digest!r}")
        models = tuple(named(now["models"]))
        is_known = self.description is not None or self.served
        champion = self.champion if is_known and self.champion in models else models[0]
        if (found := self.changes_to(now)) is not None and found.refused:
            raise CommandError("; ".join(found.refused))
        past = None if self.description is None else remembered(self.past, self.description)
        after = replace(
            self._serving(champion, self.former),
            models=models,
            former=_still_there(self.former, models, champion),
            description=now,
            past=past,
        )
        return after.under(Reference(digest))

    def changes_to(self, now: Description) -> Changes | None:
        """Return what a deploy of another definition changes; None where it is the first."""
        from millrace.models.identity.changes import changes  # noqa: PLC0415 - River: 1 s
        from millrace.models.identity.setting import described_with  # noqa: PLC0415 - the same

        if self.description is None:
            return None
        was_set = Reference.of(self.definition).settings
        before = described_with(self.description, was_set)
        found = changes(before, now, self.champion, self.past)
        return replace(found, notes=(*found.notes, *map(_ends, sorted(was_set.items()))))

    def under(self, definition: Reference) -> InForce:
        """Return what is in force once another definition is, or something was set in it."""
        return replace(self, history=(*self.history, (self.number + 1, str(definition))))

    def with_skipped(self, arguments: Arguments) -> InForce:
        """Return what is in force once a record is skipped."""
        skipped = skipped_record(self.prefix, arguments)
        if skipped in self.skipped:
            raise CommandError("the record must be one that is not skipped yet")
        return replace(self, skipped=(*self.skipped, skipped)[-_MOST_SKIPPED:])

    def at(self, number: int) -> InForceThen:
        """Return what was in force behind a command."""
        definitions = [digest for at, digest in self.history if at <= number]
        champions = [name for at, name in self.served if at <= number]
        is_paused = sum(at <= number for at in self.paused_at) % 2 == 1
        return InForceThen(
            number,
            definitions[-1] if definitions else "",
            champions[-1] if champions else "",
            is_paused,
        )

    def _serving(self, champion: str, former: tuple[str, ...]) -> InForce:
        if champion == self.champion:
            return self
        served = (*self.served, (self.number + 1, champion))
        return replace(self, champion=champion, former=former, served=served)

    def _switched(self, is_paused: bool) -> InForce:
        paused_at = (*self.paused_at, self.number + 1)
        return replace(self, is_paused=is_paused, paused_at=paused_at)

    def _check_champion(self, arguments: Arguments) -> None:
        """Refuse what is asked for against another champion than the one that serves."""
        if (champion := arguments.get("champion", self.champion)) != self.champion:
            raise CommandError(f"champion must be {self.champion!r}, who serves; got {champion!r}")

    def _check_model(self, model: str) -> None:
        if model not in self.models:
            names = ", ".join(self.models)
            raise CommandError(f"model must be one of {names}; got {model!r}")

    def _check_challenger(self, model: str) -> None:
        """Refuse a challenger that cannot be there; which of the others are, tasks know."""
        if model == incumbent_of(model):
            return
        deploy, deploys = deploy_of(model), [at for at, _ in self.history]
        if deploy not in deploys and not is_number(since_of(model)):
            named = ", ".join(f"deploy{at}" for at in deploys) or "none yet"
            raise CommandError(
                "model must name a challenger after a version of the models, or a deploy"
                f" ({named}); got {model!r}"
            )


def skipped_record(prefix: str, arguments: Arguments) -> Skipped:
    """Return the record that the arguments of `skip` name.

    Parameters
    ----------
    prefix
        Of the pipeline's topics; the argument may leave it out.

    Raises
    ------
    CommandError
        They name none that could be skipped.
    """
    topic = arguments["topic"]
    topics = [f"{prefix}{each}" for each in _FOLDED]
    if topic in _FOLDED:
        topic = prefix + topic
    elif topic.startswith(prefix) and topic not in topics:
        raise CommandError(
            f"topic must be that of a source, or one of {', '.join(topics)}; got {topic!r}"
        )
    return topic, _number("partition", arguments), _number("offset", arguments)


def _number(name: str, arguments: Arguments) -> int:
    text = arguments[name]
    if is_number(text):
        return int(text)
    raise CommandError(f"{name} must be a number of at least 0; got {text!r}")


def _still_there(former: Iterable[str], models: Collection[str], champion: str) -> tuple[str, ...]:
    """Return those that served before and are among the models, each another than the next."""
    kept = (each for each in former if each in models)
    return tuple(each for each, _ in groupby((*kept, champion)))[:-1]


def _ends(setting: tuple[str, str]) -> str:
    name, value = setting
    return f"{name} is no longer set to {value!r}: a definition counts as it is deployed"


def _description(text: str) -> Description:
    """Return a description from a command that anybody may have written."""
    from millrace.models.identity.changes import changes  # noqa: PLC0415 - River: 1 s
    from millrace.models.identity.definition import read_description  # noqa: PLC0415 - the same

    found: object = None
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
    try:
        description = read_description(found, "description")
        EventSchema(description["schema"], description["label"]).check()
        changes(description, description)
    except DefinitionError as error:
        raise CommandError(f"{error}. Use `millrace deploy`") from error
    except Exception as error:  # whatever comes of what is no description
        raise CommandError(
            "description must be what `millrace check --describe` prints; got something else,"
            f" {type(error).__name__}: {error}. Use `millrace deploy`"
        ) from error
    return description
