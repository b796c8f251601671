"""The models of one partition, by scope: what prediction and learning share."""

from __future__ import annotations

from typing import Any

from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.commanded import Commanded
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import AcceptedRecord, AuditRecord


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
        self._beside: list[KeyedState[Any]] = []
        self.commanded = Commanded(pipeline.champion)
        self.by_scope_key: KeyedState[ModelSet] = KeyedState(pipeline.max_models, self._forget)

    def keep_beside(self, state: KeyedState[dict[str, Any]]) -> None:
        """Let the entry of a scope key, by candidate, go when its models or a candidate's go."""
        self._beside.append(state)

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

    def catch_up(self) -> None:
        """Do at once, with all models, what they otherwise do when they are next used."""
        for scope_key in [*self.by_scope_key] if self._is_by_key else [""]:
            self.of(scope_key)

    def follow(self, models: ModelSet) -> None:
        """Serve as newer models do that learn elsewhere."""
        if models.commanded > self.commanded.number:
            self.commanded.serve_by(models.champion, models.commanded)
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
        return ModelSet(self._pipeline, self.commanded.champion, self.commanded.number)

    def _let_win(self, command: AcceptedRecord) -> list[AuditRecord]:
        """Let a challenger that is promoted take its incumbent's place, wherever there is one."""
        name = command.value["arguments"].get("model", "")
        incumbent = incumbent_of(name)
        if command.value["command"] != "promote" or name == incumbent:
            return []
        sets = self.by_scope_key.items()
        found = [scope_key for scope_key, models in sets if models.has_challenger(name)]
        for scope_key in found:
            self.of(scope_key).let_win(name)
            self.mark_changed(scope_key)
        if not found:
            return []
        subject = f"models[{incumbent!r}]"
        return [audited(Cause.of(command), subject, "promoted", before=incumbent, after=name)]

    def _catch_up(self, scope_key: str, models: ModelSet) -> None:
        """Do what commands have asked of models since these were last used."""
        self.mark_changed(scope_key)
        for name in self.commanded.reset_since(models.commanded):
            models.reset(name, self._pipeline)
            self._forget_beside(scope_key, name)
        models.serve_by(self.commanded.champion)
        models.commanded = self.commanded.number

    def _forget_beside(self, scope_key: str, name: str) -> None:
        for each in self._beside:
            kept = each.get(scope_key)
            if kept is not None:
                each.mark(scope_key)
                kept.pop(name, None)

    def _forget(self, scope_key: str) -> None:
        for each in self._beside:
            each.take(scope_key)
