"""The processes of a worker: restarted when they end, watched, and stopped together."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import capture_logs

from millrace.schemas import SettingsError
from millrace.streams.api.pages import ProcessState
from millrace.streams.api.report import Report
from millrace.streams.runtime.folding import Folding
from millrace.streams.settings import Settings
from millrace.streams.worker import supervisor as module
from millrace.streams.worker.child import STATE_REFUSED
from millrace.streams.worker.supervisor import (
    STEADY_SECONDS,
    STOP_SECONDS,
    Supervisor,
    run_worker,
)

REPORT = Report("loans")


@dataclass
class FakeReports:
    """What a process last said of itself."""

    last: Report | None = None
    age_seconds: float = 0.0

    def ask(self) -> None:
        pass

    def wait(self, since: float, deadline: float) -> None:
        pass


@dataclass
class FakeChild:
    """A process that ends when a test says so, or when it is terminated or killed."""

    number: int
    code: int | None = None
    ends_with: int | None = 0
    told: list[str] = field(default_factory=list)
    pid: int = 0
    reports: FakeReports = field(default_factory=FakeReports)
    folding: Folding | None = None

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.told.append("terminate")
        self.code = self.ends_with

    def kill(self) -> None:
        self.told.append("kill")
        self.code = -signal.SIGKILL


class World:
    """Time that passes when the supervisor pauses, and what is to happen at which time."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.children: list[FakeChild] = []
        self.started_at: list[float] = []
        self.happenings: list[tuple[float, object]] = []
        self.supervisor = Supervisor(
            count,
            self.start,
            silence_seconds=60,
            clock=lambda: self.now,
            pause=lambda _event, s: self.pass_time(s),
        )

    def start(self, number: int) -> FakeChild:
        self.children.append(FakeChild(number))
        self.started_at.append(self.now)
        return self.children[-1]

    def at(self, seconds: float, call: object) -> None:
        self.happenings.append((seconds, call))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1_000, "it does not end"
        due = [each for each in self.happenings if each[0] <= self.now]
        self.happenings = [each for each in self.happenings if each[0] > self.now]
        for _, call in due:
            call()

    def end(self, index: int, code: int) -> None:
        self.children[index].code = code


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(module, "_log", structlog.get_logger())
    return World(2)


