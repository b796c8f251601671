"""A task that has no state begins with what was in force where its log begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from millrace.schemas.records import AcceptedCommand
from millrace.streams.control.in_force import InForceThen
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.runtime.beginning import find_beginning
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.settings import Settings
from tests.unit.streams.runtime.worker import KEY, FakeWorker, put_events, work

PROMOTE: dict[str, Any] = {"command": "promote", "arguments": {"model": "other"}}
PAUSE: dict[str, Any] = {"command": "pause"}
RESUME: dict[str, Any] = {"command": "resume"}

Ask = Callable[..., None]


@pytest.fixture
def pipeline(make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    made = make_pipeline()
    (factory,) = made.models.values()
    return make_pipeline(models={"model": factory, "other": factory})


@pytest.fixture
def ask(broker: FakeBroker, pipeline: Pipeline) -> Ask:
    """Send commands, which are accepted at once."""
    session = FakeWorker(broker, pipeline, "control").start()

    def ask(*commands: dict[str, Any]) -> None:
        for each in commands:
            broker.put("p.commands", json.dumps(each).encode())
        assert work(session) == len(commands)

    return ask


def begun(broker: FakeBroker, pipeline: Pipeline, *topics: str) -> InForceThen:
    find = find_beginning(FakeClients(broker), pipeline, Settings(broker="fake"), KEY)
    return find(topics or ("events", "control"), 0)


def test_without_commands(broker: FakeBroker, pipeline: Pipeline, ask: Ask) -> None:
    """It begins as the definition says."""
    assert begun(broker, pipeline) == InForceThen()


def test_commands_in_its_log_come_at_their_places(
    broker: FakeBroker, pipeline: Pipeline, ask: Ask
) -> None:
    """It begins with what was in force before the first."""
    ask(PROMOTE, PAUSE)
    assert begun(broker, pipeline) == InForceThen()


def test_commands_that_have_expired_have_been_applied(
    broker: FakeBroker, pipeline: Pipeline, ask: Ask
) -> None:
    """The first that is left tells which these are."""
    ask(PROMOTE, PAUSE, RESUME)
    accepted = [*broker.values("p.control")]
    broker.create("p.features", 1)
    for value in (b"no command", *accepted[2:]):
        broker.put("p.features", value)
    assert begun(broker, pipeline, "features") == InForceThen(2, "", "other", True)


def test_a_log_without_commands_begins_with_what_was_accepted(
    broker: FakeBroker, pipeline: Pipeline, ask: Ask
) -> None:
    """What is asked for, and was not accepted yet, will come into the log."""
    ask(PROMOTE, PAUSE)
    broker.put("p.commands", json.dumps(RESUME).encode())
    broker.create("p.features", 1)
    assert begun(broker, pipeline, "features") == InForceThen(2, "", "other", True)


def test_a_task_of_another_chain_goes_on_with_who_serves(
    broker: FakeBroker, pipeline: Pipeline, ask: Ask
) -> None:
    """Its group is new, and so is the log of its commands."""
    ask(PROMOTE, PAUSE)
    find = find_beginning(FakeClients(broker), pipeline, Settings(broker="fake"), KEY)
    definitions = Definitions(pipeline, find_beginning=find)
    chain = "ingest,feature+prediction+learning,drift"
    ingest = FakeWorker(broker, pipeline, "ingest", definitions, chain=chain).start()
    session = FakeWorker(broker, pipeline, "feature", definitions, chain=chain).start()
    put_events(broker, range(3))
    assert (work(ingest), work(session)) == (3, 3)
    made = [json.loads(each or b"") for each in broker.values("p.predictions")]
    assert [(each["model"], each["model_version"]) for each in made] == [("other", 0)] * 3


def test_a_command_is_told_by_its_schema() -> None:
    """Other records on the same topic are not decoded."""
    value = AcceptedCommand(number=1, id="", command="pause", arguments={}, who="", why="")
    assert shipped("accepted_command").encode(value).startswith(shipped("accepted_command").header)
