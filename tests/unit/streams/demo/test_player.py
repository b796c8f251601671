"""The player, with a fake clock, producer, worker and topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, TopicPartition

from millrace.schemas import BrokerError, shipped
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo import player as module
from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.player import Player
from millrace.streams.demo.player import play as play_script
from millrace.streams.demo.script import EXPECTED_REJECTS, Kind, Outgoing, Plan
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.fakes.broker import START_MS
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.observability.scraping import Samples
from millrace.streams.settings import Settings

EVENT = Outgoing(Kind.EVENT, b"event")
INVALID = Outgoing(Kind.INVALID, b"invalid")
LABEL = Outgoing(Kind.LABEL, b"label")


class Clock:
    """Time that passes only in sleep, for a broker, too, with actions at certain times."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.now = self.started_at = 1_000.0
        self.later: dict[float, Callable[[], object]] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._broker.now_ms = START_MS + round(1_000 * (self.now - self.started_at))
        for due in [each for each in self.later if each <= self.now]:
            self.later.pop(due)()


class Watch:
    """A worker that has done all but `behind` of the events, and all labels."""

    def __init__(self, make: Callable[..., Samples]) -> None:
        self._make = make
        self.behind: Iterator[int] = iter(())
        self.samples = make()

    def look(self, events: int, labels: int) -> SimpleNamespace:
        behind = next(self.behind, 0)
        rejected = EXPECTED_REJECTS if events > 5 else {}
        predicted = events - sum(rejected.values()) - behind
        self.samples = self._make(predicted, labels, {"hoeffding_tree": 0.9}, rejected)
        missing = [f"{behind} of {events} events, {labels} labels"] if behind else []
        return SimpleNamespace(missing=lambda *sent: missing if sent == (events, labels) else [])


class Play:
    """A player and everything around it."""

    def __init__(self, state: DemoState, make: Callable[..., Samples]) -> None:
        self.state = state
        topics = ("events", "labels", "alerts", "predictions")
        self.broker = FakeBroker({f"loans.{topic}": 2 for topic in topics})
        self.clock = Clock(self.broker)
        self.watch = Watch(make)
        self.shown: list[float] = []
        clients = FakeClients(self.broker)
        places = [TopicPartition(f"loans.{topic}", 1, 0) for topic in ("alerts", "predictions")]
        self.player = Player(
            state,
            lambda: self.shown.append(state.seconds),
            CheckedProducer(clients),
            TopicReader(clients, places),
            self.watch,
            self.clock,
            self.clock.sleep,
        )

    def times(self, topic: str) -> list[int]:
        """Return when each record of a topic was produced, in milliseconds."""
        return [each.timestamp()[1] for each in self.broker.records(f"loans.{topic}")]


@pytest.fixture
def play(state: DemoState, samples: Callable[..., Samples]) -> Play:
    return Play(state, samples)


def test_events_and_invalid_records_share_a_topic(play: Play) -> None:
    """Everything goes to partition 0, where the only model of the pipeline is."""
    play.player.send_all([EVENT, INVALID, LABEL])
    assert play.broker.values("loans.events") == [b"event", b"invalid"]
    assert play.broker.values("loans.labels") == [b"label"]
    assert play.state.sent == {Kind.EVENT: 1, Kind.INVALID: 1, Kind.LABEL: 1}


def test_events_are_sent_at_an_even_pace(play: Play) -> None:
    """One every 10 ms, at 100 events per second; what comes between does not wait."""
    play.player.send_all([EVENT, LABEL] * 300)
    times = play.times("events")
    assert times[0] == pytest.approx(START_MS + 10, abs=1)
    assert times[-1] - times[0] == pytest.approx(2_990, abs=20)
    assert play.times("labels") == times


def test_the_state_is_shown_four_times_a_second(play: Play) -> None:
    """It is up to date: the time is that since the player was made."""
    play.player.send_all([EVENT] * 300)
    assert 11 <= len(play.shown) <= 12
    assert play.shown == sorted(play.shown)
    assert play.shown[0] == pytest.approx(0.25, abs=0.011)
    assert play.state.predicted > 250


def test_alerts_and_predictions_are_read_meanwhile(
    play: Play, alert: Callable[..., Alert], prediction: Callable[..., Prediction]
) -> None:
    """They are decoded, and no other topic is read."""
    play.broker.put("loans.alerts", shipped("alert").encode(alert()), partition=1)
    play.broker.put("loans.predictions", shipped("prediction").encode(prediction()), partition=1)
    play.player.send_all([EVENT])
    assert play.state.alerts == [alert()]
    assert [*play.state.newest_predictions] == [prediction()]


def test_it_pauses_while_the_worker_is_behind(play: Play) -> None:
    """With 2,000 events in flight nothing is sent; afterwards the pace is the same as before."""
    play.state.predicted = play.state.sent[Kind.EVENT] = 5_000
    play.watch.behind = iter([0, 2_000, 2_000, 2_000, 1_972])
    play.player.send_all([EVENT] * 80)
    gaps = sorted(second - first for first, second in pairwise(play.times("events")))
    assert gaps[-1] == pytest.approx(760, abs=30)
    assert 5 < gaps[0] <= gaps[-2] < 25


def test_it_ends_when_everything_is_done_and_read(
    play: Play, prediction: Callable[..., Prediction]
) -> None:
    """It waits for the worker, then for the topics, and no longer."""
    play.watch.behind = iter([1] * 10)
    made = shipped("prediction").encode(prediction())
    play.clock.later[1_005.0] = lambda: play.broker.put("loans.predictions", made, partition=1)
    play.player.send_all([EVENT] + [INVALID] * 5)
    play.player.finish()
    assert play.clock.now == pytest.approx(1_005, abs=0.02)
    assert play.state.phases[-1] is Phase.FINISHING
    assert (play.state.predicted, play.state.predictions_read) == (1, 1)


