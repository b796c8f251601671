"""The player, with a clock of its own and nobody at the other end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.schemas import BrokerError
from millrace.streams.demo.player import Player
from millrace.streams.demo.script import BAD, EXPECTED_REJECTS, Kind, Outgoing
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.replay.watch import Watch
from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import Samples

EVENT = Outgoing(Kind.EVENT, b"1", b"event")


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Producer:
    """Takes note of what is produced, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.produced: list[tuple[str, bytes, bytes, int]] = []
        self.times: list[float] = []
        self.error: Any = None

    def produce(
        self, topic: str, value: bytes, key: bytes, partition: int, on_delivery: Any
    ) -> None:
        self.produced.append((topic, value, key, partition))
        self.times.append(self._clock.now)
        if self.error is not None:
            on_delivery(self.error, None)

    def poll(self, timeout: float) -> None:
        return


class Worker:
    """Has done with all but `behind` of the events, and learns from every label."""

    def __init__(self, state: DemoState, make: Callable[..., Samples]) -> None:
        self._state = state
        self._make = make
        self.behind: Iterable[int] = iter(())

    def metrics(self) -> Samples:
        sent = self._state.sent
        page = self._make(
            max(sent[Kind.EVENT] - next(iter(self.behind), 0), 0),
            sent[Kind.LABEL],
            {"hoeffding_tree": 0.9},
            EXPECTED_REJECTS if sent[Kind.BAD] else {},
            agent_up=1,
        )
        received = [
            ("millrace_records_received_total", {"kind": "event"}, self._state.events_sent),
            ("millrace_records_received_total", {"kind": "label"}, self._state.labels_sent),
        ]
        samples = [
            (name, labels, value) for name, each in page._by_name.items() for labels, value in each
        ]
        return Samples([*samples, *received])

    def failing(self) -> dict[str, str]:
        return {}

    def last_lines(self) -> str:
        return ""


class Play:
    """A player and everything around it."""

    def __init__(self, state: DemoState, make: Callable[..., Samples]) -> None:
        self.state = state
        self.clock = Clock()
        self.producer = Producer(self.clock)
        self.worker = Worker(state, make)
        self.shown: list[float] = []
        display = SimpleNamespace(update=lambda: self.shown.append(state.seconds))
        tail = SimpleNamespace(read_into=self._read)
        watch = Watch(
            self.worker, state.pipeline, Settings(chain="full"), clock=self.clock, stall_seconds=5
        )
        self.player = Player(
            state, display, self.producer, tail, watch, "loans.", self.clock, self.clock.sleep
        )

    def _read(self, state: DemoState) -> None:
        state.predictions_read = state.sent[Kind.EVENT]


@pytest.fixture
def play(state: DemoState, samples: Callable[..., Samples]) -> Play:
    return Play(state, samples)


def test_events_and_bad_records_share_a_topic(play: Play) -> None:
    """Everything goes to partition 0, where the one model of the pipeline lives."""
    play.player.send_all(
        [EVENT, Outgoing(Kind.BAD, b"b", b"bad"), Outgoing(Kind.LABEL, b"1", b"label")]
    )
    assert play.producer.produced == [
        ("loans.events", b"event", b"1", 0),
        ("loans.events", b"bad", b"b", 0),
        ("loans.labels", b"label", b"1", 0),
    ]
    assert play.state.sent == {Kind.EVENT: 1, Kind.BAD: 1, Kind.LABEL: 1}


def test_events_are_paced(play: Play) -> None:
    """100 of them per second, one every 10 ms, in whole naps."""
    play.player.send_all([EVENT] * 300)
    first, last = play.producer.times[0], play.producer.times[-1]
    assert last - first == pytest.approx(2.99, abs=0.02)


def test_the_display_is_kept_fresh(play: Play) -> None:
    """Four times a second, or a nap less."""
    play.player.send_all([EVENT] * 300)
    assert 11 <= len(play.shown) <= 13
    assert play.shown == sorted(play.shown)


def test_it_holds_back_while_the_worker_is_behind(play: Play) -> None:
    """With 2,000 on their way nothing is sent, and afterwards the pace is the same as before."""
    play.worker.behind = iter([0, 2_000, 2_000, 2_000, 0])
    play.state.sent[Kind.EVENT] = 5_000
    play.player.send_all([EVENT] * 100)
    gaps = [b - a for a, b in zip(play.producer.times, play.producer.times[1:], strict=False)]
    assert max(gaps) == pytest.approx(0.77, abs=0.03)
    assert sorted(gaps)[-2] < 0.025
    assert min(gaps) > 0.005


def test_it_ends_when_all_is_done_and_seen(play: Play) -> None:
    """As long as an event is missing it goes on looking, and no longer."""
    play.worker.behind = iter([0, 1])
    play.player.send_all([EVENT] + [Outgoing(Kind.BAD, b"b", b"bad")] * len(BAD))
    play.player.finish()
    assert play.clock.now < 1
    assert play.state.phase is Phase.FINISHING
    assert play.state.predictions == 1
    assert play.state.predictions_read == 1


def test_it_does_not_wait_for_ever_for_what_does_not_add_up(play: Play) -> None:
    """What was expected to be rejected was not sent: after ten seconds that is for the summary."""
    play.player.send_all([EVENT])
    play.player.finish()
    assert 10 <= play.clock.now < 11


def test_a_record_that_is_not_taken_ends_it(play: Play) -> None:
    """Loss is an error, at once."""
    play.producer.error = SimpleNamespace(str=lambda: "Broker: Not enough replicas")
    with pytest.raises(BrokerError, match=r"requires to take every record; got 'Broker: Not"):
        play.player.send_all([EVENT] * 10)


def test_a_worker_that_stands_still_ends_it(play: Play) -> None:
    """Nothing moves for the stall time of the watch, with events missing."""
    play.player.send_all([EVENT] * 10)
    play.worker.behind = iter([3] * 1_000)
    with pytest.raises(BrokerError, match="3 events neither predicted nor rejected"):
        play.player.finish()
