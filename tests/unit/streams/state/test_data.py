"""Plain data comes back equal, of the same types, and to the last bit."""

from __future__ import annotations

import struct
from collections import Counter, deque
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.models.features.window import Window
from millrace.models.pipeline.definition import Pipeline
from millrace.models.sealed import Sealed
from millrace.schemas import SnapshotError
from millrace.streams.operators.record import Origin
from millrace.streams.operators.waiting_labels import Early
from millrace.streams.state.data import NotDataError, from_data, to_data

TEXTS = st.text(st.characters(exclude_categories=()))
FLOATS = st.binary(min_size=8, max_size=8).map(lambda bits: struct.unpack("<d", bits)[0])
ATOMS = st.none() | st.booleans() | st.integers() | FLOATS | TEXTS | st.binary()
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
PLAIN = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(TEXTS, inner)
        | st.sets(KEYS)
    ),
    max_leaves=20,
)


def unseal(_: object) -> object:
    pytest.fail("nothing is sealed")


def again(value: object) -> Any:
    return from_data(to_data(value), unseal)


def exact(value: Any) -> object:
    """Return a value so that two are equal only if their types and bits are."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return dict, [(exact(key), exact(each)) for key, each in value.items()]
    if isinstance(value, set):
        return set, {(type(each), each) for each in value}
    if isinstance(value, list | tuple):
        return type(value), [exact(each) for each in value]
    return type(value), value


@given(PLAIN)
@example([2**64, -(2**63) - 1, 2**63, "\ud800", {"\ud800": (1, [2])}, {(1, "a"): {b""}}])
@example({True: 1, "True": 2, 2: 3})
@example([0.0, -0.0, float("inf"), float("-inf")])
def test_plain_data_comes_back_equal(value: object) -> None:
    """Numbers of any size, any text, tuples, sets and keys among them."""
    assert exact(again(value)) == exact(value)


def test_a_nan_keeps_its_bits() -> None:
    """Whatever it carries, quiet or not."""
    for bits in ("010000000000f47f", "efbeadde0000f8ff"):
        (nan,) = struct.unpack("<d", bytes.fromhex(bits))
        assert struct.pack("<d", again([nan])[0]).hex() == bits


@pytest.mark.parametrize(
    "value", [Counter("a"), deque([1]), frozenset({1}), bytearray(b"a"), 1j, object(), ValueError]
)
def test_what_is_no_plain_data_is_told_apart(value: object) -> None:
    """So that it is sealed as a whole, and not something like it read back."""
    for held in (value, [value], {"a": (value,)}):
        with pytest.raises(NotDataError):
            to_data(held)


def test_what_is_in_two_places_is_told_apart() -> None:
    """As data, one would become two; what cannot change may."""
    both, held = [1], (1, "a")
    with pytest.raises(NotDataError):
        to_data({"one": both, "other": [both]})
    both.append(both)  # type: ignore[arg-type]
    with pytest.raises(NotDataError):
        to_data(both)
    assert again([held, held]) == [held, held]


def test_an_object_of_an_unknown_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer release has written it."""
    data = to_data(Window(1))
    monkeypatch.setattr("millrace.streams.state.data.FORMS", {})
    with pytest.raises(SnapshotError, match="got 'window'"):
        from_data(data, unseal)


def test_a_window_comes_back() -> None:
    """With what it forgot, and numbers to the last bit."""
    window = Window(1_000, max_events=3)
    for time_ms in range(0, 10_000, 300):
        window.add(time_ms, -0.1 * time_ms)
    (loaded,) = again([window])
    assert (loaded.span_ms, loaded.max_events) == (1_000, 3)
    for time_ms in range(0, 11_000, 100):
        assert exact(loaded.values(time_ms)) == exact(window.values(time_ms))
        assert loaded.is_cut(time_ms) == window.is_cut(time_ms)
    assert loaded.add(9_000, 1.0) == window.add(9_000, 1.0)


@pytest.mark.parametrize("label", [True, 2**70, "\ud800", 1.5, None])
def test_an_early_label_comes_back(label: Any) -> None:
    """With the record that it came in, whatever the label is."""
    origin = Origin("labels", 1, 2, 3, None, b"\0", (("a", b"b"), ("c", None)), "p.labels")
    early = Early({"event_id": "e", "label": label, "label_time_ms": None, "key": ""}, origin, -5)
    loaded = again(early)
    assert (loaded, type(loaded), type(loaded.origin)) == (early, Early, Origin)
    assert type(loaded.label["label"]) is type(label)


def test_sealed_parts_are_opened_one_by_one(make_pipeline: Any) -> None:
    """What is around them is data."""
    opened: list[bytes] = []
    data = to_data({"a": Sealed({1, 2}), "b": [Sealed(Pipeline), 3]})
    loaded = from_data(data, lambda part: opened.append(bytes(part)) or len(opened))  # type: ignore[func-returns-value]
    assert loaded == {"a": 1, "b": [2, 3]}