def test_a_stop_is_passed_on_and_waited_for(world):
    """All workers are started, told to stop once, and the exit code is theirs."""
    world.at(1, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert [child.number for child in world.children] == [1, 2]
    assert [child.told for child in world.children] == [["terminate"], ["terminate"]]


def test_a_worker_that_ends_is_restarted(world):
    """With its own number, while the others continue."""
    world.at(5, lambda: world.end(0, -signal.SIGKILL))
    world.at(10, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert [child.number for child in world.children] == [1, 2, 1]
    assert world.children[1].told == ["terminate"]


def test_a_worker_that_ends_again_and_again_waits_longer_each_time():
    """But at most half a minute."""
    world = World(1)
    for seconds in range(1, 200):
        world.at(seconds, lambda: world.end(-1, 1))
    world.at(200, world.supervisor.ask_to_stop)
    world.supervisor.run()
    waits = [round(b - a) for a, b in zip(world.started_at, world.started_at[1:], strict=False)]
    assert waits == sorted(waits)
    assert waits[0] == 2, "it ends after one second, and waits for another one"
    assert waits[-1] == 31


def test_a_worker_that_was_steady_is_restarted_at_once(world):
    """Earlier failures do not count once it has run for a while."""
    for seconds in (1, 4, 8):
        world.at(seconds, lambda: world.end(-1, 1))
    world.at(20 + STEADY_SECONDS, lambda: world.end(-1, 1))
    world.at(60 + STEADY_SECONDS, world.supervisor.ask_to_stop)
    world.supervisor.run()
    assert world.started_at[-1] - (20 + STEADY_SECONDS) < 1


def test_an_error_that_the_user_must_correct_stops_all_workers(world):
    """A wrong pipeline, for example: the worker has printed it, and its exit code is passed on."""
    world.at(1, lambda: world.end(1, 2))
    assert world.supervisor.run() == 2
    assert world.children[0].told == ["terminate"]
    assert len(world.children) == 2


@pytest.mark.parametrize("seconds", [1, STEADY_SECONDS + 1])
def test_state_that_is_refused_stops_all_workers_at_any_time(world, seconds):
    """No restart helps, and the next owner of the partitions would refuse it as well."""
    world.at(seconds, lambda: world.end(1, STATE_REFUSED))
    assert world.supervisor.run() == 2
    assert world.children[0].told == ["terminate"]
    assert len(world.children) == 2


def test_the_same_error_later_is_retried(world):
    """A broker that does not answer while a worker restarts is no reason to give up."""
    world.at(STEADY_SECONDS + 1, lambda: world.end(1, 2))
    world.at(STEADY_SECONDS + 9, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert len(world.children) == 3


def test_a_worker_that_does_not_stop_is_killed(world):
    """After some time, and then the exit code is 1."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", None))
    world.at(2, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 1
    assert world.children[0].told == ["terminate", "kill"]
    assert world.children[1].told == ["terminate"]
    assert 2 + STOP_SECONDS < world.now < 3 + STOP_SECONDS


def test_a_worker_that_has_not_begun_stops_cleanly(world):
    """SIGTERM ends a process as long as it is being imported: it has nothing to commit."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", -signal.SIGTERM))
    world.at(2, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0


def test_a_second_signal_does_not_wait(world):
    """Ctrl-C twice: workers are killed at once."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", None))
    world.at(2, world.supervisor.ask_to_stop)
    world.at(3, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 1
    assert world.now < 5


def test_the_state_of_a_process_is_what_it_reported(world):
    """And how long ago; before the first report there is none."""
    seen = []
    world.at(1, lambda: setattr(world.children[0], "reports", FakeReports(REPORT, 2.5)))
    world.at(2, lambda: seen.extend(world.supervisor.states()))
    world.at(2, world.supervisor.ask_to_stop)
    world.supervisor.run()
    assert seen == [ProcessState(1, REPORT, 2.5), ProcessState(2, None)]


def test_a_process_that_is_silent_for_long_is_said_to_hang(world):
    """The user's code may hold Python's lock; where it was is said."""
    seen = []
    at = Folding("feature", ("loans.clean", 0, 7), ("loans.clean", 0, 9))
    world.at(1, lambda: setattr(world.children[0], "folding", at))
    world.at(1, lambda: setattr(world.children[0], "reports", FakeReports(REPORT, 61.0)))
    world.at(2, lambda: seen.extend(world.supervisor.states()))
    world.at(2, world.supervisor.ask_to_stop)
    world.supervisor.run()
    assert seen[0].report == REPORT
    assert "has not reported for 61 s" in seen[0].problem
    assert seen[0].problem.endswith("at loans.clean[0]@7 to loans.clean[0]@9 (agent feature)")


def test_a_process_that_ended_is_counted_once_it_runs_again(world):
    """Until then, the exit code is shown."""
    seen = []
    world.at(1, lambda: world.end(0, -signal.SIGKILL))
    world.at(1.3, lambda: seen.append(world.supervisor.states()[0]))
    world.at(4, lambda: seen.append(world.supervisor.states()[0]))
    world.at(5, world.supervisor.ask_to_stop)
    world.supervisor.run()
    ended, restarted = seen
    assert (ended.report, ended.restarts) == (None, 0)
    assert ended.problem == "ended with exit code -9, and will be restarted"
    assert (restarted.restarts, restarted.problem) == (1, "")


def test_several_processes_need_a_running_broker():
    """With a broker inside each process, they would share nothing."""
    with pytest.raises(SettingsError, match="broker must be the address of a running broker"):
        run_worker(Settings(processes=2))


@pytest.fixture
def started(monkeypatch):
    """Replace the supervisor and the pages; return the processes that would be started."""
    started, handlers = [], []

    class Stub:
        def __init__(self, count, start, silence_seconds):
            self.count, self.start = count, start
            assert silence_seconds == 60

        def states(self):
            return []

        def ask_to_stop(self, *_):
            raise AssertionError

        def run(self):
            handlers.append(signal.getsignal(signal.SIGTERM))
            for number in range(1, self.count + 1):
                self.start(number)
            return 7

    monkeypatch.setattr(module, "Supervisor", Stub)
    monkeypatch.setattr(module, "configure_logging", lambda _settings: None)
    monkeypatch.setattr(module, "FoldProcess", lambda *given: started.append(given[:2]))
    return started, handlers


def test_a_worker_is_a_supervisor_and_its_processes(started):
    """They stop with it: it takes SIGTERM and Ctrl-C; the exit code is the supervisor's."""
    processes, handlers = started
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    settings = Settings(
        broker="embedded://127.0.0.1:4040", processes=2, web_port=0, state_key="secret"
    )
    assert run_worker(settings) == 7
    assert processes == [(settings, 1), (settings, 2)]
    assert handlers[0].__name__ == "ask_to_stop"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("given", ["", "secret"])
def test_processes_on_an_embedded_broker_share_a_key(started, given):
    """Each would otherwise sign state with a key of its own, which the others cannot read."""
    processes, _ = started
    run_worker(Settings(broker="embedded://here", processes=2, state_key=given, web_port=0))
    (key,) = {settings.state_key.get_secret_value() for settings, _ in processes}
    assert key == given or (not given and len(key) == 64)


def test_a_port_that_is_taken_starts_nothing(started):
    """The error comes before any process does."""
    processes, _ = started
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="web_port must be a free port"):
            run_worker(Settings(broker="embedded://here", web_port=port))
    assert processes == []


def test_the_supervisor_logs_what_happens(world):
    """A start with the process id, an end with the exit code and the time until the restart."""
    world.at(1, lambda: world.end(0, 1))
    world.at(5, world.supervisor.ask_to_stop)
    with capture_logs() as logs:
        world.supervisor.run()
    assert logs[0] == {
        "event": "started a process",
        "log_level": "info",
        "process": 1,
        "pid": 0,
    }
    (ended,) = (each for each in logs if each["log_level"] == "error")
    assert (ended["process"], ended["exit_code"], ended["backoff_seconds"]) == (1, 1, 1.0)


def test_it_imports_nothing_that_only_the_processes_need():
    """So it starts them at once, and takes little memory beside them."""
    code = (
        "import sys, millrace.streams.worker.supervisor\n"
        "print(*({'scipy', 'faust', 'fsspec'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
