"""The models of one partition, by scope: what prediction and learning share."""

from __future__ import annotations

from typing import Any

from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.streams.operators.keyed_state import KeyedState


class ScopedModels:
    """Scope key to its models, made fresh when first asked for.

    With scope `key`, at most `max_models` are kept: those trained least recently are evicted, and
    their key starts with fresh ones. What is kept beside models goes with them.

    Parameters
    ----------
    pipeline
        The definition.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._is_by_key = pipeline.scope == Scope.KEY
        self._prototype = Prototype(self._made)
        self._beside: list[KeyedState[Any]] = []
        self.by_scope_key: KeyedState[ModelSet] = KeyedState(pipeline.max_models, self._forget)

    def keep_beside(self, state: KeyedState[Any]) -> None:
        """Let the entry of a scope key go when its models go."""
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
        return models

    def mark_trained(self, scope_key: str) -> None:
        """Mark the models of this scope key as changed in place, and as trained last."""
        self.by_scope_key.touch(scope_key)

    def mark_changed(self, scope_key: str) -> None:
        """Mark the models of this scope key as changed in place, though not by training."""
        self.by_scope_key.mark(scope_key)

    def _fresh(self) -> ModelSet:
        return self._prototype.copy() if self._is_by_key else self._made()

    def _made(self) -> ModelSet:
        return ModelSet(self._pipeline)

    def _forget(self, scope_key: str) -> None:
        for each in self._beside:
            each.take(scope_key)
