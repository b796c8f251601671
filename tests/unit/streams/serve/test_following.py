"""Following begins with all that is there, and goes on whatever happens."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.schemas import BrokerError, SnapshotError
from millrace.streams.serve import following
from millrace.streams.state.definitions import DefinitionStore
from tests.unit.streams.serve.conftest import audit, prediction, until


async def nothing(_client, _service):
    """Do nothing."""


def test_a_pipeline_that_is_not_there_is_refused(world):
    """The message says what to check."""
    del world.broker.topics["p.predictions"]
    with pytest.raises(BrokerError, match=r"no topic p\.predictions .*Start a worker"):
        world.serve(nothing)


def test_a_pipeline_without_a_definition_is_refused(world):
    """None was deployed yet."""
    world.broker.create("p.audit", 1)
    with pytest.raises(BrokerError, match="no definition of the pipeline 'p' is in force yet"):
        world.serve(nothing)


def test_a_definition_that_is_signed_with_another_key_is_refused(world, make_pipeline):
    """At start."""
    world.deploy(make_pipeline(), key=b"another")
    with pytest.raises(SnapshotError, match="signed"):
        world.serve(nothing)


def test_a_later_definition_that_is_signed_with_another_key_changes_nothing(world, make_pipeline):
    """It is reported, and what workers write is followed all the same."""

    async def test(_client, service):
        before = service.definition
        world.deploy(make_pipeline(), key=b"another")
        await until(lambda: service.problem)
        assert service.definition is before
        world.predict("e1")
        await until(lambda: service.knowledge.prediction("e1"))
        assert service.problem
        world.deploy(make_pipeline())
        await until(lambda: not service.problem)
        assert service.definition is not before

    world.serve(test)


def test_a_definition_is_read_again_where_the_broker_was_away(world, make_pipeline, monkeypatch):
    """The one before is served meanwhile, not for ever."""
    monkeypatch.setattr(following, "_RETRY_SECONDS", 0.01)
    get, fails = DefinitionStore.get, []

    def away(store, digest):
        if fails and fails.pop():
            raise BrokerError("timed out")
        return get(store, digest)

    monkeypatch.setattr(DefinitionStore, "get", away)

    async def test(_client, service):
        fails.extend([True] * 3)
        digest = world.deploy(make_pipeline())
        await until(lambda: service.definition.reference == digest and not service.problem)
        world.predict("e1")
        await until(lambda: service.knowledge.prediction("e1"))

    world.serve(test)
    assert not fails


def test_what_somebody_else_wrote_is_passed_over(world):
    """Bytes that are no record."""
    world.broker.put("p.predictions", b"odd")
    world.predict("e1")

    async def test(_client, service):
        assert service.knowledge.prediction("e1") is not None

    world.serve(test)


def test_a_record_that_cannot_be_used_does_not_hold_up_others(world, monkeypatch):
    """Whoever wrote it: the log says where it is."""
    world.write("audit", audit(after="x", evidence={"command": "deploy", "definition": "x"}))
    world.write("audit", audit(after="2", evidence={"command": "deploy"}))

    alert = dict.fromkeys(("source", "detector", "event_id", "action", "model", "detail"), "")
    alert |= {"event_time_ms": 1, "position": 1, "mean_before": 0.0, "mean_after": 1.0}
    alert |= {"model_version": 1, "action": "alert"}

    async def test(_client, service):
        add = service.knowledge.add

        def refuse(seen):
            if seen.topic == "alerts":
                raise ValueError("odd")
            add(seen)

        monkeypatch.setattr(service.knowledge, "add", refuse)
        with capture_logs() as lines:
            world.write("alerts", alert)
            await until(lambda: lines)
            world.predict("e1")
            await until(lambda: service.knowledge.prediction("e1"))
        assert [each["at"] for each in lines] == ["alerts[0]@0"]
        assert not service.problem

    world.serve(test)


def test_it_goes_on_where_it_was(world, monkeypatch):
    """A broker that refuses for a moment costs nothing, and nothing is read twice."""
    monkeypatch.setattr(following, "_RETRY_SECONDS", 0.01)

    async def test(_client, service):
        seen = []
        monkeypatch.setattr(service.hub, "publish", seen.append)
        world.reject("malformed", "first")
        await until(lambda: seen)
        for each in world.clients.consumers:
            each.report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        await until(lambda: service.problem)
        world.reject("malformed", "second", offset=1)
        await until(lambda: len(seen) == 2)
        assert [each.record["detail"] for each in seen] == ["first", "second"]
        assert not service.problem

    world.serve(test)


def test_partitions_that_are_added_are_read(world, monkeypatch):
    """From their beginning."""
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.01)

    async def test(_client, service):
        world.broker.widen("p.predictions", 3)
        world.write("predictions", prediction("e1"), partition=2)
        await until(lambda: service.knowledge.prediction("e1"))

    world.serve(test)
