"""The stream of events: Elec2 if the variable `ELEC2` names the file, else a generated one.

Any CSV file works whose last column is a class of two values: its other numeric columns are the
features. The generated stream is River's rotating hyperplane, with as many rows as Elec2 and the
8 features of its full version. It is the same on every call.

A label that comes later than its event is a record of its own on the same topic, so many events
behind it, and those of the last events never come.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count, cycle, islice
from typing import NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
from river.datasets.synth import Hyperplane

from bench.avro import RecordType
from bench.job import LABEL_SCHEMA, Job

ROWS = 45_312
_FEATURES = 8
_TRUE = frozenset({"1", "1.0", "true", "up", "yes"})
_KEYS_PER_PARTITION = 8

Row: TypeAlias = tuple[dict[str, float], bool]  # features and label


class Record(NamedTuple):
    """A record of a job's input topic."""

    key: bytes
    value: bytes
    partition: int
    is_event: bool = True


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
    """Return one event per key; by default, one per event of the job, with its id as the key.

    Where labels come later, they are among them. A job with more features than the stream has
    gets its values again.
    """
    keys = keys or [*map(str, range(job.events))]
    event, label = RecordType(job.schema), RecordType(LABEL_SCHEMA)
    labels: deque[Record] = deque()
    made = []
    for number, (key, (features, known)) in enumerate(zip(keys, rows(len(keys)), strict=True)):
        event_id, partition = str(number), partition_of(key, job.partitions)
        vector = dict(zip(job.features, cycle(features.values()), strict=False))
        value = event.encode({"id": event_id, "key": key, "label": known, **vector})
        made.append(Record(key.encode(), value, partition))
        if job.label_delay:
            value = label.encode({"event_id": event_id, "label": known})
            labels.append(Record(key.encode(), value, partition, is_event=False))
            if len(labels) > job.label_delay:
                made.append(labels.popleft())
    return made


def events_in(records: Iterable[Record]) -> int:
    """Return how many records are events, and so are predicted."""
    return sum(each.is_event for each in records)


def split(records: Sequence[Record], events: int) -> tuple[Sequence[Record], Sequence[Record]]:
    """Return the records up to so many events, and the others."""
    places = (place for place, each in enumerate(records) if each.is_event)
    end = next(islice(places, events, None), len(records))
    return records[:end], records[end:]


def partition_of(key: str, partitions: int) -> int:
    """Return the partition that librdkafka's clients choose for a key ("consistent")."""
    return crc32(key.encode()) % partitions


def balanced_keys(partitions: int) -> list[str]:
    """Return the same number of keys for each partition, one partition after another."""
    wanted = [*range(partitions)] * _KEYS_PER_PARTITION
    names = map("key-{}".format, count())
    return [next(key for key in names if partition_of(key, partitions) == each) for each in wanted]
