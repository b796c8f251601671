"""Any event comes back from its bytes exactly as it was."""

from __future__ import annotations

import json
import math
import random
import struct
from typing import Any

import pytest

from millrace.streams.operators import packing as module
from millrace.streams.operators.packing import Packing, Waiting

NAMES = ("a", "b", "c", "d")
ODD: list[Any] = [
    *(
        0.0,
        -0.0,
        1e308,
        5e-324,
        math.inf,
        -math.inf,
        0,
        1,
        -1,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**70),
    ),
    *(10**400, True, False, "", "é\0", "\ud800", "x" * 70_000),
]
CANDIDATES = ("own", "other", "tree.challenger@1056", "no_change", "prior", "é\ud800")
CLASSES = ("True", "False", "a", "", "é", "\udfff")


def drawn(rng: random.Random) -> Waiting:
    """Return an event of which nothing is ordinary."""

    def value(*others: object) -> Any:
        return rng.choice([rng.gauss(0, 1), *rng.sample(ODD, 2), *others])

    names = rng.choice([NAMES, NAMES[1:], NAMES[:-1], NAMES[::-1], ("new", "a"), ()])
    vector: Any = {
        "event_id": "e",
        "key": rng.choice([None, "", "key", "\udc00"]),
        "event_time_ms": 5,
        "label": value(None, None),
        "features": {name: value() for name in names},
    }
    predicted: Any = {
        name: {
            "value": value(None),
            "probabilities": {each: value() for each in rng.sample(CLASSES, rng.randrange(4))},
        }
        for name in rng.sample(CANDIDATES, rng.randrange(5))
    }
    return Waiting(vector, predicted)


def ordinary(number: int) -> Waiting:
    """Return an event as nearly all of a pipeline are."""
    probabilities = {"False": number / 9, "True": 1 - number / 9}
    vector: Any = {"event_id": "e", "key": "k", "event_time_ms": 5, "label": None}
    vector["features"] = dict.fromkeys(NAMES, number + 0.5)
    return Waiting(vector, {"own": {"value": number > 4, "probabilities": probabilities}})


def exactly(waiting: Waiting) -> str:
    """Return text in which any two events differ: by types, signs of zero, or order."""
    vector = {**waiting.vector}
    return repr((vector, waiting.predicted))


@pytest.fixture
def table() -> list[module.Part]:
    """Return where a table of names is kept."""
    return []


def make(table: list[module.Part]) -> Packing:
    """Return a packing with a saved table, to which it adds."""
    packing = Packing(NAMES, table.insert)
    for part in [*table]:
        packing.add_part(part)
    return packing


@pytest.mark.parametrize("most_parts", [65_535, 20, 0])
@pytest.mark.parametrize("seed", range(3))
def test_any_event_comes_back(
    seed: int, most_parts: int, table: list[module.Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, types and order are the same, also after a restart, and where the table is full."""
    monkeypatch.setattr(module, "_MOST_PARTS", most_parts)
    monkeypatch.setattr(module, "_MOST_SHAPES", 50)
    rng = random.Random(seed)
    packing = make(table)
    events = [drawn(rng) if rng.random() < 0.7 else ordinary(rng.randrange(9)) for _ in range(400)]
    packed = [packing.pack(each) for each in events]
    assert len(table) <= most_parts
    for reader in (packing, make(json.loads(json.dumps(table)))):
        for waiting, each in zip(events, packed, strict=True):
            assert exactly(reader.unpack(b"place" + each, 5, "e", 5)) == exactly(waiting)


def test_every_bit_of_a_number_is_kept(table: list[module.Part]) -> None:
    """A NaN keeps its payload."""
    nan = struct.unpack("<d", b"\1\2\3\0\0\0\xf8\x7f")[0]
    waiting = ordinary(1)
    waiting.vector["features"]["a"] = nan
    packing = make(table)
    back = packing.unpack(packing.pack(waiting), 0, "e", 5)
    assert struct.pack("<d", back.vector["features"]["a"]) == struct.pack("<d", nan)


def test_names_are_said_once(table: list[module.Part]) -> None:
    """Events of one shape add nothing to the table, nor do those that lack features, but a mark."""
    packing = make(table)
    sizes = {len(packing.pack(ordinary(number))) for number in range(9)}
    assert sizes == {1 + 3 * 2 + 4 + 4 * 8 + 1 + 2 * 8 + 1}
    assert len(table) == 3
    waiting = ordinary(1)
    del waiting.vector["features"]["b"]
    assert len(packing.pack(waiting)) == sizes.pop() - 8
    assert len(table) == 4


def test_a_type_derived_from_a_number_is_one(table: list[module.Part]) -> None:
    """A number of a derived type, as NumPy's, is packed; a list is not."""

    class Number(float):
        pass

    packing, waiting = make(table), ordinary(1)
    waiting.vector["features"]["a"] = Number(0.25)
    assert packing.unpack(packing.pack(waiting), 0, "e", 5).vector["features"]["a"] == 0.25
    waiting.vector["features"]["a"] = [0.25]  # type: ignore[assignment]
    with pytest.raises(
        TypeError, match="a value must be a number, a boolean, text or None; got list"
    ):
        packing.pack(waiting)
