"""Whatever bytes come are a record, or a record's error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.schemas import AvroType, RecordError, RejectReason, shipped
from millrace.schemas.codec import reader, writer
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES
from millrace.schemas.codec.binary import write_long
from millrace.schemas.codec.reader import record_reader
from millrace.schemas.codec.types import Enum, Record
from tests.unit.schemas.avro_schemas import ENUM, FEATURE, by_fastavro, map_of, parsed, record

INNER = record("long", "string", name="Inner")
EVERY_TYPE = record(
    *("null", "boolean", "int", "long", "double", "string", ["null", "double"]),
    *([*FEATURE], INNER, map_of("double"), map_of(FEATURE), map_of("string")),
)
EVERY_VALUE = {
    "a": None,
    "b": True,
    "c": -70,
    "d": 2**40,
    "e": 0.5,
    "f": "text",
    "g": 1.5,
    "h": "label",
    "i": {"a": 1, "b": "é"},
    "j": {"x": 0.5},
    "k": {"x": 0.5, "y": 1},
    "l": {"n": "v" * 70},
}
OTHER_TYPES = record("bytes", "float", {"type": "array", "items": "long"}, ENUM)
OTHER_VALUES = {"a": b"bytes", "b": 0.5, "c": [1, 2, 300], "d": "Z"}


def read(body: str | bytes, *types: object) -> Any:
    """Decode a body as a record of such fields."""
    avro = AvroType(record(*types))
    return avro.decode(avro.header + (bytes.fromhex(body) if isinstance(body, str) else body))


def malformed(body: str | bytes, *types: object) -> str:
    """Return why such bytes are refused."""
    with pytest.raises(RecordError) as caught:
        read(body, *types)
    assert caught.value.reason is RejectReason.MALFORMED
    return caught.value.detail


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_record_error(body: bytes) -> None:
    """Whatever follows a known header decodes, or is malformed: nothing else is raised."""
    reason = None
    try:
        shipped("label").decode(shipped("label").header + body)
    except RecordError as error:
        reason = error.reason
    assert reason in (None, RejectReason.MALFORMED)


@pytest.mark.parametrize(
    ("schema", "value"), [(EVERY_TYPE, EVERY_VALUE), (OTHER_TYPES, OTHER_VALUES)]
)
def test_every_truncation_is_malformed(schema: dict[str, Any], value: dict[str, Any]) -> None:
    """A record that is cut off anywhere in its body is malformed."""
    avro = AvroType(schema)
    whole = avro.encode(value)
    assert avro.decode(whole) == value
    for size in range(HEADER_SIZE_BYTES, len(whole)):
        with pytest.raises(RecordError, match=r"^malformed: "):
            avro.decode(whole[:size])


def test_a_truncation_says_what_could_not_be_decoded() -> None:
    """A record of which nothing can be read names its type and the cause."""
    assert (
        malformed("", "long") == "could not decode the bytes as R: IndexError('index out of range')"
    )


def test_bytes_after_the_record_are_malformed() -> None:
    """A record with more bytes than it takes says where it ended."""
    assert malformed("02 00", "long") == "R ends at byte 11 of 12"
    assert malformed("02 61 00", "bytes") == "R ends at byte 12 of 13"


@pytest.mark.parametrize("size", ["01", "03", "81 01", "ff ff ff ff ff ff ff ff ff 01"])
@pytest.mark.parametrize("rest", ["", "00", "02 61", "02 61 00", "61 61 61 61"])
def test_negative_length(size: str, rest: str) -> None:
    """A text, a map's name or bytes of negative length are malformed, whatever follows."""
    for declared in ("string", "bytes", record("string", name="In")):
        malformed(f"{size} {rest}", declared, "long")
    for values in ("boolean", "double", FEATURE):
        malformed(f"02 {size} {rest}", map_of(values), "long")


def test_a_size_in_more_bytes_than_it_needs() -> None:
    """A size may be padded: Avro asks for no shortest form."""
    assert read("80 00", "string") == {"a": ""}
    assert read("82 00 61", "string") == {"a": "a"}
    assert read("82 00 80 00 02 00", map_of("long")) == {"a": {"": 1}}


