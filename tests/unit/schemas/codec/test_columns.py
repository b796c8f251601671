"""Many records written at once are the records written one by one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.schemas import AvroType, shipped
from millrace.schemas.codec.avro import HEADER_SIZE_BYTES
from millrace.schemas.codec.columns import FEW, column_writer
from millrace.schemas.codec.rows import joined
from millrace.schemas.codec.types import Record, Union
from millrace.schemas.codec.writer import record_writer
from tests.unit.schemas.any_schemas import Drawn, schemas
from tests.unit.schemas.avro_schemas import FORMS, PLAIN_FIELDS, a_value, map_of, parsed, record

Draw = Callable[[Random], Any]

MANY = 2 * FEW
NUMBERS = (0, -1, 63, 64, 8_191, 8_192, -(2**63), 2**63 - 1)
ODD_LABELS = (None, 1, -1.5, "é🌊", False)
ODD_FEATURES = (0.0, -0.0, float("nan"), float("inf"), True, 2**40, "text" * 30)


def a_number(random: Random) -> int:
    return random.choice(NUMBERS) if random.random() < 0.1 else random.randrange(10_000)


def an_id(random: Random) -> str:
    return random.choice(("a", "é", "x" * 100)) if random.random() < 0.1 else f"e{random.random()}"


def a_key(random: Random) -> str | None:
    return random.choice((None, None, "anna", "bob"))


def a_label(random: Random) -> Any:
    return random.choice(ODD_LABELS) if random.random() < 0.1 else random.random() < 0.5


def some_features(random: Random) -> dict[str, Any]:
    names = [f"f{number}" for number in range(5)]
    if random.random() < 0.1:
        random.shuffle(names)
        names = names[: random.randrange(6)]
    is_odd = random.random() < 0.1
    return {name: random.choice(ODD_FEATURES) if is_odd else random.random() for name in names}


def some_probabilities(random: Random) -> dict[str, float]:
    names = random.choice((["False", "True"],) * 8 + ([], ["True"]))
    return {name: random.random() for name in names}


def some_reasons(random: Random) -> Any:
    found = {
        "scale": "log_odds",
        "base": random.random(),
        "of": True,
        "against": a_label(random),
        "contributions": {f"f{number}": random.gauss(0, 1) for number in range(3)},
        "rest": 0.0,
        "why_none": random.choice(("", "no exact reasons for this model")),
    }
    return random.choice((None, found))


def some_certainty(random: Random) -> Any:
    found = {
        "coverage": 0.9,
        "threshold": random.choice((None, random.random())),
        "lower": random.choice((None, random.gauss(0, 1))),
        "upper": random.choice((None, random.gauss(0, 1))),
        "classes": random.choice(({}, {"true": random.random()}, {"true": 0.5, "false": 0.5})),
        "why_none": random.choice(("", "no_label")),
        "abstained": random.choice(("", "no_class")),
    }
    return random.choice((None, found))


FIELDS: dict[str, Draw] = {
    "event_id": an_id,
    "key": a_key,
    "event_time_ms": a_number,
    "label_time_ms": a_number,
    "prediction_time_ms": lambda _: 1_700_000_000_000,
    "value": a_label,
    "label": a_label,
    "label_source": lambda random: random.choice(("labels", "labels", "event", None)),
    "source": lambda random: random.choice(("labels", "labels", "@own", None)),
    "label_delay_ms": lambda random: random.choice((None, 0, a_number(random))),
    "model": lambda _: "own",
    "model_version": a_number,
    "staleness_examples": lambda _: 0,
    "definition": lambda _: "",
    "reasons": some_reasons,
    "certainty": some_certainty,
    "probabilities": some_probabilities,
    "features": some_features,
    "fate": lambda random: random.choice(("joined", "joined", "expired")),
    "losses": some_probabilities,
    "block": lambda random: random.choice((None, 0, a_number(random))),
    "settled": a_number,
    "predicted": lambda random: {
        name: {"value": a_label(random), "probabilities": some_probabilities(random)}
        for name in random.choice((["own", "prior"],) * 8 + (["own"], []))
    },
}


@pytest.mark.parametrize("name", ["prediction", "outcome", "feature_vector", "example"])
@pytest.mark.parametrize("seed", range(3))
def test_records_are_written_as_one_by_one(name: str, seed: int) -> None:
    """Wherever the slices are cut, and whatever is odd in some of the records."""
    random, avro = Random(seed), shipped(name)
    drawing = {field: FIELDS[field] for field in avro.type.fields}
    records = [{field: draw(random) for field, draw in drawing.items()} for _ in range(600)]
    one_by_one = [*map(avro.encode, records)]
    assert avro.encode_all(records) == one_by_one
    written: list[bytes] = []
    while len(written) < len(records):
        some = records[len(written) : len(written) + random.choice((1, MANY - 1, MANY, 90))]
        written += avro.encode_all(some)
    assert written == one_by_one


@pytest.mark.parametrize("name", ["prediction", "outcome", "feature_vector", "example", "label"])
def test_records_of_millrace_are_written_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of their types is one that is written record by record."""
    avro: AvroType[Any] = shipped(name)
    drawing = {field: FIELDS[field] for field in avro.type.fields}
    records = [{field: draw(Random(0)) for field, draw in drawing.items()}] * MANY
    monkeypatch.delattr(AvroType, "encode")
    assert len(avro.encode_all(records)) == MANY


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, 60])
def test_fields_may_be_columns(count: int) -> None:
    """So may the names of a map, where every record has them all."""
    random, avro = Random(count), shipped("outcome")
    others = {field: FIELDS[field] for field in avro.type.fields if field != "losses"}
    columns: Any = {field: [draw(random) for _ in range(count)] for field, draw in others.items()}
    losses = {name: [random.random() for _ in range(count)] for name in ("own", "prior")}
    records = [
        {name: column[at] for name, column in columns.items()}
        | {"losses": {name: column[at] for name, column in losses.items()}}
        for at in range(count)
    ]
    written = avro.encode_columns({**columns, "losses": losses}, count)
    assert written == [*map(avro.encode, records)]


