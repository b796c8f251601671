"""The stream: Elec2 where the variable `ELEC2` names the file, else a made-up one like it.

Any CSV file will do whose last column is a class of two values: its other columns that are
numbers are the features. The made-up stream has Elec2's 45,312 rows and the 8 features of its
full version, and a concept that changes twice. It is the same one at every call.
"""

from __future__ import annotations

import csv
import math
import os
import re
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from millrace.schemas.codec.avro import AvroType
from millrace.streams.operators.routing import partition_of

ROWS = 45_312
FEATURES = (
    *("date", "day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"),
)
_SEED = 20_261_121
_TRUE = frozenset({"1", "1.0", "true", "up", "yes"})
_HALF_HOURS = 48
_KEYS_PER_PARTITION = 8


@dataclass(frozen=True)
class Stream:
    """Rows in order: features, and a label that is true or false."""

    name: str
    rows: list[tuple[dict[str, float], bool]]

    @property
    def features(self) -> list[str]:
        return [*self.rows[0][0]]

    def first(self, count: int) -> list[tuple[dict[str, float], bool]]:
        """Return `count` rows, from the beginning again where there are not as many."""
        return [*islice(cycle(self.rows), count)]


@cache
def load() -> Stream:
    """Return the stream."""
    path = os.environ.get("ELEC2")
    return Stream("Elec2", _read(Path(path))) if path else Stream("generated", _made_up())


def _read(path: Path) -> list[tuple[dict[str, float], bool]]:
    with path.open(newline="") as file:
        head, *lines = csv.reader(file)
    columns = [index for index, cell in enumerate(lines[0][:-1]) if _is_number(cell)]
    names = {index: re.sub(r"\W", "_", head[index]) for index in columns}
    return [
        (
            {names[index]: float(line[index]) for index in columns},
            line[-1].strip().lower() in _TRUE,
        )
        for line in lines
    ]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _made_up() -> list[tuple[dict[str, float], bool]]:
    """Return two markets whose prices follow the hour of the day, and what decides on a rise."""
    random = Random(_SEED)
    concepts = [[random.gauss(0, 1) for _ in FEATURES] for _ in range(3)]
    rows = []
    price, demand = 0.5, 0.5
    for number in range(ROWS):
        period = number % _HALF_HOURS / (_HALF_HOURS - 1)
        daily = math.sin(math.tau * period)
        price = min(max(price + random.gauss(0.02 * daily, 0.05), 0.0), 1.0)
        demand = min(max(0.9 * demand + 0.05 + 0.04 * daily + random.gauss(0, 0.03), 0.0), 1.0)
        day = number // _HALF_HOURS % 7 / 6
        values = (
            *(number / ROWS, day, period, price, demand),
            *(0.8 * price + random.gauss(0, 0.05), demand**2, random.random()),
        )
        weights = concepts[number * len(concepts) // ROWS]
        score = sum(w * (value - 0.5) for w, value in zip(weights, values, strict=True))
        label = score + random.gauss(0, 0.2) > 0
        rows.append((dict(zip(FEATURES, values, strict=True)), label))
    return rows


def schema(features: list[str], *, keyed: bool = False) -> dict[str, Any]:
    """Return the Avro schema of an event."""
    keys = [{"name": "key", "type": "string"}] if keyed else []
    numbers = [{"name": name, "type": "double"} for name in features]
    identity, label = {"name": "id", "type": "string"}, {"name": "label", "type": "boolean"}
    return {"type": "record", "name": "BenchEvent", "fields": [identity, *keys, *numbers, label]}


def encode(stream: Stream, count: int) -> list[bytes]:
    """Return `count` events as every contestant reads them: Avro, single-object encoding."""
    event = AvroType(schema(stream.features))
    return [
        event.encode({"id": str(number), "label": label, **features})
        for number, (features, label) in enumerate(stream.first(count))
    ]


def encode_keyed(stream: Stream, keys: list[str]) -> list[bytes]:
    """Return one event for each of `keys`."""
    event = AvroType(schema(stream.features, keyed=True))
    return [
        event.encode({"id": str(number), "key": key, "label": label, **features})
        for number, (key, (features, label)) in enumerate(
            zip(keys, stream.first(len(keys)), strict=True)
        )
    ]


def balanced_keys(partitions: int) -> list[str]:
    """Return keys of which every partition gets the same number, one partition after another.

    Examples
    --------
    >>> [partition_of(key, 2) for key in balanced_keys(2)[:4]]
    [0, 1, 0, 1]
    """
    found: list[list[str]] = [[] for _ in range(partitions)]
    number = 0
    while any(len(each) < _KEYS_PER_PARTITION for each in found):
        key = f"key-{number}"
        number += 1
        group = found[partition_of(key, partitions)]
        if len(group) < _KEYS_PER_PARTITION:
            group.append(key)
    return [key for row in zip(*found, strict=True) for key in row]
