"""The stream of events: Elec2 if the variable `ELEC2` names the file, else a generated one.

Any CSV file works whose last column is a class of two values: its other numeric columns are the
features. The generated stream is River's rotating hyperplane, with as many rows as Elec2 and the
8 features of its full version. It is the same on every call.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import count, cycle, islice
from typing import TypeAlias
from zlib import crc32

import fastavro
import numpy as np
from fastavro.schema import fingerprint, to_parsing_canonical_form
from river.datasets.synth import Hyperplane

from bench.job import Job

ROWS = 45_312
_FEATURES = 8
_TRUE = frozenset({"1", "1.0", "true", "up", "yes"})
_KEYS_PER_PARTITION = 8
_MARKER = b"\xc3\x01"  # Avro 1.12 specification, "Single-object encoding"

Row: TypeAlias = tuple[dict[str, float], bool]  # features and label
Record: TypeAlias = tuple[bytes, bytes, int]  # key, value and partition


def name() -> str:
    """Return the name of the stream."""
    return "Elec2" if os.environ.get("ELEC2") else "generated"


def rows(number: int) -> list[Row]:
    """Return `number` rows, starting over at the first where the stream has fewer."""
    return [*islice(cycle(_load(os.environ.get("ELEC2", ""))), number)]


@cache
def _load(path: str) -> list[Row]:
    if not path:
        stream = Hyperplane(42, _FEATURES, _FEATURES, mag_change=0.001, noise_percentage=0.05)
        return [({f"x{n}": x for n, x in xs.items()}, bool(y)) for xs, y in stream.take(ROWS)]
    table = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")
    *names, label = table.dtype.names or ()
    names = [each for each in names if table.dtype[each].kind in "if"]
    columns = [table[each].astype(float).tolist() for each in names]
    labels = [str(each).strip().lower() in _TRUE for each in table[label]]
    features = (dict(zip(names, each, strict=True)) for each in zip(*columns, strict=True))
    return [*zip(features, labels, strict=True)]


def records(job: Job, keys: Sequence[str] = ()) -> list[Record]:
    """Return one record per key; by default, one per event of the job, with its id as the key."""
    keys = keys or [*map(str, range(job.events))]
    schema = fastavro.parse_schema(job.schema)
    crc = fingerprint(to_parsing_canonical_form(job.schema), "CRC-64-AVRO")
    made = []
    for number, (key, (features, label)) in enumerate(zip(keys, rows(len(keys)), strict=True)):
        value = BytesIO()
        value.write(_MARKER + bytes.fromhex(crc))
        event = {"id": str(number), "key": key, "label": label, **features}
        fastavro.schemaless_writer(value, schema, event)
        made.append((key.encode(), value.getvalue(), partition_of(key, job.partitions)))
    return made


def partition_of(key: str, partitions: int) -> int:
    """Return the partition that librdkafka's clients choose for a key ("consistent")."""
    return crc32(key.encode()) % partitions


def balanced_keys(partitions: int) -> list[str]:
    """Return the same number of keys for each partition, one partition after another."""
    wanted = [*range(partitions)] * _KEYS_PER_PARTITION
    names = map("key-{}".format, count())
    return [next(key for key in names if partition_of(key, partitions) == each) for each in wanted]
