"""Keyed state that is bounded in bytes evicts what was set least recently."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.sized_state import SizedState

steps = st.tuples(st.sampled_from(["set", "set", "grow", "take", "move"]), st.integers(0, 9))


def make(told: list[str]) -> SizedState[list[int]]:
    return SizedState(5, 40, lambda key, value: len(key) + 4 * len(value), told.append)


@given(st.lists(steps, max_size=60))
def test_as_a_list_that_is_summed_up(done: list[tuple[str, int]]) -> None:
    """After any steps, restarts among them, it holds the newest that fit, and told of the rest."""
    told: list[str] = []
    gone: list[str] = []
    log: dict[str, Change] = {}
    state, plain = make(told), {}
    for what, number in done:
        key = f"k{number}"
        if what == "take":
            assert state.take(key) == plain.pop(key, None)
        elif what == "move":
            log |= {change.key: change for change in state.take_changes()}
            state = make(told)
            state.restore(
                each._replace(value=each.value and [*each.value]) for each in log.values()
            )
        else:
            before = plain.pop(key, [])
            value = [*before, number] if what == "grow" else [number]
            plain[key] = value
            state[key] = [*value]
            while len(plain) > 5 or sum(2 + 4 * len(each) for each in plain.values()) > 40:
                if len(plain) == 1:
                    break
                gone.append(next(iter(plain)))
                del plain[gone[-1]]
        assert [*state.items()] == [*plain.items()]
    assert told == gone
