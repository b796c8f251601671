"""However records are cut into slices, each becomes what it would become by itself."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.codec.avro import MARKER
from millrace.schemas.files import versions
from millrace.streams.operators.base import RecordOperator
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import Origin, RawRecord, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import RegisteredSchema, no_registry

Make = Callable[..., Any]

NOW_MS = 1_700_000_000_000
MAX_EVENT_BYTES = 6_000
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
NANOSECONDS = {"type": "long", "logicalType": "timestamp-nanos"}
MOMENT = {"type": "long", "logicalType": "timestamp-micros"}

TEXTS = ("", "a", "é", "e" * 70, "x" * 300, "x" * 1_024, "é" * 600, "x" * 7_000)
DOUBLES = (0.0, -0.0, 1.5, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))
LONGS = (0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 2**31, 2**62, -(2**63), 2**63 - 1)
TIMES = (0, *(NOW_MS * 1_000 + each for each in (0, 999, -(10**9), 10**12)), NOW_MS, 2**62)
ISO = ("", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5", "2023-11-14", "today", "1969-01-01")
DRAWN: dict[str, tuple[Any, ...]] = {
    "string": TEXTS,
    "double": DOUBLES,
    "float": DOUBLES,
    "long": LONGS,
    "int": (0, 1, -1, 8_192, 2**31 - 1, -(2**31)),
    "boolean": (True, False),
    "null": (None,),
    "Colour": ("RED", "BLUE"),
    "array": ([], [1.5]),
    "timestamp-micros": TIMES,
    "timestamp-nanos": tuple(min(time * 1_000, 2**63 - 1) for time in TIMES),
}
ORDINARY = {
    "boolean": True,
    "enum": "RED",
    "string": "a",
    "double": 1.5,
    "float": 1.5,
    "long": 1,
    "int": 1,
}
DEFINITIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "doubles": ("binary", {"id": "string", "a": "double", "b": "double", "y": "boolean"}, {}),
    "every type": (
        "binary",
        {
            "id": "long",
            "key": ["null", "string"],
            "a": "double",
            "b": ["null", "double"],
            "c": "float",
            "d": ["long", "double", "null"],
            "e": ["null", "string"],
            "f": COLOUR,
            "g": "boolean",
            "h": "int",
            "y": ["null", "boolean", "int"],
        },
        {"key": "key", "scope": "key", "allow_non_finite": ["b"]},
    ),
    "number labels, time": (
        "regression",
        {"id": "string", "at": MOMENT, "a": "double", "y": ["null", "double", "long"]},
        {"event_time": "at"},
    ),
    "nanoseconds": (
        "binary",
        {"id": "string", "at": NANOSECONDS, "a": "double", "y": ["null", "boolean"]},
        {"event_time": "at"},
    ),
    "text labels, ISO time": (
        "multiclass",
        {"id": "int", "at": "string", "key": COLOUR, "a": "long", "y": ["null", "string"]},
        {"event_time": "at", "key": "key", "scope": "partition"},
    ),
    "known classes": (
        "multiclass",
        {"id": "string", "a": "double", "y": ["string", "null"]},
        {"classes": ["a", "é", "x" * 1_024]},
    ),
    "enum labels": ("multiclass", {"id": "string", "a": "double", "y": COLOUR}, {}),
    "whole labels": ("multiclass", {"id": "string", "a": "double", "y": ["null", "long"]}, {}),
    "0 and 1": ("binary", {"id": "string", "a": "double", "y": "int"}, {}),
    "label elsewhere": (
        "anomaly",
        {"id": "string", "key": "boolean", "a": "double"},
        {"label": None},
    ),
    "an array": (
        "binary",
        {"id": "string", "a": "double", "b": {"type": "array", "items": "double"}, "y": "boolean"},
        {},
    ),
    "a label's own names": (
        "binary",
        {"id": "string", "label": "double", "event_id": "double", "key": "boolean"},
        {"label": "key", "allow_non_finite": ["label"]},
    ),
}


class Producer:
    """Draws what somebody may produce: ordinary events for the most part, and odd ones."""

    def __init__(self, pipeline: Pipeline, rng: random.Random) -> None:
        self._pipeline = pipeline
        self._schema = pipeline.event_schema
        self._rng = rng

    def values(self, count: int) -> Iterator[bytes | None]:
        rng = self._rng
        for _ in range(count):
            ordinary = [self._event, self._event, self._label, self._json]
            make = rng.choice(ordinary) if rng.random() < 0.8 else self._odd
            yield make()

    def registry(self, schema_id: int) -> RegisteredSchema:
        types = [self._schema.as_written, self._schema.accepted, *versions("label")]
        if schema_id < len(types):
            return RegisteredSchema("AVRO", json.dumps(types[schema_id].schema))
        if schema_id == len(types):
            return RegisteredSchema("JSON", "{}")
        return no_registry(schema_id)

    def _event(self) -> bytes:
        rng = self._rng
        types = [self._schema.as_written, self._schema.accepted]
        which = rng.randrange(len(types))
        data = types[which].encode(self._fields())
        return data if rng.random() < 0.7 else confluent(which, data[10:])

    def _fields(self) -> dict[str, Any]:
        declared = {each["name"]: each["type"] for each in self._schema.as_written.fields}
        return {name: self._value(name, each) for name, each in declared.items()}

    def _value(self, name: str, declared: Any) -> Any:
        rng = self._rng
        if isinstance(declared, list):
            return self._value(name, rng.choice(declared))
        if isinstance(declared, dict):
            declared = declared.get("logicalType", declared.get("name", declared["type"]))
        if name == self._pipeline.event_time and declared == "string":
            return self._pick(ISO)
        return self._pick(DRAWN[declared])

    def _pick(self, drawn: tuple[Any, ...]) -> Any:
        """Draw a value, mostly of the second to the fourth, which are ordinary."""
        rng = self._rng
        return rng.choice(drawn if rng.random() < 0.2 else drawn[1:4] or drawn)

    def _label(self) -> bytes:
        rng = self._rng
        label = {
            "event_id": self._pick(TEXTS),
            "label": rng.choice([True, False, 0, 1, 2, 0.5, *DOUBLES, *TEXTS, "RED"]),
            "label_time_ms": self._pick((0, None, NOW_MS, NOW_MS + 1, NOW_MS // 1_000, *LONGS)),
            "key": self._pick((None, *TEXTS)),
        }
        if rng.random() < 0.8:
            which = rng.randrange(2)
            data = versions("label")[which].encode(label)
            return data if rng.random() < 0.7 else confluent(2 + which, data[10:])
        return json.dumps(label).encode()

    def _odd(self) -> bytes | None:
        rng, event = self._rng, self._schema.as_written.encode(self._fields())
        body = event[10:]
        cut = rng.randrange(len(event) + 1)
        return rng.choice(
            [
                *(None, b"", b"\0", b"{", b"[]", b"\xff\xfe", MARKER, bytes(MAX_EVENT_BYTES + 1)),
                *(event[:cut], event + b"\0", event + bytes(MAX_EVENT_BYTES), body),
                event[:cut] + rng.randbytes(1) + event[cut + 1 :],
                confluent(rng.randrange(6), body),
                confluent(rng.randrange(6), event),
                confluent(4, self._json()),
                self._odd_json(),
                self._odd_json(),
            ]
        )

    def _json(self) -> bytes:
        fields = self._fields()
        if self._pipeline.event_time is not None:
            fields["at"] = (
                self._pick((*ISO, "2999-01-01")) if self._rng.random() < 0.7 else fields["at"]
            )
        return json.dumps(fields | {"more": [1, {"x": None}]} if "a" in fields else fields).encode()

    def _odd_json(self) -> bytes:
        rng, fields = self._rng, self._fields()
        name = rng.choice([*fields])
        strange = (
            None,
            True,
            10**400,
            2**53 + 1,
            2**63,
            1,
            -1,
            0.5,
            1.0,
            "",
            "a",
            "\ud800",
            [],
            {},
        )
        fields[name] = rng.choice([*strange, fields[name], "RED", "2023-11-14T22:13:20Z"])
        if rng.random() < 0.1:
            del fields[name]
        document = json.dumps(fields, ensure_ascii=rng.random() < 0.5)
        more = (f', "{name}": {each}' for each in ("-0", "1e400", "1e-400", '"RED"', "tru"))
        more = (*more, ', "é": 01', ', "n": ' + "9" * 4_400, ', "n": ' + "[" * 600 + "]" * 600, ",")
        data = (document[:-1] + rng.choice(["", "", *more]) + "}").encode(errors="surrogatepass")
        odd = [data, b" " + data, data[:-1] + b', "\xff": 1}', "\ufeff".encode() + data]
        return rng.choice([data, *odd, data + b" ", data + b"}", data.replace(b"a", b"\\u0061")])


def confluent(schema_id: int, body: bytes) -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


def outcome(made: list[Record], operator: RecordOperator) -> tuple[list[Any], Any]:
    """Return all that can be seen of what was made, with NaN and the types of values."""
    shown = [
        (each.type, repr(each.value), each.origin, each.topic, each.partition) for each in made
    ]
    return shown, operator.tally


@pytest.mark.parametrize("partitions", [None, 3])
@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("seed", range(4))
def test_a_slice_is_its_records(
    definition: str, partitions: int | None, seed: int, make_pipeline: Make, avro: Make
) -> None:
    """Slices, cut anywhere, give what each record gives by itself, in its place, and count it."""
    rng = random.Random(f"{definition} {seed}")
    task, fields, changes = DEFINITIONS[definition]
    tombstones = rng.random() < 0.5
    pipeline = make_pipeline(
        task,
        schema=avro(**fields),
        ignore_tombstones=tombstones,
        **({"max_id_bytes": 1_024} | changes),
    )
    producer = Producer(pipeline, rng)
    on_partition = 1 if seed == 3 else 0
    records = []
    for offset, value in enumerate(producer.values(200)):
        topic = rng.choice(["events", "events", "labels"])
        time_ms = rng.choice([NOW_MS, NOW_MS + 1, -1]) if offset % 9 == 0 else NOW_MS
        origin = Origin(topic, on_partition, offset, time_ms, b"k", value, (), f"p.{topic}")
        records.append(RawRecord.of(origin))

    def fresh() -> IngestOperator:
        return IngestOperator(pipeline, partitions, producer.registry, MAX_EVENT_BYTES)

    alone, whole, cut = fresh(), fresh(), fresh()
    expected = outcome(RecordOperator.run(alone, Slice(records)), alone)
    assert outcome(whole.run(Slice(records)), whole) == expected
    made: list[Record] = []
    left = records
    while left:
        size = rng.choice([1, 1, 2, 5, 30])
        made += cut.run(Slice(left[:size]))
        left = left[size:]
    assert outcome(made, cut) == expected
    assert len({each.type for each in made}) > 1 or on_partition


@pytest.mark.parametrize("definition", sorted(DEFINITIONS.keys() - {"an array"}))
def test_what_is_ordinary_is_never_alone(
    definition: str, make_pipeline: Make, avro: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary events and labels, in each format, are read in the loop and not one by one."""
    task, fields, changes = DEFINITIONS[definition]
    pipeline = make_pipeline(task, schema=avro(**fields), **changes)
    producer = Producer(pipeline, random.Random(1))
    schema = pipeline.event_schema
    event: dict[str, Any] = {}
    for name in fields:
        kinds = schema.types_of(name)
        event[name] = next(value for kind, value in ORDINARY.items() if kind in kinds)
    if "at" in event:
        units = {"nanoseconds": 1_000_000}.get(definition, 1_000)
        event["at"] = "2023-11-14" if fields["at"] == "string" else NOW_MS * units
    at = {"at": "2023-11-14"} if "at" in event else {}
    label = event[pipeline.label] if pipeline.label else True
    given = {"event_id": "e", "label": label, "label_time_ms": NOW_MS, "key": "k"}
    topics = {
        "events": [schema.as_written.encode(event), schema.accepted.encode(event)],
        "labels": [each.encode(given) for each in versions("label")],
    }
    topics["labels"] += [
        *(confluent(2 + at, topics["labels"][at][10:]) for at in (0, 1)),
        json.dumps(given).encode(),
    ]
    topics["events"] += [
        json.dumps(event | at).encode(),
        *(confluent(at, topics["events"][at][10:]) for at in (0, 1)),
    ]
    records = [
        RawRecord.of(Origin(topic, 0, 0, NOW_MS, None, each))
        for topic in topics
        for each in topics[topic]
    ]
    operator = IngestOperator(pipeline, None, producer.registry, MAX_EVENT_BYTES)
    assert {each.type for each in operator.run(Slice(records))} == {"Event", "Label"}
    monkeypatch.delattr(IngestOperator, "process")
    made = operator.run(Slice(records))
    assert [each.type for each in made] == ["Event"] * 5 + ["Label"] * 5
