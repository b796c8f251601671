"""The models of one partition, by scope: what prediction and learning share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from millrace.models.candidates.incumbents import deploy_of, incumbent_of
from millrace.models.candidates.inheriting import Heir, Names, seen
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.identity.definition import made_by
from millrace.models.identity.summary import Changes
from millrace.models.parameters import one_of
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.on_change import MadeBy
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.commanded import Commanded
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AcceptedRecord, AuditRecord

Kept: TypeAlias = dict[str, Any]
Renew: TypeAlias = Callable[[Any, Collection[str], int], object]


class ScopedModels:
    """Scope key to its models, made fresh when first asked for.

    With scope `key`, at most `max_models` are kept: those trained least recently are evicted, and
    their key starts with fresh ones. What is kept beside models goes with them.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    by_scope_key
        The models, as they were when they were last used.
    commanded
        What commands have asked for.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._is_by_key = pipeline.scope == Scope.KEY
        self._prototype = Prototype(self._made)
        self._beside: tuple[tuple[KeyedState[Any], Renew], ...] = ()
        self.commanded = Commanded(pipeline.champion)
        self.by_scope_key: KeyedState[ModelSet] = KeyedState(pipeline.max_models, self._forget)

    def keep_beside(self, *beside: tuple[KeyedState[Any], Renew]) -> None:
        """Let the entry of a scope key go when its models go, and change with them.

        Parameters
        ----------
        beside
            Each a state by scope key, and what renews an entry of it: called with the entry, the
            candidates that have begun untrained, and the number of the last command that the entry
            had come up to.
        """
        self._beside = beside

    def inherit(self, before: ScopedModels, number: int, changes: Changes) -> Mapping[str, Fate]:
        """Take over the models of another definition; return what becomes of the candidates.

        They go on under this one when they are next used.

        Parameters
        ----------
        number
            Of the deploy.
        changes
            What it changes.

        Raises
        ------
        DefinitionError
            The candidate that serves is not in this definition.
        """
        champion = before.commanded.champion
        one_of("models must have the candidate that serves", champion, self._pipeline.models)
        self.commanded, self.by_scope_key = before.commanded, before.by_scope_key
        self.by_scope_key.limit = self._pipeline.max_models
        self.by_scope_key.on_eviction = self._forget
        self.commanded.note_names(number, before._names, self._names)
        was, now = made_by(before._pipeline), self._made_by
        self.commanded.deploy(number, changes.candidates, was, now)
        self._prototype = Prototype(self._made)
        models = None if self._is_by_key else self.by_scope_key.get("")
        exact = {} if models is None else self._catch_up("", models)
        return {**changes.candidates, **exact}

    def scope_key(self, key: str | None) -> str:
        """Return what the models of an event with this key are kept under."""
        return key or "" if self._is_by_key else ""

    def of(self, scope_key: str) -> ModelSet:
        """Return the models that serve events with this scope key."""
        models = self.by_scope_key.get(scope_key)
        if models is None:
            self._forget(scope_key)  # release 0.1 kept it
            models = self.by_scope_key[scope_key] = self._fresh()
        elif self.commanded.store and models.commanded < self.commanded.number:
            self._catch_up(scope_key, models)
        return models

    def apply(self, command: AcceptedRecord) -> list[AuditRecord]:
        """Apply a command to the models, those of later scope keys too; return what it changed."""
        made = self._let_win(command) + self.commanded.apply(command)
        self._prototype = Prototype(self._made)
        if not self._is_by_key:
            self.catch_up()
        return made

    def restore(self, models: Mapping[str, ModelSet]) -> None:
        """Put models of before in the place of all; who serves and what was commanded stays.

        What is kept beside models begins anew.
        """
        for scope_key in [*self.by_scope_key]:
            del self.by_scope_key[scope_key]
            self._forget(scope_key)
        for scope_key, each in models.items():
            each.serve_by(self.commanded.champion, self._pipeline)
            each.commanded = self.commanded.number
            self.by_scope_key[scope_key] = each

    def catch_up(self) -> None:
        """Do at once, with all models, what they otherwise do when they are next used."""
        for scope_key in [*self.by_scope_key] if self._is_by_key else [""]:
            self.of(scope_key)

    def follow(self, models: ModelSet) -> None:
        """Serve as newer models do that learn elsewhere."""
        known, news = self.commanded, (models.champion, models.commanded)
        if news[1] >= known.number and news != (known.champion, known.number):
            known.serve_by(*news)
            self._prototype = Prototype(self._made)

    def mark_trained(self, scope_key: str) -> None:
        """Mark the models of this scope key as changed in place, and as trained last."""
        self.by_scope_key.touch(scope_key)

    def mark_changed(self, scope_key: str) -> None:
        """Mark the models of this scope key as changed in place, though not by training."""
        self.by_scope_key.mark(scope_key)

    def _fresh(self) -> ModelSet:
        return self._prototype.copy() if self._is_by_key else self._made()

    def _made(self) -> ModelSet:
        models = ModelSet(self._pipeline, self.commanded.champion, self.commanded.number)
        if self.commanded.made_by is not None:
            models.made_by = self._made_by
        return models

    @cached_property
    def _made_by(self) -> Mapping[str, MadeBy]:
        return made_by(self._pipeline)

    @property
    def _names(self) -> Names:
        return tuple(name for feature in self._pipeline.features for name in feature.names)

    def _let_win(self, command: AcceptedRecord) -> list[AuditRecord]:
        """Let a challenger that is promoted take its incumbent's place, wherever there is one."""
        name = command.value["arguments"].get("model", "")
        incumbent = incumbent_of(name)
        if command.value["command"] != "promote" or name == incumbent:
            return []
        sets = self.by_scope_key.items()
        found = [scope_key for scope_key, models in sets if models.has_challenger(name)]
        deploy = deploy_of(name)
        is_by_deploy = deploy is not None and deploy == self.commanded.changed.get(incumbent)
        if deploy is not None and is_by_deploy:  # models that do not have it yet begin with it
            self.commanded.let_begin(incumbent, deploy)
        for scope_key in found:
            self.of(scope_key).let_win(name)
            self.mark_changed(scope_key)
        if not (found or is_by_deploy):
            return []
        subject = f"models[{incumbent!r}]"
        return [audited(Cause.of(command), subject, "promoted", before=incumbent, after=name)]

    def _catch_up(self, scope_key: str, models: ModelSet) -> Mapping[str, Fate]:
        """Do what commands have asked of models since these were last used."""
        self.mark_changed(scope_key)
        commanded, since = self.commanded, models.commanded
        begun = commanded.reset_since(since)
        at_first = commanded.made_by
        if at_first is None:
            fates = dict.fromkeys(begun, Fate.BEGINS)
            for name in begun:
                models.reset(name, self._pipeline)
        else:
            heir = self._heir(since)
            names = commanded.names_since(since, self._names)
            fates = heir.take_over(models, at_first, names, begun)
        models.serve_by(commanded.champion, self._pipeline)
        models.commanded = commanded.number
        anew = [name for name, fate in fates.items() if fate in (Fate.BEGINS, Fate.REPLACES)]
        for state, renew in self._beside:
            kept = state.get(scope_key)
            if kept is not None:
                state.mark(scope_key)
                renew(kept, anew, since)
        return fates

    def _heir(self, since: int) -> Heir:
        """Return the definition of now for models that were last used at a command."""
        commanded, names = self.commanded, self._names
        replaced = commanded.noted(Fate.REPLACES, since)
        adopted = commanded.noted(Fate.ADOPTS, since)
        return Heir(
            self._pipeline,
            self._made_by,
            commanded.changed,
            {name: made_by for name, (made_by, _) in replaced.items()},
            {
                name: (made_by, seen(None, commanded.names_since(number, names)))
                for name, (made_by, number) in adopted.items()
            },
        )

    def _forget(self, scope_key: str) -> None:
        for state, _ in self._beside:
            state.take(scope_key)
