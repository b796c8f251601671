"""Where no events come, a worker says in the log how much time passes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError
from millrace.streams.control.signature import HEADER, signature_of
from millrace.streams.kafka.commands import Request
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.reading_progress import Reading
from millrace.streams.runtime.ticking import Ticker, ticker_of
from millrace.streams.settings import Settings
from tests.unit.streams.runtime.worker import FakeWorker


class Quiet:
    """A ticker, its clock, and what it sees."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.now = 1_000.0
        self.inputs = {("p.events", 0): 0}
        self.is_drained = self.is_ours = True
        self.error: Exception | None = None
        self.looks = 0
        self.sent: list[Request] = []
        self.ticker = Ticker(
            self.read, self.sent.append, lambda: self.is_ours, seconds, lambda: self.now
        )

    def read(self) -> Reading:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return Reading(dict(self.inputs), self.is_drained)

    def look(self, after_seconds: float = 60.0) -> list[str]:
        """Look after so many seconds; return for how many a tick was sent, if one was."""
        self.now += after_seconds
        before = len(self.sent)
        self.ticker.look()
        return [each.arguments["seconds"] for each in self.sent[before:]]


@pytest.fixture
def quiet() -> Quiet:
    return Quiet()


def test_a_tick_is_for_the_time_since_the_last_look(quiet: Quiet) -> None:
    """The first look only sees that all is read; each one after sends what has passed."""
    assert quiet.look() == []
    assert [quiet.look(60), quiet.look(61.25)] == [["60.000"], ["61.250"]]
    assert {each.command for each in quiet.sent} == {"tick"}
    assert len({each.id for each in quiet.sent}) == 2


def test_events_let_time_pass_themselves(quiet: Quiet) -> None:
    """Where one has come since the last look, time without events begins with this one."""
    quiet.look()
    quiet.inputs["p.events", 0] = 1
    assert [quiet.look(), quiet.look(59)] == [[], ["59.000"]]


def test_nothing_is_sent_while_something_is_to_be_read(quiet: Quiet) -> None:
    """An agent that is behind has the times of events before it."""
    quiet.look()
    quiet.is_drained = False
    assert [quiet.look(), quiet.look()] == [[], []]
    quiet.is_drained = True
    assert [quiet.look(), quiet.look()] == [[], ["60.000"]]


def test_only_the_worker_that_takes_commands_sends(quiet: Quiet) -> None:
    """One that takes over begins to count then."""
    quiet.look()
    quiet.is_ours = False
    assert [quiet.look(), quiet.look()] == [[], []]
    quiet.is_ours = True
    assert [quiet.look(), quiet.look()] == [[], ["60.000"]]


def test_an_outage_is_no_silence(quiet: Quiet) -> None:
    """While the broker is away, nobody knows what producers have to say."""
    quiet.look()
    quiet.error = BrokerError("away")
    with pytest.raises(BrokerError):
        quiet.look()
    quiet.error = None
    assert [quiet.look(), quiet.look()] == [[], ["60.000"]]


def test_a_thread_looks_again_and_again() -> None:
    """It goes on after an error, and ends when it is stopped."""
    quiet = Quiet(seconds=0.001)
    quiet.error = BrokerError("away")
    quiet.ticker.start()
    wait_for(lambda: quiet.looks >= 2)
    quiet.error = None
    wait_for(lambda: len(quiet.sent) >= 2)
    quiet.ticker.stop()
    assert not quiet.ticker._thread.is_alive()


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_worker_signs_its_ticks(make_pipeline: Callable[..., Pipeline]) -> None:
    """They are commands like any other; only who reads `commands` sends any."""
    broker, pipeline = FakeBroker(), make_pipeline()
    worker = FakeWorker(broker, pipeline, "control")
    own = Settings(broker="fake", chain="full", command_key="a secret of our own")
    engine = worker.engine()
    ticker = ticker_of(own, pipeline, worker.clients, Definitions(pipeline), [engine])
    assert ticker is not None
    ticker._clock = iter((0.0, 60.0, 120.0)).__next__
    ticker.look()
    assert broker.values("p.commands") == []
    engine._poll()
    ticker.look()
    ticker.look()
    (tick,) = broker.records("p.commands")
    assert json.loads(tick.value() or b"")["arguments"] == {"seconds": "60.000"}
    signature = signature_of(tick.value() or b"", b"a secret of our own")
    assert (tick.headers() or []) == [(HEADER, signature.encode())]
