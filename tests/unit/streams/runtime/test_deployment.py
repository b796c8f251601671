"""Which definition a worker begins with, and when it puts its own in force."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.models.identity.definition import describe, made_by
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError
from millrace.streams.control.commands import DEPLOY
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.deployment import settled
from millrace.streams.runtime.in_force import InForceFollower, InForceReader, read_in_force
from millrace.streams.settings import Settings
from tests.unit.streams.conftest import KEY

PIPELINE = """
from river.linear_model import LogisticRegression
from millrace import Pipeline

learned = []

class Line(LogisticRegression):
    def learn_one(self, x, y, w=1.0):
        learned.append(y)
        super().learn_one(x, y, w)

fields = [{{"name": name, "type": "string"}} for name in ("id", "other")]
fields += [{{"name": "x", "type": "double"}}]
pipeline = Pipeline(
    name="visits",
    schema={{"type": "record", "name": "Visit", "fields": fields}},
    event_id="{event_id}",
    task="binary",
    models={{"line": lambda: Line(l2={l2}), {more}}},
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

    def start(
        *, l2: float = 0.0, event_id: str = "id", more: str = "", **given: Any
    ) -> Definitions:
        file = tmp_path / "visits.py"
        file.write_text(PIPELINE.format(l2=l2, event_id=event_id, more=more))
        settings = Settings(broker="fake", pipeline=str(file), **given)
        pipeline = load_pipeline(str(file))
        prepare_topics(clients, pipeline, settings)
        return settled(clients, pipeline, settings, KEY)

    return start


def commands(broker: FakeBroker) -> list[dict[str, Any]]:
    messages = read_to_end(FakeClients(broker), "visits.commands", [0])
    return [json.loads(each.value() or b"") for each in messages]


def asked(broker: FakeBroker) -> list[dict[str, Any]]:
    found = commands(broker)
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


def test_what_code_keeps_in_its_module_is_no_change(start: Start) -> None:
    """A definition is described as it was before its code has run, wherever it comes from."""
    first = start()
    pipeline = first.find(first.own)
    described = describe(pipeline)
    pipeline.fresh_model("line").learn_one({"x": 1.0}, True)
    later = start(l2=0.5)
    found = [
        first.find(first.own),
        first.find(f"{first.own}?drift.cooldown=7"),
        start().find(first.own),
        later.find(first.own),
    ]
    assert [describe(each)["models"] for each in found] == [described["models"]] * 4
    assert [made_by(each) for each in found] == [made_by(pipeline)] * 4


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


@pytest.mark.parametrize("is_archived", [True, False])
def test_what_is_retired_is_archived_first(
    broker: FakeBroker, start: Start, tmp_path: Path, is_archived: bool
) -> None:
    """Where there is an archive: its last state is at hand. Where nothing is retired, it is not."""
    archive = str(tmp_path) if is_archived else ""
    start(more='"other": LogisticRegression', archive=archive)
    start(more='"other": LogisticRegression', l2=0.5, archive=archive)
    start(archive=archive)
    first = ["snapshot"] if is_archived else []
    assert [each["command"] for each in commands(broker)] == [DEPLOY, DEPLOY, *first, DEPLOY]


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


def set_(broker: FakeBroker, name: str, value: str) -> None:
    command = {"command": "set", "arguments": {"name": name, "value": value}}
    broker.put("visits.commands", json.dumps(command).encode())


class TestWhatIsSet:
    """In the definition that is in force."""

    def test_goes_on_where_workers_start_later(self, broker: FakeBroker, start: Start) -> None:
        """Their file is what is in force: whatever --deploy says, they deploy nothing."""
        first = start()
        set_(broker, "drift.policy", "reset")
        for when in ("new", "never", "always"):
            later = start(deploy=when)
            assert later.in_force == f"{first.own}?drift.policy=reset"
            assert later.first == first.own
        assert asked(broker) == [first.own]
        assert later.find(later.in_force).drift.policy == "reset"
        assert later.find(first.own).drift.policy == "alert"

    def test_does_not_make_an_old_file_new(self, broker: FakeBroker, start: Start) -> None:
        """What was set while it was in force does not count."""
        first = start()
        set_(broker, "drift.policy", "reset")
        second = start(l2=0.5)
        set_(broker, "drift.policy", "replace")
        late = start()
        assert asked(broker) == [first.own, second.own]
        assert late.in_force == f"{second.own}?drift.policy=replace"

    def test_ends_where_a_worker_deploys_a_new_file(self, broker: FakeBroker, start: Start) -> None:
        """The log says so."""
        start()
        set_(broker, "drift.policy", "reset")
        with capture_logs() as logs:
            start(l2=0.5)
        (said,) = [each["changes"] for each in logs if "changes" in each]
        assert any("drift.policy is no longer set to 'reset'" in each for each in said)

    def test_is_known_before_a_record_comes_to_it(self, broker: FakeBroker, start: Start) -> None:
        """A worker follows what is in force, and prepares it."""
        definitions = start()
        clients, own = FakeClients(broker), definitions.find(definitions.own)
        settings = Settings(broker="fake")
        follower = InForceFollower(
            lambda: InForceReader(clients, own, settings, KEY), definitions, lambda _: False
        )
        follower.start()
        set_(broker, "drift.loss", "kswin")
        wanted = f"{definitions.own}?drift.loss=kswin"
        deadline = time.monotonic() + 20
        while definitions.in_force != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        follower.stop()
        assert definitions.in_force == wanted
        assert wanted in definitions._known
