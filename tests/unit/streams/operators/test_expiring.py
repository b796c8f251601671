"""Entries expire by their own times, and no more of them wait than the bounds allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.streams.operators.expiring import Bounds, Expiring

steps = st.tuples(st.sampled_from(["put", "put", "take", "expire", "move"]), st.integers(0, 30))


def make(entries: int = 10, size_bytes: int = 200) -> Expiring[int]:
    def size_of(_key: str, value: int) -> int:
        return 10 + value

    return Expiring(Bounds(entries, size_bytes), lambda value: value or None, size_of)


@given(st.lists(steps, max_size=300))
def test_as_a_list_that_is_searched(done: list[tuple[str, int]]) -> None:
    """It does what a list would that is searched from end to end, also after a restart."""
    waiting, plain, saved = make(), [], {}
    for i, (what, number) in enumerate(done):
        if what == "put":
            key = f"k{number if i % 3 else i}"
            plain = [each for each in plain if each[0] != key] + [(key, number)]
            waiting.put(key, number)
            gone = []
            while len(plain) > 10 or sum(10 + value for _, value in plain) > 200:
                gone.append(plain.pop(0))
            assert waiting.surplus() == gone
        elif what == "take":
            found = dict(plain).get(f"k{number}")
            plain = [each for each in plain if each[0] != f"k{number}"]
            assert waiting.take(f"k{number}") == found
        elif what == "expire":
            due = sorted((each for each in plain if 0 < each[1] < number), key=lambda each: each[1])
            plain = [each for each in plain if each not in due]
            assert waiting.expired(number) == due
        else:
            saved |= {change.key: change for change in waiting.entries.take_changes()}
            waiting = make()
            waiting.entries.restore(saved.values())
        assert [*waiting.entries.items()] == plain


def test_what_comes_again_goes_last() -> None:
    """Of equal times, an entry that was put again goes after the others, as after a restart."""
    waiting = make()
    for key in ("again", "other", "again"):
        waiting.put(key, 1)
    assert waiting.expired(2) == [("other", 1), ("again", 1)]


def test_counts_bytes_when_taken_from_after_a_restart() -> None:
    """What is restored is counted before anything is taken out of it."""
    waiting, again = make(), make()
    waiting.put("gone", 0)
    waiting.put("large", 90)
    again.entries.restore(waiting.entries.take_changes())
    for each in (waiting, again):
        each.take("gone")
        each.put("larger", 95)
    assert again.surplus() == waiting.surplus() == [("large", 90)]


def test_forgets_the_times_of_what_was_taken() -> None:
    """Entries that are taken before their time leave nothing behind for long."""
    waiting = make(entries=5_000, size_bytes=10**9)
    for i in range(20_000):
        waiting.put(str(i), 10**6)
        waiting.take(str(i))
    assert len(waiting._heap) < 2_000
