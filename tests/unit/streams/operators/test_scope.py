"""Models are shared by everything, by a partition or by a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.scope import ScopedModels

Make = Callable[..., Any]


@pytest.fixture
def keyed(make_pipeline: Make, avro: Make) -> Callable[..., Pipeline]:
    """Make a pipeline with a key."""
    schema = avro(id="string", user=["null", "string"], a="double", y=["null", "boolean"])
    return lambda **changes: make_pipeline(schema=schema, key="user", **changes)


@pytest.mark.parametrize("scope", ["global", "partition"])
def test_one_model_for_all_keys(scope: str, keyed: Callable[..., Pipeline]) -> None:
    """With scope `global` or `partition`, one partition has one set of models."""
    models = ScopedModels(keyed(scope=scope))
    assert {models.scope_key(key) for key in ("anna", "bert", None)} == {""}
    assert models.of("") is models.of("")
    assert [*models.by_scope_key] == [""]


def test_a_model_for_each_key(keyed: Callable[..., Pipeline]) -> None:
    """With scope `key`, each key has its own, the same at every call."""
    models = ScopedModels(keyed(scope="key"))
    assert models.of("anna") is models.of("anna") is not models.of("bert")
    assert models.scope_key("anna") == "anna"


def test_those_trained_least_recently_are_evicted(keyed: Callable[..., Pipeline]) -> None:
    """A prediction does not keep models from being evicted; training does."""
    models = ScopedModels(keyed(scope="key", max_models=2))
    anna = models.of("anna")
    models.of("bert")
    models.mark_trained("anna")
    models.of("bert")
    models.of("cleo")
    assert [*models.by_scope_key] == ["anna", "cleo"]
    assert models.of("anna") is anna


def test_learning_marks_a_change(keyed: Callable[..., Pipeline]) -> None:
    """Models that have learned are written with the next flush; others are not."""
    models = ScopedModels(keyed(scope="key"))
    models.of("anna"), models.of("bert")
    models.by_scope_key.take_changes()
    models.of("anna")
    assert models.by_scope_key.take_changes() == []
    models.mark_trained("bert")
    assert [change.key for change in models.by_scope_key.take_changes()] == ["bert"]


def test_what_is_kept_beside_models_goes_with_them(keyed: Callable[..., Pipeline]) -> None:
    """It is gone when they are evicted, and what an earlier release left is when they are fresh."""
    models = ScopedModels(keyed(scope="key", max_models=2))
    beside: KeyedState[int] = KeyedState()
    models.keep_beside((beside, lambda *_: None))
    for key in ("anna", "bert", "cleo"):
        models.of(key)
        beside[key] = 1
    assert [*beside] == ["bert", "cleo"]
    beside["anna"] = 1
    models.of("anna")
    assert [*beside] == ["cleo"]
