"""What grows, and by what events."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bench import data
from bench.avro import RecordType
from bench.parts.growth import AXES
from bench.parts.scaling import shuffled
from millrace.streams.operators.routing import partition_of


def test_keys_are_all_there_before_some_come_again():
    """In the same random order every time."""
    keys = shuffled(10, 30)
    assert keys[:10] == [*map(str, range(10))]
    assert {*keys[10:]} <= {*keys[:10]}
    assert keys == shuffled(10, 30)
    assert len({*shuffled(1_000, 500)[1_000:]}) > 300


@pytest.mark.parametrize("name", [name for name, axis in AXES.items() if axis.keys])
def test_what_grows_is_there_before_the_clock_starts(name, job):
    """The events before those that are measured are as many as the size, but for partitions."""
    axis = AXES[name]
    assert axis.keys is not None
    for size in axis.sizes[:2]:
        keys, made = axis.keys(size, 500), axis.job(job, size)
        assert len(keys) - 500 == (0 if name == "partitions" else size)
        assert (made.label_delay, made.partitions) == (
            size if name == "waiting" else 0,
            size if name == "partitions" else 1,
        )
        if name == "partitions":
            by_partition = Counter(partition_of(key, size) for key in keys)
            assert len(by_partition) == size
            assert max(by_partition.values()) - min(by_partition.values()) <= 1


def test_a_stream_is_widened(job, monkeypatch):
    """A job with more features than the stream has gets its values again, one with fewer less."""
    monkeypatch.delenv("ELEC2", raising=False)
    for size in (5, 20):
        wide = replace(AXES["features"].job(job, size), events=1)
        decoded = RecordType(wide.schema).decode(data.records(wide)[0].value)
        values = [*data.rows(1)[0][0].values()] * 3
        assert [decoded[f"x{number}"] for number in range(size)] == values[:size]
    assert AXES["candidates"].job(job, 4).candidates == 4