def test_negative_length_that_would_fit() -> None:
    """A length of -1 does not read the same byte twice."""
    assert "a text of -1 bytes" in malformed("01", "string", "long")
    assert "a text of -1 bytes" in malformed("02 01", map_of("double"))


@pytest.mark.parametrize("size", ["04", "7e", "80 01", "fe ff ff ff ff ff ff ff ff 01"])
@pytest.mark.parametrize("declared", ["string", "bytes", map_of("long"), map_of(FEATURE)])
def test_length_beyond_the_data(size: str, declared: object) -> None:
    """A text, or a map, that would take more bytes than are left is malformed."""
    malformed(f"{size} 61", declared)
    malformed(f"{size} 61", declared, "null")


@pytest.mark.parametrize(
    "values", ["double", "long", FEATURE, ["null", "double"], record("double", name="In")]
)
def test_maps_in_blocks(values: object) -> None:
    """A map in several blocks, of which a negative count is followed by a size, is one map."""
    branch = "" if values in ("double", "long") or isinstance(values, dict) else "04"
    branch = "02" if values == ["null", "double"] else branch
    value, half = ("02", 1) if values == "long" else ("00 00 00 00 00 00 e0 3f", 0.5)
    half = {"a": half} if isinstance(values, dict) else half
    entry = [f"02 {name} {branch} {value}" for name in ("61", "62", "63")]
    body = f"03 14 {entry[0]} {entry[1]} 02 {entry[2]} 00"
    assert read(body, map_of(values)) == {"a": {"a": half, "b": half, "c": half}}
    assert read(f"01 14 {entry[0]} 00", map_of(values), "null")["a"] == {"a": half}


@pytest.mark.parametrize(
    "body",
    [
        "01",  # a count of -1, and no size of the block
        "01 02",  # and no entry
        "03 0a 02 61 02",  # a count of -2, and one entry
        "01 06 02 61 02",  # no end of the map
        "ff ff ff ff ff ff ff ff ff 01",  # the lowest count there is
        "02 61 02",
    ],
)
def test_negative_block_count(body: str) -> None:
    """A block that does not hold as many entries as it says is malformed."""
    malformed(body, map_of("long"))
    malformed(body, {"type": "array", "items": "long"})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("80 00", 0),
        ("fe ff ff ff ff ff ff ff ff 01", 2**63 - 1),
        ("ff ff ff ff ff ff ff ff ff 01", -(2**63)),
    ],
)
def test_the_longest_numbers(body: str, value: int) -> None:
    """A number of up to ten bytes is read if it fits into 64 bits."""
    assert read(body, "long") == {"a": value}


@pytest.mark.parametrize(
    "body",
    [
        "80 80 80 80 80 80 80 80 80 02",
        "ff ff ff ff ff ff ff ff ff 02",
        "ff ff ff ff ff ff ff ff ff 7f",
        "80 80 80 80 80 80 80 80 80 80 01",
        "80 80 80 80 80 80 80 80 80 80 00",
    ],
)
def test_a_number_of_more_than_64_bits(body: str) -> None:
    """A number that no long can hold is malformed: it could not be written again."""
    assert "takes more than 64 bits" in malformed(body, "long")
    assert "takes more than 64 bits" in malformed(f"02 {body}", FEATURE)


@pytest.mark.parametrize("branch", ["01", "04", "08", "80 01"])
def test_a_branch_that_a_union_does_not_have(branch: str) -> None:
    """A union's branch is one of its own."""
    assert "a union has no such branch" in malformed(f"{branch} 02", ["null", "long"])


def test_a_union_of_many_types() -> None:
    """From the 65th branch on, its number takes two bytes."""
    fields = [[{"name": f"f{i}", "type": "long"}] for i in range(64)]
    records = [{"type": "record", "name": f"R{i}", "fields": f} for i, f in enumerate(fields)]
    avro = AvroType(record([*records, "string", "null"]))
    for value in ({"f63": 1}, "text", None):
        assert avro.decode(avro.encode({"a": value})) == {"a": value}
    assert record_reader(parsed(records)) is not None
    assert record_reader(parsed([*records, "null"])) is None


def test_bytes_that_are_not_utf_8() -> None:
    """Text that is not UTF-8 is malformed."""
    assert "UnicodeDecodeError" in malformed("02 ff", "string")