def test_it_waits_for_the_worker(play: Play) -> None:
    """The worker is asked four times a second, which costs it little."""
    play.watch.behind = iter([1] * 5)
    play.player.send_all([EVENT] + [INVALID] * 5)
    play.state.predictions_read = 1
    before = play.clock.now
    play.player.finish()
    assert play.clock.now - before == pytest.approx(1.25, abs=0.06)


def test_it_ends_at_once_when_nothing_is_missing(play: Play) -> None:
    """The worker is asked once more after the last record."""
    play.player.send_all([EVENT] + [INVALID] * 5)
    play.state.predictions_read = 1
    before = play.clock.now
    play.player.finish()
    assert play.clock.now == before
    assert play.state.predicted == 1


def test_it_waits_ten_seconds_for_what_does_not_add_up(play: Play) -> None:
    """The invalid records that are expected were not sent: that is for the summary to tell."""
    play.player.send_all([EVENT])
    before = play.clock.now
    play.player.finish()
    assert play.clock.now - before == pytest.approx(10, abs=0.02)


def test_with_a_page_it_stays_until_ctrl_c(play: Play) -> None:
    """What is shown stays up to date, and Ctrl-C is no interruption then."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    play.clock.later[play.clock.now + 2] = interrupt
    play.player.stay()
    assert play.state.phases[-1] is Phase.STAYING
    assert len(play.shown) == 8


def test_a_record_that_is_not_delivered_ends_it(play: Play) -> None:
    """A demo that has lost a record cannot add up."""
    play.broker.fail_next("delivery", KafkaError.NOT_ENOUGH_REPLICAS)
    with pytest.raises(BrokerError, match=r"not written to topic loans\.events"):
        play.player.send_all([EVENT, EVENT])
    assert play.broker.values("loans.events") == []


class Worker:
    """A worker process that is ready at once, or interrupted."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []
        self.is_running = False
        self.on_ready: Callable[[], object] = lambda: None

    @contextmanager
    def run(self, settings: Settings) -> Iterator[Worker]:
        self.settings.append(settings)
        self.is_running = True
        try:
            yield self
        finally:
            self.is_running = False

    def wait_ready(self) -> None:
        assert self.is_running
        self.on_ready()


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def broker(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, samples: Callable[..., Samples]
) -> FakeBroker:
    """Return a fake broker that `play` uses, with a fake worker, instead of real ones."""
    broker = FakeBroker()
    embedded = SimpleNamespace(address="embedded://127.0.0.1:1")
    monkeypatch.setattr(module, "EmbeddedBroker", lambda: nullcontext(embedded))
    monkeypatch.setattr(module, "KafkaClients", lambda _: FakeClients(broker))
    monkeypatch.setattr(module, "WorkerProcess", worker.run)
    monkeypatch.setattr(module, "Watch", lambda *_: Watch(samples))
    return broker


def test_a_demo_is_played_from_start_to_stop(
    broker: FakeBroker, worker: Worker, prediction: Callable[..., Prediction]
) -> None:
    """Everything is sent, every partition of the predictions is read, the worker is stopped."""
    made = shipped("prediction").encode(prediction())

    def predict() -> None:
        for number in range(100):
            broker.put("loans.predictions", made, partition=number % 4)

    worker.on_ready = predict
    state = DemoState(Plan(events=100, rate=1e6))
    shown: list[tuple[Phase, bool]] = []
    play_script(state, lambda: shown.append((state.phases[-1], worker.is_running)), "full")
    assert [len(broker.values(topic)) for topic in ("loans.events", "loans.labels")] == [105, 100]
    assert (state.predictions_read, discrepancies(state)) == (100, [])
    assert (shown[0], shown[-1]) == ((Phase.STARTING, False), (Phase.STOPPING, True))
    assert not worker.is_running


def test_the_worker_is_stopped_after_ctrl_c(broker: FakeBroker, worker: Worker) -> None:
    """That it is being stopped is shown, because it takes a moment."""
    worker.on_ready = interrupt
    state = DemoState(Plan(events=100, rate=1e6))
    shown: list[Phase] = []
    with pytest.raises(KeyboardInterrupt):
        play_script(state, lambda: shown.append(state.phases[-1]), "full")
    assert shown == [Phase.STARTING, Phase.STOPPING]
    assert not worker.is_running


def test_the_environment_does_not_change_the_demo(
    broker: FakeBroker, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker runs the pipeline of the demo on its broker, and its outputs can be decoded."""
    others = {
        "pipeline": "other",
        "pipeline_name": "other",
        "outputs": "json",
        "kafka": '{"a": "b"}',
    }
    for name, value in (others | {"log_level": "debug", "log_format": "pretty"}).items():
        monkeypatch.setenv(f"MILLRACE_{name.upper()}", value)
    worker.on_ready = interrupt
    with pytest.raises(KeyboardInterrupt):
        play_script(DemoState(Plan(events=100, rate=1e6)), lambda: None, "full")
    (settings,) = worker.settings
    assert (settings.broker, settings.chain) == ("embedded://127.0.0.1:1", "full")
    assert settings.pipeline == "millrace.models.pipelines.loans:pipeline"
    assert (settings.pipeline_name, settings.outputs, settings.kafka) == ("", "avro", {})
    assert (settings.log_level, settings.log_format) == ("warning", "json")
