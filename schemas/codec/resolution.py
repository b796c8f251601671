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

from collections.abc import Callable, Sequence
from functools import partial

from millrace.schemas.codec import decimals
from millrace.schemas.codec.binary import read_long
from millrace.schemas.codec.documents import default_maker
from millrace.schemas.codec.matching import (
    candidates,
    closeness,
    incompatible,
    placed,
    placed_back,
)
from millrace.schemas.codec.promotion import moment, primitive
from millrace.schemas.codec.reading import (
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
    kind_of,
)

_DEFAULTS_PER_PART = 8


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
    branches = candidates(written, wanted, beside)
    readable = [each for each in branches if problem_of(written, each) is None]
    alike = [each for each in branches if kind_of(each) == kind_of(written)]
    return max(readable or alike, key=partial(closeness, written), default=None)


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
                return moment(written, wanted)
        return primitive(written, wanted, back=self._back)

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
        for each in candidates(written, wanted, beside):
            try:
                possible.append((each, self.read(written, each)))
            except IncompatibleError as error:
                if kind_of(each) == kind_of(written):
                    nearest = error
        if not possible:
            raise nearest or incompatible(written, wanted)
        return max(possible, key=lambda one: closeness(written, one[0]))[1]

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
            places |= placed_back(written, wanted, places)
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
            raise incompatible(written, wanted)
        if isinstance(written, Decimals):
            return self.read(written.base, wanted)
        assert isinstance(wanted, Decimals)
        return converting(self.read(written, wanted.base), partial(decimals.from_bytes, wanted))

    def _rescaled(self, written: Decimals, wanted: Decimals) -> Read:
        whole, places = written.precision - written.scale, written.scale
        if places > wanted.scale or whole > wanted.precision - wanted.scale:
            raise incompatible(written, wanted)
        read = converting(
            self.read(written.base, written.base), partial(decimals.from_bytes, written)
        )
        if places == wanted.scale:
            return read
        return converting(read, partial(decimals.rescaled, wanted))
