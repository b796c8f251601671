"""Each part of a model has a place, and what two models share is found."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import numpy as np
import pytest
from river import compose, linear_model, preprocessing

from millrace.models.pipeline.parts import parts, shared


class Slotted:
    __slots__ = ("inner", "unset")

    def __init__(self, inner: Any) -> None:
        self.inner = inner


def test_places_are_written_as_one_would_reach_them() -> None:
    """Attributes, slots, keys, indexes, and what a partial function and a method hold."""
    whole = {"a": [1, Slotted("x")], "b": deque([partial(print, 2)]), "c": {3}}
    places = [place for place, _ in parts("m", whole)]
    assert {"m['a'][0]", "m['a'][1].inner", "m['b'][0].func", "m['b'][0].args[0]"} < {*places}
    assert "m['c']{0}" in places
    assert len(places) == len({*places})
    method = Slotted([]).__init__
    assert [place for place, _ in parts("m", method)] == [
        "m", "m.__self__", "m.__self__.inner"
    ]  # fmt: skip


def test_a_step_of_a_pipeline() -> None:
    """Its place has the name that River gives it."""
    model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    places = dict(parts("models['m']", model))
    assert places["models['m'].steps['StandardScaler'].means"] == {}


def test_a_part_that_contains_itself_is_met_once() -> None:
    """Walking ends."""
    loop: list[Any] = []
    loop.append(loop)
    assert [place for place, _ in parts("m", loop)] == ["m"]


WEIGHTS = np.zeros(3)


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        ({"a": [1]}, {"a": [1]}, None),
        ({"a": (1, "x")}, {"a": (1, "x")}, None),
        ([print, int, np], [print, int, np], None),
        ([WEIGHTS], {"w": WEIGHTS}, "m[0]"),
        (Slotted(WEIGHTS), (WEIGHTS,), "m.inner"),
    ],
)
def test_what_two_models_share(one: Any, other: Any, place: str | None) -> None:
    """Only what can change counts."""
    assert shared(("m", one), ("o", other)) == place


def test_a_default_argument_that_two_models_share() -> None:
    """It is the commonest way to share a part."""

    def make(scaler: Any = preprocessing.StandardScaler()) -> Any:  # noqa: B008 - that is the error
        return scaler | linear_model.LogisticRegression()

    assert shared(("m", make()), ("m", make())) == "m.steps['StandardScaler']"
