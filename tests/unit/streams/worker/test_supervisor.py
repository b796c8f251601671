"""Several workers on one machine: kept going, and stopped together."""

from __future__ import annotations

import json
import logging
import signal
from dataclasses import dataclass, field

import pytest
import structlog

from millrace.schemas import SettingsError
from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import Settings
from millrace.streams.worker.supervisor import (
    STEADY_SECONDS,
    STOP_SECONDS,
    Supervisor,
    run_workers,
    settings_of,
)


@dataclass
class FakeChild:
    """A process that ends when it is told to, or not even then."""

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
    """Time that passes when nothing happens, and a list of what is to happen when."""

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
        assert self.now < 1_000, "it does not come to an end"
        due = [each for each in self.happenings if each[0] <= self.now]
        self.happenings = [each for each in self.happenings if each[0] > self.now]
        for _, call in due:
            call()

    def end(self, index: int, code: int) -> None:
        self.children[index].code = code


@pytest.fixture
def world():
    return World(2)


def test_a_stop_is_passed_on_and_waited_for(world):
    """All workers are started, told to stop once, and the exit code is theirs."""
    world.at(1, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert [child.number for child in world.children] == [1, 2]
    assert [child.told for child in world.children] == [["terminate"], ["terminate"]]


def test_a_worker_that_dies_is_started_again(world):
    """Under its own number, while the others go on."""
    world.at(5, lambda: world.end(0, -signal.SIGKILL))
    world.at(10, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert [child.number for child in world.children] == [1, 2, 1]
    assert world.children[1].told == ["terminate"]


def test_one_that_dies_again_and_again_has_to_wait_longer_each_time():
    """And no longer than half a minute."""
    world = World(1)
    for seconds in range(1, 200):
        world.at(seconds, lambda: world.end(-1, 1))
    world.at(200, world.supervisor.ask_to_stop)
    world.supervisor.run()
    waits = [round(b - a) for a, b in zip(world.started_at, world.started_at[1:], strict=False)]
    assert waits == sorted(waits)
    assert waits[0] < 3
    assert waits[-1] == 31


def test_a_long_life_makes_up_for_a_bad_start(world):
    """The wait begins anew for a worker that ran well before it died."""
    for seconds in (1, 4, 8):
        world.at(seconds, lambda: world.end(-1, 1))
    world.at(20 + STEADY_SECONDS, lambda: world.end(-1, 1))
    world.at(60 + STEADY_SECONDS, world.supervisor.ask_to_stop)
    world.supervisor.run()
    assert world.started_at[-1] - (20 + STEADY_SECONDS) < 1


def test_what_a_new_start_does_not_mend_ends_them_all(world):
    """A wrong pipeline, for example: the worker has said what it is, and that is the exit code."""
    world.at(1, lambda: world.end(1, 2))
    assert world.supervisor.run() == 2
    assert world.children[0].told == ["terminate"]
    assert len(world.children) == 2


def test_the_same_error_later_is_tried_again(world):
    """A broker that is away while a worker starts again is no reason to give up."""
    world.at(STEADY_SECONDS + 1, lambda: world.end(1, 2))
    world.at(STEADY_SECONDS + 9, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 0
    assert len(world.children) == 3


def test_one_that_does_not_stop_is_killed(world):
    """After its time is up, and then the exit code says that something was amiss."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", None))
    world.at(2, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 1
    assert world.children[0].told == ["terminate", "kill"]
    assert world.children[1].told == ["terminate"]
    assert world.now > STOP_SECONDS


def test_a_second_signal_does_not_wait(world):
    """Ctrl-C twice: by force, at once."""
    world.at(1, lambda: setattr(world.children[0], "ends_with", None))
    world.at(2, world.supervisor.ask_to_stop)
    world.at(3, world.supervisor.ask_to_stop)
    assert world.supervisor.run() == 1
    assert world.now < 5


def test_workers_differ_in_what_must_not_be_shared():
    """Ports and static members are one's own; a port that the system chooses stays its choice."""
    settings = Settings(processes=3, web_port=7000, group_instance_id="rack-1")
    each = [settings_of(settings, number) for number in (1, 2, 3)]
    assert [one.web_port for one in each] == [7000, 7001, 7002]
    assert [one.group_instance_id for one in each] == ["rack-1-1", "rack-1-2", "rack-1-3"]
    assert {one.processes for one in each} == {1}
    assert settings_of(Settings(processes=2, web_port=0), 2).web_port == 0
    assert settings_of(Settings(processes=2), 2).group_instance_id == ""


def test_each_needs_the_same_broker():
    """A broker inside each process would share nothing."""
    with pytest.raises(SettingsError, match="requires a broker that they share"):
        run_workers(Settings(processes=2))


@pytest.fixture
def restored_logging():
    """Leave logging to the other tests as it was."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_of_the_log_says_which_process_it_is_from(capsys, restored_logging):
    """So that the lines of all of them can go to one place."""
    configure_logging(Settings(log_format="json"), process=2)
    logging.getLogger("a library").warning("hello")
    assert json.loads(capsys.readouterr().err)["process"] == 2