@given(PLAIN_FIELDS, st.data())
@settings(max_examples=50)
def test_any_plain_columns(fields: list[tuple[str, str]], data: st.DataObject) -> None:
    """Columns of one value, or of a few, hold to it as well, whatever the types."""
    declared = parsed(*(FORMS[form](name) for name, form in fields))
    values = [a_value(fields, data) for _ in range(data.draw(st.integers(1, 4)))]
    write = record_writer(declared, b"")
    assert write
    assert joined(column_writer(declared)(values), len(values)) == [*map(write, values)]


@given(schemas(), st.data())
@settings(max_examples=50)
def test_any_records(drawn: Drawn, data: st.DataObject) -> None:
    """Types that are not plain are written one by one, which nobody notices."""
    values = [data.draw(drawn.values) for _ in range(2)] * MANY
    avro: AvroType[Any] = AvroType(drawn.declared)
    assert avro.encode_all(values) == [*map(avro.encode, values)]


@pytest.mark.parametrize(
    "maps",
    [
        [{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"b": 4.0, "a": 5.0, "c": 6.0}],
        [{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"b": 4.0}, {"a": 5.0, "b": 6.0}],
        [{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}],
        [{}, {}],
        [{}, {"a": 1.0}],
    ],
)
def test_names_are_told_apart(maps: list[dict[str, float]]) -> None:
    """Each map is written with its own names, in its own order."""
    avro: AvroType[Any] = AvroType(record(map_of("double")))
    records = [{"a": each} for each in maps * MANY]
    assert avro.encode_all(records) == [*map(avro.encode, records)]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("string", "\ud800"),
        ("string", 1),
        ("long", 2**63),
        ("long", None),
        ("double", "1"),
        (map_of(["boolean", "long", "double", "string"]), {"f": None}),
        (map_of(["boolean", "long", "double", "string"]), {"f": 2**63}),
        (map_of("double"), {1: 1.0}),
    ],
)
def test_what_cannot_be_written(declared: object, value: object) -> None:
    """A single value that its type does not hold is refused, among many that it does."""
    avro: AvroType[Any] = AvroType(record(declared))
    good: Any = {"string": "a", "long": 1, "double": 1.0}.get(str(declared), {"f": 1.0})
    with pytest.raises(Exception, match=r".+"):
        avro.encode_all([{"a": good}] * MANY + [{"a": value}])


def test_a_missing_field_is_refused() -> None:
    """`encode` writes its default, which columns do not know."""
    with pytest.raises(KeyError):
        shipped("label").encode_all([{"event_id": "a", "label": True}] * MANY)


def test_a_union_of_null_and_any_other() -> None:
    """Values of a type that may be missing are a column wherever they are there."""
    declared = Union(("null", Record("R", {"n": "long"})))
    values = [None, {"n": 1}, {"n": 300}, None]
    assert joined(column_writer(declared)(values), 4) == [b"\0", b"\2\2", b"\2\xd8\4", b"\0"]


def test_the_bytes_follow_the_header() -> None:
    """They are in single-object encoding, and decoded as such."""
    avro: AvroType[Any] = AvroType(record("string", "long"))
    records = [{"a": f"e{number}", "b": number * 1_000} for number in range(MANY)]
    written = avro.encode_all(records)
    assert {each[:HEADER_SIZE_BYTES] for each in written} == {avro.header}
    assert [*map(avro.decode, written)] == records
