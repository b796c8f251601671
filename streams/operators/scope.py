"""The models of one partition, by scope: what prediction and learning share."""

from __future__ import annotations

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.streams.operators.keyed_state import KeyedState


class ScopedModels:
    """Scope key to its models, made fresh when first asked for.

    With scope `key`, at most `max_models` are held: the one that has learned least recently
    gives way, and its key begins anew.

    Parameters
    ----------
    pipeline
        The definition.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._is_by_key = pipeline.scope == Scope.KEY
        self.by_scope_key = KeyedState(pipeline.max_models)

    def scope_key(self, key: str | None) -> str:
        """Return what the models of an event with this key are kept under."""
        return key or "" if self._is_by_key else ""

    def of(self, scope_key: str) -> ModelSet:
        """Return the models that serve events with this scope key."""
        models: ModelSet | None = self.by_scope_key.get(scope_key)
        if models is None:
            models = self.by_scope_key[scope_key] = ModelSet(self._pipeline)
        return models

    def have_learned(self, scope_key: str) -> None:
        """Say that the models of this scope key were changed in place."""
        self.by_scope_key.touch(scope_key)
