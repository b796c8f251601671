"""A large value comes back from its parts, or not at all."""

from __future__ import annotations

import pytest

from millrace.schemas import SnapshotError
from millrace.streams.state import snapshot
from millrace.streams.state.parts import PART_BYTES, Parts, count_parts, keep, split
from millrace.streams.state.signing import OtherKeyError

KEY = b"the key of these tests"
VALUE = snapshot.dump([*range(2_000)], KEY)


def joined(records: list[bytes]) -> list[bytes]:
    """Return the values that come out of records, in their order."""
    parts = Parts(KEY)
    return [whole for each in records if (whole := parts.whole(each)) is not None]


@pytest.mark.parametrize("most_bytes", [1, 1_000, len(VALUE) - 1])
def test_a_value_comes_back_from_its_parts(most_bytes: int) -> None:
    """However small they are; none is longer than it may be, but for what it is signed with."""
    records = split(VALUE, KEY, most_bytes)
    assert len(records) == -(-(len(VALUE) - 36) // most_bytes) + 1
    assert max(map(len, records)) <= most_bytes + 100
    assert joined(records) == [VALUE]
    assert count_parts(records[-1], KEY) == len(records) - 1


@pytest.mark.parametrize("most_bytes", [len(VALUE), PART_BYTES])
def test_a_value_that_fits_is_left_alone(most_bytes: int) -> None:
    """It is one record, as it was in earlier releases."""
    assert split(VALUE, KEY, most_bytes) == [VALUE]
    assert joined([VALUE]) == [VALUE]
    assert count_parts(VALUE, KEY) == 0


def test_parts_may_come_in_any_order() -> None:
    """Compaction leaves them in the order in which they were last written; the head is last."""
    *parts, head = split(VALUE, KEY, 1_000)
    assert joined([*reversed(parts), parts[0], head]) == [VALUE]


@pytest.mark.parametrize("missing", [0, 1, -2])
def test_nothing_comes_of_a_head_whose_parts_are_missing(missing: int) -> None:
    """Not even where a part of another value has taken the place."""
    records = split(VALUE, KEY, 1_000)
    other = split(snapshot.dump([*range(3_000)], KEY), KEY, 1_000)
    del records[missing]
    assert joined(records) == []
    assert joined([other[0], *records]) == []


def test_values_do_not_mix() -> None:
    """Parts of two that come at the same time, as of two partitions, are told apart."""
    one, other = (split(snapshot.dump([n] * 2_000, KEY), KEY, 500) for n in (1, 2))
    mixed = [each for pair in zip(one, other, strict=True) for each in pair]
    assert [snapshot.load(each, KEY)[0] for each in joined(mixed)] == [1, 2]


def test_every_part_is_signed() -> None:
    """A part that was changed, or that is of another key, is an error, and not a part."""
    parts = Parts(KEY)
    *pieces, head = split(VALUE, KEY, 1_000)
    for each in (pieces[0], head):
        with pytest.raises(OtherKeyError):
            parts.whole(each[:-1] + bytes([each[-1] ^ 1]))
    with pytest.raises(SnapshotError):
        parts.whole(split(VALUE, b"another key", 1_000)[0])


def test_parts_that_lead_nowhere_are_forgotten() -> None:
    """A writer that crashes in the midst of a value leaves no memory behind for ever."""
    parts = Parts(KEY)
    *old, head = split(VALUE, KEY, 1_000)
    for each in old:
        parts.whole(each)
    for number in range(300):
        parts.whole(split(snapshot.dump([number] * 1_000, KEY), KEY, 1_000)[0])
    assert parts.whole(head) is None


def test_a_value_may_be_kept_beside_the_broker() -> None:
    """One for each name: a record that refers to an older one leads nowhere, and is no error."""
    beside: dict[str, bytes] = {}
    old = keep(VALUE, KEY, "models[0]/a", beside, 100)
    parts = Parts(KEY, beside)
    assert len(old) < 200
    assert parts.whole(old) == VALUE
    newer = snapshot.dump([*range(3_000)], KEY)
    record = keep(newer, KEY, "models[0]/a", beside, 100)
    assert (parts.whole(old), parts.whole(record)) == (None, newer)
    assert Parts(KEY).whole(record) is None
    assert keep(VALUE, KEY, "models[0]/b", beside, len(VALUE)) == VALUE
    assert [*beside] == ["models[0]/a"]
