"""Events are given back in their order, whenever they end, and whatever ids come again."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from millrace.streams.operators.event_order import EventOrder, Served
from millrace.streams.operators.keyed_state import Change
from millrace.streams.state.data import from_data, to_data

BLOCK = 4
IDS = ["a", "a'", "b"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from(IDS)),
        st.tuples(st.just("end"), st.sampled_from(IDS)),
        st.tuples(st.just("pass"), st.integers(0, 12)),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=60,
)


@dataclass
class Plain:
    """The same with a list and nothing else."""

    events: list[list[object]] = field(default_factory=list)  # id, time, has ended, is passed

    def waits(self, event_id: str) -> bool:
        return any(name == event_id and not ended for name, _, ended, _ in self.events)

    def end(self, event_id: str) -> None:
        for each in self.events:
            if each[0] == event_id and not each[2]:
                each[2] = True
        self.events = [each for each in self.events if not (each[2] and each[3])]

    def take(self, passed_ms: float) -> list[int]:
        taken = []
        for each in [*self.events]:
            if each[3]:
                continue
            if each[2]:
                self.events.remove(each)
                taken.append(each[1])
            elif each[1] < passed_ms:  # type: ignore[operator]
                each[3] = True
            else:
                break
        return taken  # type: ignore[return-value]


def restarted(order: EventOrder, saved: dict[str, Change]) -> EventOrder:
    """Return what goes on from what was saved, after what has changed was saved, too."""
    for change in order.store.take_changes():
        value = from_data(to_data(change.value), lambda _: None)
        saved[change.key] = change._replace(value=value)
    fresh = EventOrder()
    fresh.store.restore(saved.values())
    return fresh


@given(STEPS)
@example(
    [
        ("event", "b"),
        *[(what, "a") for _ in range(6) for what in ("event", "end")],
        ("restart", None),
        ("event", "a'"),
        ("end", "b"),
        ("end", "a'"),
    ]
)
def test_events_come_back_in_their_order(steps: list[tuple[str, object]]) -> None:
    """Once all before them have ended, or were passed; through restarts, with ids that repeat."""
    order, plain, time_ms = EventOrder(), Plain(), 0
    saved: dict[str, Change] = {}
    for what, of in steps:
        passed_ms = -inf
        if what == "event" and not plain.waits(str(of)):
            order.add(str(of), Served(time_ms // BLOCK, time_ms, "", "it", 0.9, None))
            plain.events.append([of, time_ms, False, False])
            time_ms += 1
        elif what == "end" and plain.waits(str(of)):
            assert order.end(str(of), {"it": 0.5}) is not None
            plain.end(str(of))
        elif what == "pass":
            passed_ms = time_ms - int(str(of))
        elif what == "restart":
            order = restarted(order, saved)
        assert [each.time_ms for each in order.take(passed_ms)] == plain.take(passed_ms)
        kept = [each.time_ms for events in order.store.values() for each in events.values()]
        assert kept == [each[1] for each in plain.events]
        assert order.is_empty == all(each[3] for each in plain.events)
    order.clear()
    assert (len(order.store), order.is_empty) == (0, True)