@pytest.mark.parametrize("branch", ["", "04"])
def test_maps_of_another_shape_than_the_one_before(branch: str) -> None:
    """A map is read as it is, whatever the map before it was like."""
    schema = record(map_of(FEATURE if branch else "double"))
    avro = AvroType(schema)
    maps: list[dict[str, object]] = [{"x": 0.5, "y": 1.0}, {"x": 2.0, "y": 3.0}, {"x": 1.0}, {}]
    maps += [{"y": 0.5, "x": 1.0}, {"x": 0.5, "z": 1.0}, {"x": 0.5, "y": 1.0, "z": 2.0}]
    maps += [{"x": 1, "y": 1.0}, {"x": "1", "y": True}, {"x": 0.5, "y": 1.0}] if branch else []
    for each in [*maps, *maps[::-1]]:
        found = avro.decode(avro.header + by_fastavro(schema, {"a": each}))["a"]
        assert [*found.items()] == [*each.items()]
        assert [*map(type, found.values())] == [*map(type, each.values())]


@pytest.mark.parametrize("values", ["double", FEATURE], ids=str)
def test_a_map_of_the_shape_before_is_read_in_one_step(
    values: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map of doubles is not read entry by entry where the names are those of the one before."""
    first, last = AvroType(record(map_of(values), "string")), AvroType(record(map_of(values)))
    one, another = [{"a": {"x": x, "y": 1.0}, "b": "after"} for x in (0.5, 2.0)]
    for avro in (first, last):
        avro.decode(avro.encode(one))
    monkeypatch.setattr(reader, "_read_map", None)
    assert first.decode(first.encode(another)) == another
    assert last.decode(last.encode(another)) == {"a": another["a"]}
    with pytest.raises(RecordError):
        first.decode(first.encode({"a": {"x": 0.5}, "b": "after"}))


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "array", "items": "long"},
        {"type": "fixed", "name": "F", "size": 2},
        {**ENUM, "symbols": [f"S{n}" for n in range(65)]},
    ],
)
def test_other_types_are_not_compiled(declared: Any) -> None:
    """No source is made for a record with a field that is not plain, however deep it lies."""
    assert record_reader(parsed(declared)) is None
    assert record_reader(parsed(record("long", ["null", declared], name="In"), name="R")) is None
    assert record_reader(parsed(map_of(declared))) is None
    assert record_reader(parsed(["null", "R"])) is None
    assert record_reader(parsed(["long", "string", "bytes", "float", ENUM])) is not None


@pytest.mark.parametrize("symbols", [1, 3, 64, 65, 200])
def test_enums_of_any_size(symbols: int) -> None:
    """Each symbol is read and written, and an index beyond them is malformed."""
    names = [f"S{n}" for n in range(symbols)]
    avro = AvroType(record({**ENUM, "symbols": names}))
    for index, name in enumerate(names):
        assert avro.encode({"a": name}) == avro.header + write_long(index)
        assert avro.decode(avro.encode({"a": name})) == {"a": name}
    for index in (symbols, -1, 2**40):
        with pytest.raises(RecordError, match=r"^malformed: "):
            avro.decode(avro.header + write_long(index))
    with pytest.raises(ValueError, match="enum 'E' has no symbol 'W'"):
        avro.encode({"a": "W"})


def test_what_a_schema_says_is_no_part_of_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of a reader and a writer holds no text of the schema: it is bound in its scope."""
    sources: list[str] = []

    def spy(source: str, scope: dict[str, object]) -> object:
        sources.append(source)
        return eval(compile(source, "spied", "exec" if source.startswith("def") else "eval"), scope)

    monkeypatch.setattr(reader, "exec", spy, raising=False)
    monkeypatch.setattr(writer, "eval", spy, raising=False)
    evil = "a'+__import__('os').system('id')+'"
    declared = Record(evil, {evil: "double", f"{evil}2": Enum(evil, (evil,)), "b": "long"})
    value = {evil: 0.5, f"{evil}2": evil, "b": 1}
    write, read_back = writer.record_writer(declared, b"'+x+'"), record_reader(declared)
    assert write is not None
    assert read_back is not None
    assert read_back(write(value), 5) == (value, len(write(value)))
    assert len(sources) == 2
    assert not any("import" in source or "+x" in source for source in sources)
