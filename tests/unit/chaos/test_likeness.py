"""Two objects are alike when every value in them is, however they came to be."""

from __future__ import annotations

import pickle
from collections import deque
from typing import Any

import pytest
from river import tree

from tests.chaos.likeness import difference


def grown(labels: int = 300) -> Any:
    model = tree.HoeffdingTreeClassifier(grace_period=20)
    for index in range(labels):
        model.learn_one({"x": index % 7, "y": index / 3}, index % 7 > 3)
    return model


def test_finds_a_model_and_its_copy_alike() -> None:
    """A pickled copy of a model, which shares nothing with it, is like it."""
    model = grown()

    assert difference(model, pickle.loads(pickle.dumps(model))) is None


def test_finds_one_example_more() -> None:
    """A model that has learned one example more is not like it, and it says where."""
    found = difference(grown(300), grown(301))

    assert found is not None
    assert "!=" in found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1.0], [1]),
        ([0.1 + 0.2], [0.3]),
        (deque([1], maxlen=3), deque([1, 2], maxlen=3)),
        ({"a": True}, {"a": 1}),
    ],
)
def test_tells_apart(left: Any, right: Any) -> None:
    """Order, type and the last bit count."""
    assert difference(left, right) is not None


def test_ends_at_a_cycle() -> None:
    """An object that holds itself is taken apart once."""
    left: list[Any] = [1]
    left.append(left)
    right: list[Any] = [1]
    right.append(right)

    assert difference(left, right) is None
