"""Which definition a worker begins with, and when it puts its own in force."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError
from millrace.streams.control.commands import DEPLOY
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.deployment import settled
from millrace.streams.runtime.in_force import read_in_force
from millrace.streams.settings import Settings
from tests.unit.streams.conftest import KEY

PIPELINE = """
from river.linear_model import LogisticRegression
from millrace import Pipeline

fields = [{{"name": name, "type": "string"}} for name in ("id", "other")]
fields += [{{"name": "x", "type": "double"}}]
pipeline = Pipeline(
    name="visits",
    schema={{"type": "record", "name": "Visit", "fields": fields}},
    event_id="{event_id}",
    task="binary",
    models={{"line": lambda: LogisticRegression(l2={l2})}},
)
"""

Start = Callable[..., Definitions]


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def start(broker: FakeBroker, tmp_path: Path) -> Iterator[Start]:
    """Begin as a worker does, with a file of these parameters."""
    clients = FakeClients(broker)

    def start(*, l2: float = 0.0, event_id: str = "id", **given: Any) -> Definitions:
        file = tmp_path / "visits.py"
        file.write_text(PIPELINE.format(l2=l2, event_id=event_id))
        settings = Settings(broker="fake", pipeline=str(file), **given)
        pipeline = load_pipeline(str(file))
        prepare_topics(clients, pipeline, settings)
        return settled(clients, pipeline, settings, KEY)

    return start


def asked(broker: FakeBroker) -> list[dict[str, Any]]:
    messages = read_to_end(FakeClients(broker), "visits.commands", [0])
    found = [json.loads(each.value() or b"") for each in messages]
    return [each["arguments"]["definition"] for each in found if each["command"] == DEPLOY]


def test_a_new_definition_is_deployed(broker: FakeBroker, start: Start) -> None:
    """Its bundle is published first, and the worker begins with it."""
    definitions = start()
    assert asked(broker) == [definitions.own]
    (published,) = read_to_end(FakeClients(broker), "visits.definitions", [0])
    assert published.key() == definitions.own.encode()
    assert definitions.in_force == definitions.first == definitions.own


def test_the_same_one_is_not_deployed_again(broker: FakeBroker, start: Start) -> None:
    """Workers that start later find it in force."""
    first = start()
    again = start()
    assert (asked(broker), again.in_force) == ([first.own], first.own)


def test_a_changed_one_is_deployed(broker: FakeBroker, start: Start) -> None:
    """Until its place in the log the former one is in force, and the log says what changes."""
    first = start()
    with capture_logs() as logs:
        second = start(l2=0.5)
    assert asked(broker) == [first.own, second.own]
    assert second.in_force == first.own != second.own
    (said,) = [each["changes"] for each in logs if "changes" in each]
    assert any("models['line']" in each for each in said)


def test_an_old_file_changes_nothing(broker: FakeBroker, start: Start) -> None:
    """A machine that has not been updated goes on with what is in force, and says so."""
    first, second = start(), start(l2=0.5)
    with capture_logs() as logs:
        late = start()
    assert asked(broker) == [first.own, second.own]
    assert late.in_force == second.own
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert "in force before" in warning["event"]
    assert late.find(second.own).models["line"]().l2 == 0.5  # type: ignore[attr-defined]


def test_an_old_file_may_be_deployed_again(broker: FakeBroker, start: Start) -> None:
    """Where that is asked for."""
    first, second = start(), start(l2=0.5)
    start(deploy="always")
    assert asked(broker) == [first.own, second.own, first.own]


def test_deploying_may_be_forbidden(broker: FakeBroker, start: Start) -> None:
    """But for the first definition, without which there would be none."""
    first = start(deploy="never")
    late = start(l2=0.5, deploy="never")
    assert (asked(broker), late.in_force) == ([first.own], first.own)


def test_one_that_cannot_follow_is_refused(broker: FakeBroker, start: Start) -> None:
    """The error names the parameter, and nothing is asked for."""
    first = start()
    with pytest.raises(DefinitionError, match=r"event_id must stay .*another name"):
        start(event_id="other")
    assert asked(broker) == [first.own]


def test_what_is_in_force_is_folded_from_the_commands(broker: FakeBroker, start: Start) -> None:
    """A refused command, and what is no command, change nothing."""
    first = start()
    for value in (b"?", b'{"command": "promote", "arguments": {"model": "x"}}'):
        broker.put("visits.commands", value)
    broker.put("visits.commands", b'{"command": "pause"}')
    clients = FakeClients(broker)
    pipeline, settings = first.find(first.own), Settings(broker="fake")
    in_force = read_in_force(clients, pipeline, settings, KEY)
    assert (in_force.number, in_force.is_paused, in_force.definition) == (2, True, first.own)
