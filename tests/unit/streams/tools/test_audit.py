"""The trail on a broker is read, and compared with the state of those who write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.models.pipelines.loans import pipeline
from millrace.schemas import BrokerError, SnapshotError, shipped
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.audit import Cause, audited, digest_of
from millrace.streams.operators.record import AuditRecord, Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.state.log import StateLog
from millrace.streams.tools.audit import Verification, read_trail, saved_states, verify
from millrace.streams.tools.defined import task_factory
from millrace.streams.topology.chain import CONTROL_AGENT, AgentSpec
from millrace.streams.topology.codec import TopicCodec

KEY = b"secret"
AUDIT = "loans.audit"
LEARNER = AgentSpec(("prediction", "learning"))


class Pipeline:
    """A broker on which control has answered commands."""

    def __init__(self, outputs: str = "avro") -> None:
        settings = Settings(broker="fake", state_key=KEY.decode(), partitions=2)
        self.broker = FakeBroker()
        self.clients = FakeClients(self.broker)
        self._codec = TopicCodec(pipeline, Outputs(outputs))
        prepare_topics(self.clients, pipeline, settings)
        self._tasks = {
            agent: task_factory(pipeline, settings, agent, 2).make()
            for agent in (CONTROL_AGENT, LEARNER)
        }
        self._offset = 0

    def command(self, *names: str) -> None:
        """Let control answer commands."""
        for name in names:
            value = json.dumps({"command": name, "who": "anna"}).encode()
            origin = Origin("commands", 0, self._offset, 0, None, value, (), "loans.commands")
            self._offset += 1
            for each in self._tasks[CONTROL_AGENT].run(Slice([RawRecord.of(origin)])):
                if isinstance(each, AuditRecord):
                    self.put(each)

    def save(self, agent: AgentSpec = CONTROL_AGENT, partition: int = 0) -> None:
        """Save the state of a task."""
        log = StateLog(pipeline, agent, self.clients, "loans.", KEY)
        covers = dict.fromkeys(agent.reads, self._offset)
        for entry in log.flush(partition, self._tasks[agent], covers, self._offset):
            topic, key = f"loans.{entry.topic}", entry.key.encode()
            self.broker.put(topic, entry.value, key, partition, headers=entry.headers)

    def put(self, record: AuditRecord, partition: int = 0) -> None:
        key, value = self._codec.encode(record)
        self.broker.put(AUDIT, value, key, partition)

    def verify(self, key: bytes | None = KEY) -> Verification:
        states = None if key is None else saved_states(self.clients, pipeline, key)
        return verify(read_trail(self.clients, pipeline), states, "loans.")

    @property
    def broken(self) -> list[str]:
        return [f"{each.where} {each.what}" for each in self.verify().breaks]


def forged(writer: str, **changes: Any) -> AuditRecord:
    """Return a record of the number 1 with a digest that fits."""
    record = audited(Cause("eve", "", Origin("commands", 0, 0, 0, None, None)), "command", "x")
    record.value.update({"writer": writer, "number": 1, **changes})  # type: ignore[typeddict-item]
    record.value["digest"] = digest_of(record.value)
    return record


@pytest.mark.parametrize("outputs", ["avro", "json"])
def test_a_sound_trail(outputs: str) -> None:
    """In either format, saved or ahead of what was saved."""
    ours = Pipeline(outputs)
    assert ours.verify() == Verification(0, 0, 2)
    ours.command("pause", "pause", "nonsense")
    assert ours.verify() == Verification(3, 1, 2, unsaved=["control[0]"])
    ours.save()
    assert ours.verify() == ours.verify(None) == Verification(3, 1, 2)
    ours.command("resume")
    assert ours.verify() == Verification(4, 1, 2)


def test_a_tail_that_is_missing() -> None:
    """What control wrote did not stay: only its state shows that."""
    ours = Pipeline()
    ours.command("pause", "resume")
    ours.save()
    first = ours.broker.values(AUDIT)[0]
    ours.broker.delete(AUDIT)
    ours.broker.create(AUDIT, 2)
    ours.broker.put(AUDIT, first)
    assert ours.broken == [f"{AUDIT}[0] number 2 is missing at the end, by the state of the writer"]
    assert ours.verify(None).breaks == []


def test_a_partition_that_was_emptied() -> None:
    """Nothing is left of it, and yet it is missed; so is what retention has deleted."""
    ours = Pipeline()
    ours.command("pause", "resume")
    ours.save()
    ours.broker.expire(AUDIT, 1)
    assert ours.broken == [f"{AUDIT}[0]@1 number 1 is missing before it"]
    ours.broker.expire(AUDIT, 2)
    (said,) = ours.broken
    assert said.startswith(f"{AUDIT}[0] numbers 1 to 2 are missing at the end")


@pytest.mark.parametrize(
    ("writer", "partition", "says"),
    [
        ("control", 0, "is not in the chain: number 1 is at"),
        ("control", 1, "is by control[1], of which there is no state"),
        ("eve", 0, "is by eve[0], of which there is no state"),
        ("ingest", 0, "is by ingest[0], of which there is no state"),
        ("learning", 0, "is by learning[0], of which there is no state"),
    ],
)
def test_a_stranger(writer: str, partition: int, says: str) -> None:
    """Whatever name it gives itself, and on whichever partition it is."""
    ours = Pipeline()
    ours.command("pause")
    ours.save()
    ours.put(forged(writer, partition=partition), 1)
    (said,) = ours.broken
    assert said.startswith(f"{AUDIT}[1]@0 {says}")


def test_a_stranger_before_anything_was_done() -> None:
    """The state of an agent that has written nothing says so."""
    ours = Pipeline()
    ours.command("pause")
    ours.save()
    ours.save(LEARNER)
    ours.put(forged("prediction-learning", topic="loans.features"))
    (said,) = ours.broken
    assert said.endswith("is not in its writer's state, which has seen loans.features[0]@0")


@pytest.mark.parametrize(
    "value", [None, b"", b"{}", b"[", b"\xff", b'{"writer": 1}', b"\xc3\x01" + b"x" * 20]
)
def test_what_is_no_record(value: bytes | None) -> None:
    """It is said, and the rest is checked."""
    ours = Pipeline()
    ours.command("pause")
    ours.save()
    ours.broker.put(AUDIT, value)
    assert ours.broken == [f"{AUDIT}[0]@1 is no audit record"]


def test_an_aborted_transaction_is_not_read() -> None:
    """What it wrote does not count."""
    ours = Pipeline()
    ours.command("pause")
    ours.save()
    ours.broker.init_transactions("t")
    transaction = ours.broker.transaction("t")
    value = shipped("audit").encode(forged("eve").value)
    ours.broker.put(AUDIT, value, transaction=transaction)
    ours.broker.end_transaction("t", "aborted")
    assert ours.broken == []


def test_a_chain_that_goes_on_in_another_partition() -> None:
    """The topic got more partitions than it had: partition 2 was 0 of two, and is 2 now."""
    ours = Pipeline()
    first = forged("control", partition=2)
    second = forged("control", partition=2, number=2, previous=first.value["digest"])
    ours.broker.widen(AUDIT, 3)
    ours.put(first, 2)
    ours.put(second, 0)
    assert ours.verify(None).breaks == []


def test_another_key() -> None:
    """State that is signed with another key says nothing."""
    ours = Pipeline()
    ours.command("pause")
    ours.save()
    with pytest.raises(SnapshotError, match=r"loans\.state\.control\[0\] .*another key"):
        ours.verify(b"another")


def test_there_is_no_such_topic() -> None:
    """Then the pipeline has never run here."""
    with pytest.raises(BrokerError, match=r"no topic 'loans\.audit'"):
        read_trail(FakeClients(FakeBroker({"a": 1})), pipeline)


def test_order_of_time() -> None:
    """Entries of all partitions are in order of what led to them."""
    ours = Pipeline()
    for partition, time_ms in ((1, 30), (0, 10), (1, 20)):
        ours.put(forged("control", time_ms=time_ms), partition)
    times = [
        each.value["time_ms"] for each in read_trail(ours.clients, pipeline).in_order_of_time()
    ]
    assert times == [10, 20, 30]
