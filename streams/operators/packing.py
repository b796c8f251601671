"""A waiting event as bytes: its names are said once for all events, its numbers are numbers.

What an event says besides its numbers is its shape: the names of its features, of the candidates
that predicted it and of their classes, and of which kind each value is. Nearly all events of a
pipeline have the same few shapes. So the parts of a shape are numbered, in a table that is saved
with the events, and an event is the numbers of its shape's parts and its values.

Layout of an event, without its id and time, which are known by its place (little endian)::

    how many parts (1 byte) | number of each (2 bytes) | length of its key, -1 for none (4 bytes)
    | values | what of them has no fixed length | key

The parts are the kinds of the values, the features' names, and for each candidate its name and
its classes, each a JSON array of texts. A shape that the table has no room for is written into
the event: 0, its length (4 bytes), and a JSON array of its parts, in place of their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception
from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast

from millrace.schemas.records import Features, FeatureVector, LabelValue, Predicted

Part: TypeAlias = tuple[str, ...]

_MOST_PARTS = 0xFFFF
_MOST_SHAPES = 4_096  # that are remembered; others are worked out again
_INLINE = b"\0"
_LENGTH = Struct("<I")
_KEY = Struct("<i")

_ABSENT, _NONE, _TEXT, _LARGE = "a", "n", "s", "z"
_FORMATS = {"d": "d", "q": "q", "?": "?", _ABSENT: "", _NONE: "", _TEXT: "I", _LARGE: "I"}
"""Kind of a value to how it is packed: texts and integers beyond 64 bits by their lengths."""


class Waiting(NamedTuple):
    """An event that waits for its label, with what every candidate predicted."""

    vector: FeatureVector
    predicted: dict[str, Predicted]


class _Large(int):
    """The type that an integer beyond 64 bits counts as."""


_KINDS: dict[type, str] = {
    float: "d",
    int: "q",
    bool: "?",
    type(None): _NONE,
    str: _TEXT,
    _Large: _LARGE,
}


class _Shape:
    """What an event says besides its values.

    Parameters
    ----------
    kinds
        A letter for each value: of each feature, of each candidate and its classes, of the label
        if there is one.
    names
        Of the features, those that are absent among them.
    candidates
        Of each its name, and its classes.
    head
        How it is written.
    """

    def __init__(self, kinds: str, names: Part, candidates: Sequence[Part], head: bytes) -> None:
        self.head = head
        self.kinds = kinds.replace(_ABSENT, "")
        self.names = tuple(name for name, kind in zip(names, kinds, strict=False) if kind != "a")
        self.values = Struct("<" + "".join(_FORMATS[kind] for kind in self.kinds))
        self.is_plain = {*self.kinds} <= {"d", "q", "?"}
        self.candidates: list[tuple[str, Part, int]] = []  # and where what it predicted is
        at = len(self.names)
        for name, *classes in candidates:
            self.candidates.append((name, tuple(classes), at))
            at += 1 + len(classes)
        self.has_label = len(self.kinds) > at


class Packing:
    """Packs events, and unpacks them.

    Parameters
    ----------
    names
        Of the features that an event may have, in order. Those that it lacks are only marked.
    on_part
        Called with each new part of the table, and its number: it is to be saved.

    Attributes
    ----------
    names
        See above.

    Examples
    --------
    >>> packing = Packing(("x", "y"), on_part=lambda number, part: None)
    >>> vector = {"event_id": "a", "key": None, "event_time_ms": 5, "label": None}
    >>> predicted = {"tree": {"value": True, "probabilities": {"True": 0.75}}}
    >>> waiting = Waiting({**vector, "features": {"x": 0.5}}, predicted)
    >>> packed = packing.pack(waiting)
    >>> len(packed), packing.unpack(packed, 0, "a", 5) == waiting
    (28, True)
    """

    def __init__(self, names: Part, on_part: Callable[[int, Part], None]) -> None:
        self.names = names
        self._on_part = on_part
        self._parts: list[Part] = []
        self._numbers: dict[Part, int] = {}
        self._by_look: dict[object, _Shape] = {}
        self._by_head: dict[bytes, _Shape] = {}

    def add_part(self, part: Iterable[str]) -> None:
        """Take the next part of a saved table."""
        self._numbers[tuple(part)] = len(self._parts)
        self._parts.append(tuple(part))

    def pack(self, waiting: Waiting) -> bytes:
        """Return an event as bytes, without its id and time."""
        vector, predicted = waiting
        features, label, key = vector["features"], vector["label"], vector["key"]
        values: list[LabelValue | None] = [*features.values()]
        classes = []
        for each in predicted.values():
            values.append(each["value"])
            probabilities = each["probabilities"]
            classes.append((*probabilities,))
            if probabilities:
                values += probabilities.values()
        if label is not None:
            values.append(label)
        try:
            shape, packed = self._packed(features, predicted, classes, values)
        except StructError:
            values = [_Large(each) if _is_large(each) else each for each in values]
            shape, packed = self._packed(features, predicted, classes, values)
        if key is None:
            return shape.head + _KEY.pack(-1) + packed
        text = _encoded(key)
        return shape.head + _KEY.pack(len(text)) + packed + text

    def unpack(self, packed: bytes, start: int, event_id: str, time_ms: int) -> Waiting:
        """Return the event that was packed; its bytes begin at `start`."""
        shape = self._written(packed, start)
        start += len(shape.head)
        (key_size,) = _KEY.unpack_from(packed, start)
        start += _KEY.size
        values: Sequence[Any] = shape.values.unpack_from(packed, start)
        if not shape.is_plain:
            values = [*_unpacked(shape, values, packed, start + shape.values.size)]
        features: Features = dict(zip(shape.names, values, strict=False))
        predicted: dict[str, Predicted] = {
            name: {
                "value": values[at],
                "probabilities": dict(zip(classes, values[at + 1 :], strict=False))
                if classes
                else {},
            }
            for name, classes, at in shape.candidates
        }
        vector: FeatureVector = {
            "event_id": event_id,
            "key": None if key_size < 0 else _decoded(packed[len(packed) - key_size :]),
            "event_time_ms": time_ms,
            "label": values[-1] if shape.has_label else None,
            "features": features,
        }
        return Waiting(vector, predicted)

    def _packed(
        self,
        features: Features,
        predicted: Mapping[str, Predicted],
        classes: Sequence[Part],
        values: Sequence[LabelValue | None],
    ) -> tuple[_Shape, bytes]:
        """Return the shape of an event, and its values as bytes."""
        look = (*features, *predicted, *classes, *map(type, values))
        shape = self._by_look.get(look)
        if shape is None:
            kinds = "".join(_kind_of(type(each)) for each in values)
            names, kinds = self._with_absent(tuple(features), kinds)
            candidates = [(name, *each) for name, each in zip(predicted, classes, strict=True)]
            head = self._head([(kinds,), names, *candidates])
            shape = _remember(self._by_look, look, _Shape(kinds, names, candidates, head))
        return shape, shape.values.pack(*values) if shape.is_plain else _pack(shape, values)

    def _with_absent(self, names: Part, kinds: str) -> tuple[Part, str]:
        """Return all names that an event may have, and its kinds with those that it lacks."""
        if [*names] != [each for each in self.names if each in names]:
            return names, kinds  # in another order
        rest = iter(kinds)
        marked = [next(rest) if each in names else _ABSENT for each in self.names]
        return self.names, "".join([*marked, *rest])

    def _head(self, parts: list[Part]) -> bytes:
        numbers = [*map(self._number, parts)]
        if None in numbers or len(parts) > 0xFF:
            said = json.dumps(parts).encode()
            return _INLINE + _LENGTH.pack(len(said)) + said
        return Struct(f"<B{len(parts)}H").pack(len(parts), *numbers)

    def _number(self, part: Part) -> int | None:
        """Return the number of a part in the table; None where there is no room for it."""
        number = self._numbers.get(part)
        if number is None and len(self._parts) < _MOST_PARTS:
            number = len(self._parts)
            self.add_part(part)
            self._on_part(number, part)
        return number

    def _written(self, packed: bytes, start: int) -> _Shape:
        """Return the shape that the bytes at `start` say."""
        count = packed[start]
        if count:
            end = start + 1 + 2 * count
        else:
            end = start + 1 + _LENGTH.size + _LENGTH.unpack_from(packed, start + 1)[0]
        head = packed[start:end]
        shape = self._by_head.get(head)
        if shape is None:
            parts = self._numbered(head) if count else _inline(head)
            (kinds,), names, *candidates = parts
            shape = _remember(self._by_head, head, _Shape(kinds, names, candidates, head))
        return shape

    def _numbered(self, head: bytes) -> list[Part]:
        return [self._parts[each] for each in Struct(f"<{head[0]}H").unpack_from(head, 1)]


def _inline(head: bytes) -> list[Part]:
    return [tuple(each) for each in json.loads(head[1 + _LENGTH.size :])]


def _remember(shapes: dict[Any, _Shape], key: object, shape: _Shape) -> _Shape:
    if len(shapes) >= _MOST_SHAPES:
        shapes.clear()
    shapes[key] = shape
    return shape


def _kind_of(type_: type) -> str:
    """Return the kind of values of a type, which may be derived from one of ours, as NumPy's are.

    Raises
    ------
    TypeError
        It is of none.
    """
    for each in type_.__mro__:
        if each in _KINDS:
            return _KINDS[each]
    raise TypeError(f"a value must be a number, a boolean, text or None; got {type_.__name__}")


def _is_large(value: object) -> TypeGuard[int]:
    return type(value) is int and not -(2**63) <= value < 2**63


def _pack(shape: _Shape, values: Sequence[object]) -> bytes:
    """Pack values of which some have no fixed length."""
    fixed: list[object] = []
    others: list[bytes] = []
    for kind, value in zip(shape.kinds, values, strict=True):
        if kind in (_TEXT, _LARGE):
            data = _encoded(cast(str, value)) if kind == _TEXT else _digits(cast(int, value))
            others.append(data)
            fixed.append(len(data))
        elif kind != _NONE:
            fixed.append(value)
    return b"".join([shape.values.pack(*fixed), *others])


def _unpacked(
    shape: _Shape, fixed: Iterable[object], packed: bytes, start: int
) -> Iterator[LabelValue | None]:
    """Yield values of which some have no fixed length: these begin at `start`."""
    rest = cast(Iterator[Any], iter(fixed))
    for kind in shape.kinds:
        if kind == _NONE:
            yield None
        elif kind in (_TEXT, _LARGE):
            end = start + next(rest)
            data = packed[start:end]
            yield _decoded(data) if kind == _TEXT else int.from_bytes(data, "little", signed=True)
            start = end
        else:
            yield next(rest)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode(errors="surrogatepass")


def _digits(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
