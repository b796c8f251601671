"""The innermost part that fails is named, and what it is."""

from __future__ import annotations

from threading import Lock
from typing import Any

import pytest

from millrace.streams.state.culprit import culprit, described


def outside() -> None: ...


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


def test_the_innermost_part_that_fails() -> None:
    """All that hold it fail with it."""
    bad = Lock()
    model = Holder({"a": [1, Holder(bad)], "b": 2})
    bad_ones = {id(model), id(model.held), id(model.held["a"]), id(model.held["a"][1]), id(bad)}
    found = culprit("m", model, lambda part: id(part) in bad_ones)
    assert found == ("m.held['a'][1].held", bad)


def test_a_whole_that_fails_for_no_part_of_it() -> None:
    """It is named itself; a loop has an end."""
    loop: list[Any] = []
    loop.append(loop)
    assert culprit("m", loop, lambda _: True)[0] == "m"
    assert culprit("m", Holder(1), lambda part: isinstance(part, Holder))[0] == "m"


def test_what_a_part_is() -> None:
    """In words that say what to change."""

    def inside() -> None: ...

    class Local: ...

    name = "tests.unit.streams.state.test_culprit"
    assert described(lambda: 1) == "a lambda"
    assert described(outside) == f"the function {name}.outside"
    assert described(inside) == f"the function {name}.inside inside another"
    assert described(Holder) == f"the class {name}.Holder"
    assert described(Holder(1)) == f"an object of the class {name}.Holder"
    assert described(Local()).endswith(".Local, defined inside a function")
    assert described(n for n in "a") == "a generator"
    assert described(Lock()) == "an object of the class _thread.lock"


@pytest.mark.parametrize("value", [None, 1, "x", (1,), {"a": 1}])
def test_plain_values_have_no_module(value: Any) -> None:
    """Python's own types are named as they are."""
    assert described(value) == f"an object of the class {type(value).__name__}"
