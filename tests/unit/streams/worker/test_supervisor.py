"""Several workers on one machine: restarted when they end, and stopped together."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import capture_logs

from millrace.schemas import SettingsError
from millrace.streams.settings import Settings
from millrace.streams.worker import supervisor as module
from millrace.streams.worker.supervisor import (
    STEADY_SECONDS,
    STOP_SECONDS,
    Supervisor,
    run_workers,
    settings_of,
)


@dataclass
class FakeChild:
    """A process that ends when a test says so, or when it is terminated or killed."""

    number: int
    code: int | None = None
    ends_with: int | None = 0
    told: list[str] = field(default_factory=list)
    pid: int = 0

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
            count, self.start, clock=lambda: self.now, pause=lambda _event, s: self.pass_time(s)
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


def test_a_second_signal_does_not_wait(world):
    """Ctrl-C twice: workers are killed at once."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", None))
    world.at(2, world.supervisor.ask_to_stop)
    world.at(3, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 1
    assert world.now < 5


def test_workers_differ_in_what_must_not_be_shared():
    """Ports and static members are separate; port 0 lets the system choose each."""
    settings = Settings(processes=3, web_port=7000, group_instance_id="rack-1")
    each = [settings_of(settings, number) for number in (1, 2, 3)]
    assert [one.web_port for one in each] == [7000, 7001, 7002]
    assert [one.group_instance_id for one in each] == ["rack-1-1", "rack-1-2", "rack-1-3"]
    assert {one.processes for one in each} == {1}
    assert settings_of(Settings(processes=2, web_port=0), 2).web_port == 0
    assert settings_of(Settings(processes=2), 2).group_instance_id == ""


def test_several_workers_need_a_running_broker():
    """With a broker inside each process, they would share nothing."""
    with pytest.raises(SettingsError, match="broker must be the address of a running broker"):
        run_workers(Settings(processes=2))


@pytest.fixture
def started(monkeypatch):
    """Replace the supervisor; return the processes that it would start."""
    commands = []

    class Stub:
        def __init__(self, count, start):
            self.count, self.start = count, start

        def ask_to_stop(self, *_):
            raise AssertionError

        def run(self):
            handlers.append(signal.getsignal(signal.SIGTERM))
            for number in range(1, self.count + 1):
                self.start(number)
            return 7

    handlers = []
    monkeypatch.setattr(module, "Supervisor", Stub)
    monkeypatch.setattr(module, "configure_logging", lambda _settings: None)
    monkeypatch.setattr(
        module.subprocess, "Popen", lambda command, **options: commands.append((command, options))
    )
    return commands, handlers


def test_each_worker_is_a_process_with_its_own_settings(started):
    """It ends with the supervisor, which passes Ctrl-C on; the exit code is the supervisor's."""
    commands, handlers = started
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    settings = Settings(broker="embedded://127.0.0.1:4040", processes=2, web_port=7000)
    assert run_workers(settings) == 7
    assert [command[-2:] for command, _ in commands] == [("--process", "1"), ("--process", "2")]
    environments = [options["env"] for _, options in commands]
    assert [each["MILLRACE_WEB_PORT"] for each in environments] == ["7000", "7001"]
    assert {each["MILLRACE_PROCESSES"] for each in environments} == {"1"}
    for _, options in commands:
        assert (options["stdin"], options["start_new_session"]) == (subprocess.PIPE, True)
    assert handlers[0].__name__ == "ask_to_stop"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("given", ["", "secret"])
def test_workers_on_an_embedded_broker_share_a_key(started, given):
    """Each would otherwise sign state with a key of its own, which the others cannot read."""
    commands, _ = started
    run_workers(Settings(broker="embedded://here", processes=2, state_key=given))
    (key,) = {options["env"]["MILLRACE_STATE_KEY"] for _, options in commands}
    assert key == given or (not given and len(key) == 64)


def test_the_supervisor_logs_what_happens(world):
    """A start with the process id, an end with the exit code and the time until the restart."""
    world.at(1, lambda: world.end(0, 1))
    world.at(5, world.supervisor.ask_to_stop)
    with capture_logs() as logs:
        world.supervisor.run()
    assert logs[0] == {
        "event": "started a worker",
        "log_level": "info",
        "process": 1,
        "pid": 0,
    }
    (ended,) = (each for each in logs if each["log_level"] == "error")
    assert (ended["process"], ended["exit_code"], ended["backoff_seconds"]) == (1, 1, 1.0)
