"""Reading what another schema wrote, by the rules of "Schema Resolution" (Avro 1.12).

The writer's and the reader's types become one function, which also reads a type as itself.

Where the specification leaves a choice, nothing is lost: a whole number read into a union stays
one; a date or timestamp is converted from the writer's unit. Names of records, enums and fixed
need not be equal, but where a union has several: the reader knows what it wants to read.

What is written with a later schema than the reader's is read *back*, so that nothing is refused
which the later schema accepts: a field is found by the aliases of the writer, too; a number that
was promoted is one of the reader's type again where that holds it; and any other value that the
reader's type does not have (a new type of a union, a new symbol of an enum) stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from millrace.schemas.codec import decimals
from millrace.schemas.codec.binary import nearest_float, read_long
from millrace.schemas.codec.documents import default_maker
from millrace.schemas.codec.reading import (
    READING,
    IncompatibleError,
    Meter,
    Read,
    array_reader,
    converting,
    enum_reader,
    fixed_reader,
    map_reader,
    raising,
)
from millrace.schemas.codec.types import (
    MAX_DEPTH,
    Array,
    Decimals,
    Enum,
    Fixed,
    Map,
    Moment,
    Record,
    Type,
    Union,
    branches_of,
    kind_of,
)

_DEFAULTS_PER_PART = 8
_UNITS = {
    86_400 * 10**9: "days",
    10**6: "milliseconds",
    10**3: "microseconds",
    1: "nanoseconds",
}
_PROMOTIONS: dict[tuple[str, str], Callable[..., object]] = {
    ("int", "long"): int,
    ("int", "float"): nearest_float,
    ("int", "double"): float,
    ("long", "float"): nearest_float,
    ("long", "double"): float,
    ("float", "double"): float,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): bytes.decode,
}
_WHOLE = frozenset({"int", "long"})
_NAMED = (Record, Enum, Fixed)


def resolved(
    written: Type, wanted: Type, levels: int = MAX_DEPTH, *, back: bool = False
) -> Callable[[bytes, int], tuple[object, int]]:
    r"""Return the function that reads what one type wrote as another.

    Parameters
    ----------
    levels
        How deep a record may be nested.
    back
        Whether the writer's type may be a later one than the reader's.

    Raises
    ------
    IncompatibleError
        No value of the one can be read as the other.

    Examples
    --------
    >>> resolved("int", Union(("null", "double")))(b"\x06", 0)
    (3.0, 1)
    >>> resolved(Union(("null", "double")), "int", back=True)(bytes(2), 0)
    (None, 1)
    """
    read = _Resolution(back=back).read(written, wanted)
    return lambda data, at: read(data, at, Meter(len(data), levels))


def closest(written: Type, wanted: Type, beside: Sequence[Type] = ()) -> Type | None:
    """Return which of the reader's types a value is read as; where none can, one of its kind.

    Parameters
    ----------
    beside
        All types of the writer's union, where it is one of them.

    Examples
    --------
    >>> closest("int", Union(("null", "double", "long")))
    'long'
    """
    candidates = _candidates(written, wanted, beside)
    readable = [each for each in candidates if problem_of(written, each) is None]
    alike = [each for each in candidates if kind_of(each) == kind_of(written)]
    return max(readable or alike, key=partial(_closeness, written), default=None)


def problem_of(written: Type, wanted: Type) -> IncompatibleError | None:
    """Return why no value of the one can be read as the other, if that is so."""
    try:
        _Resolution().read(written, wanted)
    except IncompatibleError as error:
        return error
    return None


class _Resolution:
    """Pairs of records are resolved once: they may be used many times, or refer to themselves."""

    def __init__(self, *, back: bool = False) -> None:
        self._back = back
        self._records: dict[tuple[int, int], Read | IncompatibleError | None] = {}
        self._empty: dict[int, bool] = {}

    def read(self, written: Type, wanted: Type) -> Read:  # noqa: PLR0911 - one for each type
        """Return the function that reads `written` as `wanted`."""
        if isinstance(written, Union):
            return self._of_union(written, wanted)
        if isinstance(wanted, Union):
            return self._into_union(written, wanted)
        match written, wanted:
            case Record(), Record():
                return self._of_record(written, wanted)
            case Array(), Array():
                return self._array(written, wanted)
            case Map(), Map():
                return map_reader(self.read(written.values, wanted.values))
            case Enum(), Enum():
                return enum_reader(written, wanted, keeps=self._back)
            case (Decimals(), _) | (_, Decimals()):
                return self._decimals(written, wanted)
            case Fixed(), Fixed() if written.size == wanted.size:
                return fixed_reader(written.size)
            case Moment(), Moment() if written.base in (wanted.base, "int"):
                return _moment(written, wanted)
        return _primitive(written, wanted, _BACK if self._back else _PROMOTIONS)

    def _array(self, written: Array, wanted: Array) -> Read:
        return array_reader(
            self.read(written.items, wanted.items), is_empty=self._is_empty(written.items)
        )

    def _of_union(self, written: Union, wanted: Type) -> Read:
        branches: list[Read] = []
        problems: list[IncompatibleError] = []
        for each in written.branches:
            try:
                branches.append(self._of_branch(each, written, wanted))
            except IncompatibleError as error:
                problems.append(error)
                branches.append(self.read(each, each) if self._back else raising(error))
        if len(problems) == len(branches):
            raise problems[0]

        def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            branch = data[at] >> 1
            if data[at] & 0x81:  # it is negative, or takes more than one byte
                branch, at = read_long(data, at)
            else:
                at += 1
            if not 0 <= branch < len(branches):
                raise IndexError("a union has no such branch")
            return branches[branch](data, at, meter)

        return read

    def _of_branch(self, branch: Type, written: Union, wanted: Type) -> Read:
        if wanted is written:
            return self.read(branch, branch)
        return self._into_union(branch, wanted, written.branches)

    def _into_union(self, written: Type, wanted: Type, beside: Sequence[Type] = ()) -> Read:
        """Return the function of the reader's type that is closest to the writer's."""
        nearest: IncompatibleError | None = None
        possible: list[tuple[Type, Read]] = []
        for each in _candidates(written, wanted, beside):
            try:
                possible.append((each, self.read(written, each)))
            except IncompatibleError as error:
                if kind_of(each) == kind_of(written):
                    nearest = error
        if not possible:
            raise nearest or _incompatible(written, wanted)
        return max(possible, key=lambda one: _closeness(written, one[0]))[1]

    def _of_record(self, written: Record, wanted: Record) -> Read:
        pair = id(written), id(wanted)
        if pair not in self._records:
            self._records[pair] = None
            try:
                self._records[pair] = self._record(written, wanted)
            except IncompatibleError as error:
                self._records[pair] = error
        found = self._records[pair]
        if found is None:  # it refers to itself
            return partial(self._read_again, written, wanted)
        if isinstance(found, IncompatibleError):
            raise found
        return found

    def _read_again(
        self, written: Record, wanted: Record, data: bytes, at: int, meter: Meter
    ) -> tuple[object, int]:
        return self._of_record(written, wanted)(data, at, meter)

    def _record(self, written: Record, wanted: Record) -> Read:
        places = placed(written, wanted)
        if self._back:
            places |= _placed_back(written, wanted, places)
        reads: list[tuple[str | None, Read]] = []
        for source, declared in written.fields.items():
            place = places.get(source)
            try:
                read_field = self.read(declared, wanted.fields[place] if place else declared)
            except IncompatibleError as error:
                raise IncompatibleError(f"field {source!r}: {error}") from None
            reads.append((place, read_field))
        found = {*places.values()}
        missing = [name for name in wanted.fields if name not in found]
        for name in missing:
            if name not in wanted.defaults:
                raise IncompatibleError(
                    f"the writer's record {written.name!r} lacks the field {name!r}, which has no"
                    " default"
                )
        defaults = [(name, default_maker(wanted, name)) for name in missing]
        blank: dict[str, object] = dict.fromkeys(wanted.fields)
        in_order = [*wanted.fields] == [place for place, _ in reads]
        empty = [each for each in written.fields.values() if self._is_empty(each)]
        parts = 1 + len(empty) + len(defaults) // _DEFAULTS_PER_PART

        def read(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            meter.enter(parts)
            record = blank.copy()
            for place, read_field in reads:
                value, at = read_field(data, at, meter)
                if place is not None:
                    record[place] = value
            for name, default in defaults:
                record[name] = default()
            meter.leave()
            return record, at

        def read_all(data: bytes, at: int, meter: Meter) -> tuple[object, int]:
            meter.enter(parts)
            record: dict[str | None, object] = {}
            for place, read_field in reads:
                record[place], at = read_field(data, at, meter)
            meter.leave()
            return record, at

        return read_all if in_order else read

    def _is_empty(self, declared: Type) -> bool:
        """Whether all values of a type take no bytes."""
        match declared:
            case Fixed():
                return declared.size == 0
            case Record() if id(declared) not in self._empty:
                self._empty[id(declared)] = False  # what refers to itself takes a byte to end
                self._empty[id(declared)] = all(map(self._is_empty, declared.fields.values()))
        return declared == "null" or self._empty.get(id(declared), False)

    def _decimals(self, written: Type, wanted: Type) -> Read:
        if isinstance(written, Decimals) and isinstance(wanted, Decimals):
            return self._rescaled(written, wanted)
        if kind_of(written) != kind_of(wanted):
            raise _incompatible(written, wanted)
        if isinstance(written, Decimals):
            return self.read(written.base, wanted)
        assert isinstance(wanted, Decimals)
        return converting(self.read(written, wanted.base), partial(decimals.from_bytes, wanted))

    def _rescaled(self, written: Decimals, wanted: Decimals) -> Read:
        whole, places = written.precision - written.scale, written.scale
        if places > wanted.scale or whole > wanted.precision - wanted.scale:
            raise _incompatible(written, wanted)
        read = converting(
            self.read(written.base, written.base), partial(decimals.from_bytes, written)
        )
        if places == wanted.scale:
            return read
        return converting(read, partial(decimals.rescaled, wanted))


def placed(written: Record, wanted: Record) -> dict[str, str]:
    """Return the writer's fields that are read, each with the reader's name for it."""
    places = {name: name for name in wanted.fields if name in written.fields}
    for name, aliases in wanted.aliases.items():
        source = next((each for each in aliases if each in written.fields), None)
        if name not in places and source is not None:
            places.setdefault(source, name)
    return places


def _placed_back(written: Record, wanted: Record, places: Mapping[str, str]) -> dict[str, str]:
    """Return the writer's fields that are not placed, but were renamed from one of the reader's."""
    return {
        source: name
        for name, source in placed(wanted, written).items()
        if source not in places and name not in places.values()
    }


def _candidates(written: Type, wanted: Type, beside: Sequence[Type] = ()) -> Sequence[Type]:
    """Return the reader's types that a value may be read as: names count where several are alike.

    `beside` has all types of the writer's union.
    """
    branches, kind = branches_of(wanted), kind_of(written)
    several = any([*map(kind_of, types)].count(kind) > 1 for types in (branches, beside))
    if not several:
        return branches
    return [each for each in branches if kind_of(each) != kind or _kinship(written, each)]


def _closeness(written: Type, wanted: Type) -> tuple[bool, bool, bool, int]:
    kind, other = kind_of(written), kind_of(wanted)
    return (
        kind == other,
        _WHOLE.issuperset((kind, other)),
        type(written) is type(wanted),
        _kinship(written, wanted),
    )


def _kinship(written: Type, wanted: Type) -> int:
    """Return how well the names of two types agree; 0 where they do not."""
    if not isinstance(written, _NAMED) or not isinstance(wanted, _NAMED):
        return 1 + (described(written) == described(wanted))
    if written.name == wanted.name:
        return 3
    if written.name.rpartition(".")[2] == wanted.name.rpartition(".")[2]:
        return 2
    return int(written.name in wanted.other_names or wanted.name in written.other_names)


def described(declared: Type) -> str:
    """Return what a type is, for people."""
    match declared:
        case Record() | Enum() | Fixed():
            return f"{kind_of(declared)} {declared.name.rpartition('.')[2]}"
        case Moment():
            return f"{declared.base} in {_UNITS[declared.nanoseconds]}"
        case Decimals():
            return f"decimal({declared.precision}, {declared.scale})"
    return kind_of(declared)


def _incompatible(written: Type, wanted: Type) -> IncompatibleError:
    kinds = " or ".join(map(described, branches_of(wanted)))
    return IncompatibleError(f"{described(written)} cannot be read as {kinds}")


def _moment(written: Moment, wanted: Moment) -> Read:
    def convert(units: int) -> int:
        found = units * written.nanoseconds // wanted.nanoseconds
        if not -(2**63) <= found < 2**63:
            raise ValueError("a time takes more than 64 bits")
        return found

    read = READING[written.base]
    return read if written.nanoseconds == wanted.nanoseconds else converting(read, convert)


def _whole(number: float) -> float:
    """Return a number as a whole one, where that is the same, and a long holds it."""
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _text(data: bytes) -> str | bytes:
    """Return bytes as text, if they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


_BACK = _PROMOTIONS | {
    ("long", "int"): int,
    ("double", "float"): float,
    **{(real, whole): _whole for real in ("float", "double") for whole in _WHOLE},
    ("bytes", "string"): _text,
}


def _primitive(
    written: Type, wanted: Type, promotions: Mapping[tuple[str, str], Callable[..., object]]
) -> Read:
    kinds = kind, other = kind_of(written), kind_of(wanted)
    if kind in READING and kind == other:
        return READING[kind]
    if kinds in promotions:
        return converting(READING[kind], promotions[kinds])
    raise _incompatible(written, wanted)
