"""Events that have ended are remembered: as many as the limit says, and few more."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest

from millrace.streams.operators.ended_events import EndedEvents

BYTES = 10**9


@pytest.mark.parametrize("count", [5_001, 5_500, 6_000])
@pytest.mark.parametrize("limit", [1, 999, 1_000, 1_001, 2_500])
def test_the_newest_are_remembered(limit: int, count: int) -> None:
    """The newest `limit` ids are known with their labels, and fewer than 2,000 beyond them."""
    memory = EndedEvents(limit, BYTES)
    for i in range(count):
        memory.add(f"e{i}", i % 2 == 0 or None)
    assert all(f"e{i}" in memory for i in range(count - limit, count))
    assert memory[f"e{count - 1}"] is ((count - 1) % 2 == 0 or None)
    known = sum(f"e{i}" in memory for i in range(count))
    assert known < limit + 2_000
    assert sum(len(segment) for segment in memory.segments.values()) == known


def test_forgotten_id_is_not_there() -> None:
    """What has been forgotten is not in the memory, and asking for it is an error."""
    memory = EndedEvents(1, BYTES)
    for i in range(3_000):
        memory.add(str(i), True)
    assert "0" not in memory
    with pytest.raises(KeyError):
        memory["0"]


def test_comes_back_from_its_segments() -> None:
    """Restored from any flush, it knows the same ids, and goes on to forget the same ones."""
    memory, log = EndedEvents(1_500, BYTES), {}
    for i in range(2_300):
        memory.add(f"e{i}", i)
        if i % 700 == 0 or i == 2_299:
            log |= {each.key: deepcopy(each) for each in memory.segments.take_changes()}
    restored = EndedEvents(1_500, BYTES)
    restored.segments.restore([*log.values()])
    for each in (memory, restored):
        for i in range(2_300, 5_200):
            each.add(f"e{i}", i)
    assert restored.segments == memory.segments
    assert [f"e{i}" in restored for i in range(5_200)] == [f"e{i}" in memory for i in range(5_200)]


def test_one_write_for_many_ids() -> None:
    """A thousand remembered ids are one or two changes of the state."""
    memory = EndedEvents(10_000, BYTES)
    for i in range(1_000):
        memory.add(f"e{i}", True)
    assert len(memory.segments.take_changes()) == 1
    memory.add("more", True)
    assert len(memory.segments.take_changes()) == 1


def test_long_ids() -> None:
    """Segments hold a megabyte at most, and the oldest go where all are more than `limit_bytes`."""
    memory = EndedEvents(100_000, 5_000_000)
    for i in range(5_000):
        memory.add(f"{i} {'x' * 5_000}", "y" * 5_000)
    sizes = [sum(len(each) + 5_000 for each in segment) for segment in memory.segments.values()]
    assert max(sizes) < 1_100_000
    assert 3_000_000 < sum(sizes) < 6_100_000
    assert f"4999 {'x' * 5_000}" in memory
    assert f"1000 {'x' * 5_000}" not in memory


def test_the_newest_segment_is_kept() -> None:
    """However small the limit in bytes, the newest id is remembered, and old ones are forgotten."""
    memory = EndedEvents(1_000, 1)
    for i in range(50):
        memory.add(f"{i} {'x' * 400_000}", True)
        assert f"{i} {'x' * 400_000}" in memory
    assert len(memory.segments) == 1


@pytest.mark.parametrize("seed", range(20))
def test_many_events_are_one_after_the_other(seed: int) -> None:
    """Whichever events come together, they are in the same segments."""
    rng = random.Random(seed)
    limit_bytes = rng.choice([10_000, 10_000_000])
    one_by_one, together = EndedEvents(1_500, limit_bytes), EndedEvents(1_500, limit_bytes)
    events = [
        (f"e{i}", rng.choice([True, None, "sky" * rng.choice([1, 500])])) for i in range(4_000)
    ]
    while events:
        size = rng.choice([rng.randint(1, 300), rng.randint(1, 2_500)])
        part, events = events[:size], events[size:]
        together.add_all(part)
        for event_id, label in part:
            one_by_one.add(event_id, label)
        assert [*together.segments.items()] == [*one_by_one.segments.items()]
        assert all((each in together) == (each in one_by_one) for each, _ in part)
