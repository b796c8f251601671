"""How long labels take is remembered the same, however many are counted together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.streams.operators.label_delays import doublings_of, enough_ms, no_delays, note

DOUBLINGS = st.lists(st.sampled_from([0, 0, 1, 12, 30, 70]), max_size=300)


@given(DOUBLINGS, st.lists(st.integers(1, 15_000), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=25)
def test_many_are_one_after_the_other(few: list[int], sizes: list[int], first: int) -> None:
    """They count the same one by one as in parts, however many there have been before."""
    doublings = ([first, *few] * (sum(sizes) // (len(few) + 1) + 1))[: sum(sizes)]
    one_by_one, together = no_delays(), no_delays()
    for each in doublings:
        note(one_by_one, [each])
    begin = 0
    for size in sizes:
        note(together, doublings[begin : begin + size])
        begin += size
    assert together == one_by_one
    assert sum(together) <= 10_000


def test_the_newest_labels_count() -> None:
    """Where labels begin to take longer, the time that is enough follows within 10,000 of them."""
    delays = no_delays()
    note(delays, doublings_of([1_000] * 50_000))
    assert enough_ms(delays, longest_ms=10**12) == 4 * 1_024
    note(delays, doublings_of([60_000] * 10_000))
    assert enough_ms(delays, longest_ms=10**12) == 4 * 65_536


def test_without_labels_it_is_as_long_as_events_wait() -> None:
    """Nothing is known before the first label, and no label is waited for longer."""
    delays = no_delays()
    assert enough_ms(delays, longest_ms=77) == 77
    note(delays, doublings_of([10**9]))
    assert enough_ms(delays, longest_ms=77) == 77
