"""A promotion by the rule of a pipeline, where workers are killed at its moments, on a real Kafka.

The worse model serves; labelled events come until the rule asks for the better one. Then a worker
is killed: when what decides is in the log, and the command is not; when the command is there, and
nobody has answered; when it is accepted, and not applied, in any partition or in some; and at
moments of chance. Another worker goes on, somebody lets the worse model serve again, and so on.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, Message

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promoter import Decision, Promoter
from millrace.schemas import RecordError, shipped
from millrace.schemas.records import Command
from millrace.streams.control.commands import RULE
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.operators.registry import CONTROL, SELECTION
from millrace.streams.settings import Settings
from millrace.streams.sources.commands import read_command
from millrace.streams.tools.audit import read_audit
from millrace.streams.tools.inspect_state import inspect_state
from millrace.streams.worker.subprocess import worker_environment
from tests.chaos.fleet import Fleet, Worker
from tests.chaos.topics import Follower
from tests.integration.clients import Topics, as_json
from tests.integration.rivals import BETTER, WORSE, points
from tests.integration.workers import settings, wait_for

PARTITIONS = 3
STEP = 60
LEARNER = "prediction-learning"
Place = tuple[int, int]  # partition and offset
FILE = Path(__file__).with_name("rivals.py")


class Rivals:
    """The pipeline on a broker, its workers, and what somebody sees who reads everything.

    Parameters
    ----------
    bootstrap, name
        Of the broker, and of the pipeline on it.
    directory
        Where the workers' logs go.
    """

    def __init__(self, bootstrap: str, name: str, directory: Path) -> None:
        self.settings: Settings = settings(
            "pipeline", name, bootstrap, FILE, partitions=PARTITIONS, tick_seconds=0
        )
        self.topics = Topics(bootstrap, name)
        self.sent = 0
        self._bootstrap, self._name, self._directory = bootstrap, name, directory
        self._fleets: dict[str, Fleet] = {}
        self._orders = 0

    def start(self, hesitant: str = "") -> Worker:
        """Start a worker; one of its agents may hesitate before it commits."""
        if hesitant not in self._fleets:
            command = ("-m", "tests.chaos.hesitant", hesitant)
            usual = ("-m", "millrace.streams.cli", "worker")
            directory = self._directory / (hesitant or "usual")
            directory.mkdir()
            self._fleets[hesitant] = Fleet(
                worker_environment(self.settings), directory, command if hesitant else usual
            )
        fleet = self._fleets[hesitant]
        worker = fleet.start()
        fleet.wait_ready(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """End both of its processes with SIGKILL."""
        next(each for each in self._fleets.values() if worker in each.workers).kill(worker)

    def stop(self) -> None:
        """Let all workers leave in order."""
        for fleet in self._fleets.values():
            fleet.stop_all(fleet.workers)
            assert fleet.fallen == []

    def end(self) -> None:
        """Kill whatever is left."""
        for fleet in self._fleets.values():
            fleet.end()

    def look(self) -> None:
        """See that no worker has ended by itself."""
        for fleet in self._fleets.values():
            fleet.look()
            assert fleet.fallen == []

    def feed(self, count: int = STEP) -> None:
        """Produce labelled events."""
        records = [{"value": as_json(e), "key": e["key"]} for e in points(count, self.sent)]
        self.topics.produce("events", records)
        self.sent += count

    def let_the_worse_serve(self) -> None:
        """Ask for it, as a person does, and wait until it does so in each partition."""
        self._orders += 1
        order = {"id": f"order-{self._orders}", "command": "promote"}
        order |= {"arguments": {"model": WORSE}, "who": "anna", "why": "a test"}
        self.topics.produce("commands", [{"value": json.dumps(order).encode(), "partition": 0}])
        self.wait_applied(order["id"])

    def wait_applied(self, command_id: str) -> None:
        """Wait until a command is applied in each partition."""

        def is_applied() -> bool:
            self.look()
            return self.applied()[command_id] >= PARTITIONS

        wait_for(f"promotion by {command_id}", is_applied)

    def audit(self, writer: str) -> list[dict[str, Any]]:
        found = (read_audit(each.value() or b"") for each in self.topics.messages("audit"))
        return [{**each} for each in found if each["writer"] == writer]

    def applied(self) -> Counter[str]:
        """Return by how many partitions each command was applied."""
        by_learner = self.audit(LEARNER)
        return Counter(e["command_id"] for e in by_learner if e["subject"] == "champion")

    def asked(self) -> list[Command]:
        """Return what the rule has asked for."""
        read = [read_command(each.value()) for each in self.topics.messages("commands")]
        return [each for each in read if each["who"] == RULE]

    def decided(self) -> list[Decision]:
        """Return what is to be asked for, by what is on `evaluations`."""
        promoter = Promoter([*baselines(Task.BINARY)])
        blocks = (each.value() or b"" for each in self.topics.messages("evaluations"))
        found = (promoter.add(shipped("evaluation").decode(each)) for each in blocks)
        return [each for each in found if each is not None]

    def feed_until(self, is_there: Callable[[], object]) -> None:
        """Produce events, step by step, until there is something."""
        deadline = time.monotonic() + 90
        while not is_there():
            assert time.monotonic() < deadline, f"{self.sent} events, {self.decided()}"
            self.look()
            self.feed()
            wait_until = time.monotonic() + 0.5
            while time.monotonic() < wait_until and not is_there():
                pass

    def served(self) -> list[list[str]]:
        """Return who has predicted in each partition, one after the other."""
        found: list[list[str]] = [[] for _ in range(PARTITIONS)]
        for each in self.topics.messages("predictions"):
            model = shipped("prediction").decode(each.value() or b"")["model"]
            if found[each.partition() or 0][-1:] != [model]:
                found[each.partition() or 0].append(model)
        return found

    def feed_until_written(
        self, topic: str, is_it: Callable[[Message], bool], count: int
    ) -> set[Place]:
        """Produce events until so many records are there, committed or not; return their places."""
        partitions = 1 if topic == "commands" else PARTITIONS
        follower = Follower(
            self._bootstrap, f"{self._name}.{topic}", OFFSET_END, partitions, "read_uncommitted"
        )
        follower.take(1)
        found: set[Place] = set()

        def is_there() -> bool:
            found.update(map(_place, filter(is_it, follower.take(0.05))))
            return len(found) >= count

        try:
            self.feed_until(is_there)
        finally:
            follower.close()
        return found

    def go_on(self, promotions: int) -> None:
        """See that so many promotions have happened, and that events are predicted."""
        commands = wait_for("command", lambda: self._asked_if(promotions))
        self.wait_applied(commands[-1]["id"] or "")
        self.feed()
        wait_for("predictions", lambda: len(self.topics.messages("predictions")) == self.sent)
        self.stop()

    def _asked_if(self, count: int) -> list[Command]:
        self.look()
        found = self.asked()
        return found if len(found) >= count else []


@pytest.fixture
def rivals(kafka: str, unique_name: Callable[[str], str], tmp_path: Path) -> Iterator[Rivals]:
    made = Rivals(kafka, unique_name("rivals"), tmp_path)
    try:
        yield made
    finally:
        made.end()


def _is_asked(message: Message) -> bool:
    with suppress(RecordError):
        return read_command(message.value())["who"] == RULE
    return False


def _is_accepted(message: Message) -> bool:
    entry = read_audit(message.value() or b"")
    return (entry["writer"], entry["who"], entry["action"]) == (CONTROL, RULE, "accepted")


def _is_applied(message: Message) -> bool:
    entry = read_audit(message.value() or b"")
    return (entry["writer"], entry["who"], entry["subject"]) == (LEARNER, RULE, "champion")


def _place(message: Message) -> Place:
    return message.partition() or 0, message.offset() or 0


MOMENTS = [
    (SELECTION, "commands", _is_asked, 1),
    (CONTROL, "audit", _is_accepted, 1),
    (LEARNER, "audit", _is_applied, 1),
    (LEARNER, "audit", _is_applied, PARTITIONS),  # of which another worker has some
]
"""Who hesitates, and which records it has written, and how many, when it is killed."""

BY_CHANCE = 3


@pytest.mark.platform
@pytest.mark.timeout(900)
def test_a_promotion_happens_once_whenever_a_worker_is_killed(rivals: Rivals) -> None:
    """One command, accepted once, applied once in each partition; and no event is lost."""
    written: list[tuple[str, set[Place]]] = []
    for number, (agent, topic, is_it, count) in enumerate(MOMENTS, 1):
        victim = rivals.start(agent)
        if count > 1:
            rivals.start()
        if number > 1:
            rivals.let_the_worse_serve()
        written.append((topic, rivals.feed_until_written(topic, is_it, count)))
        rivals.kill(victim)
        if count == 1:
            rivals.start()
        rivals.go_on(number)

    random = Random(1)
    for number in range(len(MOMENTS) + 1, len(MOMENTS) + 1 + BY_CHANCE):
        victim = rivals.start()
        rivals.let_the_worse_serve()
        rivals.feed_until(lambda number=number: len(rivals.decided()) >= number)
        time.sleep(0.3 * random.random())
        rivals.kill(victim)
        rivals.start()
        rivals.go_on(number)

    for topic, places in written:  # the kill came before that was committed
        assert places - {*map(_place, rivals.topics.messages(topic))}
    _check(rivals, promotions=len(MOMENTS) + BY_CHANCE)


def _check(rivals: Rivals, promotions: int) -> None:
    """See that the rule's promotions and a person's have taken turns, each of them once."""
    decided = [(each.action, each.model, each.champion) for each in rivals.decided()]
    assert decided == [("promote", BETTER, WORSE)] * promotions
    asked = rivals.asked()
    assert [each["arguments"] for each in asked] == [
        {"champion": WORSE, "model": BETTER}
    ] * promotions
    assert len({each["id"] for each in asked}) == promotions
    answers = [each for each in rivals.audit(CONTROL) if each["subject"] == "command"]
    accepted = [each["command_id"] for each in answers if each["action"] == "accepted"]
    assert [each["action"] for each in answers].count("refused") == 0
    assert [each for each in accepted if RULE in each] == [each["id"] for each in asked]
    promoting = [each for each in accepted if RULE in each or "order" in each]
    assert rivals.applied() == dict.fromkeys(promoting, PARTITIONS)
    turns = [WORSE, BETTER] * promotions
    assert rivals.served() == [turns] * PARTITIONS
    state = inspect_state(
        KafkaClients(rivals.settings), rivals.settings.load_pipeline(), rivals.settings
    )
    champions = [each for each in state.candidates if each.is_champion]
    assert [(each.partition, each.model) for each in champions] == [
        (partition, BETTER) for partition in range(PARTITIONS)
    ]
    assert sum(each.version for each in champions) == rivals.sent
    predicted = [json.loads(_id(each)) for each in rivals.topics.messages("predictions")]
    assert sorted(predicted) == [*range(rivals.sent)]


def _id(message: Message) -> str:
    event_id: str = shipped("prediction").decode(message.value() or b"")["event_id"]
    return event_id
