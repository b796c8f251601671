"""A snapshot is the state at the place of its command, whatever comes behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.schemas import ArchiveError
from millrace.schemas.records import AcceptedCommand
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.record import AcceptedRecord, Origin, Record
from millrace.streams.operators.slice import Slice
from millrace.streams.retention import parse_retention
from millrace.streams.runtime.archiving import Archiver
from millrace.streams.runtime.session import Session
from millrace.streams.state.archive.reading import ArchiveReader
from millrace.streams.state.archive.store import ArchiveStore, Place
from millrace.streams.state.archive.writing import ArchiveWriter
from millrace.streams.state.log import StateLog
from millrace.streams.tools.inspect_state import CandidateState, describe
from millrace.streams.tools.versions import to_restore
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.task import Task
from tests.unit.streams.runtime.worker import (
    KEY,
    NOW_MS,
    FakeWorker,
    crash,
    put_events,
    stored,
    work,
)

VERSION = "2026-11-26T1658Z-snapshot-1"


class Learner:
    """The agent that predicts and learns, with an archive that is written when it is told to."""

    def __init__(
        self,
        broker: FakeBroker,
        pipeline: Pipeline,
        folder: Path,
        chain: str,
        partitions: int = 1,
    ) -> None:
        operator = "prediction" if chain == "default" else "ingest"
        self.worker = FakeWorker(
            broker, pipeline, operator, chain=chain, archive=str(folder), partitions=partitions
        )
        self.store = ArchiveStore(str(folder), "p.")
        agent = self.worker.agent
        state = StateLog(pipeline, agent, self.worker.clients, "p.", KEY)
        keep = parse_retention("24h")
        writer = ArchiveWriter(self.store, agent, state, "p.", KEY, keep, lambda: NOW_MS)
        self.archiver = Archiver(writer, agent.name, self.worker.metrics)
        self.reader = ArchiveReader(self.store, pipeline, "p.", KEY, self.worker.clients)
        self._pipeline, self._broker = pipeline, broker
        self._is_archiving = True

    def connect(self) -> Session:
        archiver = self.archiver if self._is_archiving else None
        return replace(self.worker._assembly, archiver=archiver).connect()

    def without_archive(self) -> Session:
        self._is_archiving = False
        return self.connect()

    def put(self, records: Iterable[Record], topic: str = "p.features", partition: int = 0) -> None:
        codec = TopicCodec(self._pipeline)
        for each in records:
            key, value = codec.encode(each)
            self._broker.put(topic, value, key, partition)

    def covers(self, partition: int = 0) -> dict[str, int]:
        place = Place(self.worker.agent.name, partition)
        return self.reader.checked(VERSION, place).header.covers

    def archived(self) -> list[CandidateState]:
        """Describe the models of the version."""
        checked = self.reader.checked(VERSION, Place(self.worker.agent.name, 0))
        task = self.make_task()
        self.reader.saved(checked.archived).restore(task)
        return describe(0, task, sample_vectors(self._pipeline))

    def expected(self, records: Sequence[Record]) -> list[CandidateState]:
        """Describe the models that have learned these records."""
        task = self.make_task()
        task.run(Slice(records))
        return describe(0, task, sample_vectors(self._pipeline))

    def make_task(self) -> Task:
        definitions = self.connect()._definitions
        return definitions("").factory.make()


@pytest.fixture
def make_learner(
    broker: FakeBroker, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> Callable[..., Learner]:
    def make(chain: str = "default") -> Learner:
        return Learner(broker, make_pipeline(), tmp_path, chain)

    return make


def command(name: str, number: int, arguments: dict[str, str]) -> Record:
    value = AcceptedCommand(
        number=number, id=f"c{number}", command=name, arguments=arguments, who="anna", why=""
    )
    return AcceptedRecord(value, Origin("control", 0, 0, 0, None, None), "features")


def snapshot(number: int = 1, version: str = VERSION) -> Record:
    return command("snapshot", number, {"version": version})


@pytest.fixture
def vectors(make_vector: Callable[..., Record]) -> list[Record]:
    return [
        make_vector(str(at), NOW_MS + at, a=at % 5, b=1.0, label=at % 2 == 0) for at in range(60)
    ]


def test_it_is_the_state_at_its_place(
    make_learner: Callable[..., Learner], vectors: list[Record]
) -> None:
    """Also where more records come in the same batch, and are folded before it is written."""
    learner = make_learner()
    session = learner.connect()
    session.poll(1)
    session._pace.slice_records = 200  # all in one slice
    learner.put([*vectors[:30], snapshot(), *vectors[30:]])
    assert work(session) == 61
    assert session.assignments[0].next_offset == {"features": 61}

    learner.archiver.work()
    assert learner.covers() == {"features": 31}
    assert learner.archived() == learner.expected(vectors[:30])
    assert learner.archived() != learner.expected(vectors)


def test_state_is_not_saved_again_before_it_is_read(
    make_learner: Callable[..., Learner], broker: FakeBroker, vectors: list[Record]
) -> None:
    """Predictions go on; then the next save takes all of it."""
    learner = make_learner()
    session = learner.connect()
    session.poll(1)
    learner.put([*vectors[:30], snapshot(), *vectors[30:50]])
    work(session)
    learner.worker.pass_time()
    learner.put(vectors[50:])
    work(session)
    assert len(broker.records("p.predictions")) == 60

    learner.archiver.work()
    assert learner.covers() == {"features": 31}
    learner.worker.pass_time()
    session.poll(1)
    learner.archiver.ask("later", 0, {"features": 61})
    learner.archiver.work()
    assert "later" in learner.store.versions()


def test_two_in_one_batch_are_two_versions(
    make_learner: Callable[..., Learner], vectors: list[Record]
) -> None:
    """Neither is lost; the first, which is not read yet, is as the second."""
    learner = make_learner()
    session = learner.connect()
    session.poll(1)
    learner.put([*vectors[:10], snapshot(), snapshot(2, "second"), *vectors[10:]])
    work(session)
    learner.archiver.work()
    assert learner.store.versions().keys() >= {VERSION, "second"}


def test_a_worker_that_vanishes_before_it_was_saved_leaves_it_to_the_next(
    make_learner: Callable[..., Learner], vectors: list[Record]
) -> None:
    """The command is met again; what was archived before is not written over."""
    learner = make_learner()
    session = learner.connect()
    session.poll(1)
    learner.put([*vectors[:30], snapshot(), *vectors[30:]])

    async def fails(_call: Callable[[], None]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(session.fold(session.poll(1_000), fails))
    crash(learner.worker)
    work(learner.connect())
    learner.archiver.work()
    assert learner.covers() == {"features": 31}


def test_where_an_agent_reads_several_topics_it_is_at_its_place_among_them(
    make_learner: Callable[..., Learner], broker: FakeBroker
) -> None:
    """Nothing behind the command is folded before, though it came in the same batch."""
    learner = make_learner("full")
    session = learner.connect()
    session.poll(1)
    put_events(broker, range(10))
    learner.put([snapshot()], "p.control")
    put_events(broker, range(broker.now_ms + 1, broker.now_ms + 6))
    while work(session):
        pass
    learner.archiver.work()
    assert learner.covers() == {"control": 1, "events": 10, "labels": 0}
    assert session.assignments[0].next_offset["events"] == 15


def test_without_an_archive_it_is_logged(
    make_learner: Callable[..., Learner], vectors: list[Record]
) -> None:
    """And all else goes on."""
    learner = make_learner()
    session = learner.without_archive()
    session.poll(1)
    learner.put([*vectors[:30], snapshot(), *vectors[30:]])
    with capture_logs() as logs:
        assert work(session) == 61
    (warned,) = [each for each in logs if each["log_level"] == "warning"]
    assert "no archive: set MILLRACE_ARCHIVE" in warned["event"]
    assert warned["version"] == VERSION
    assert stored(session)


def test_a_version_that_is_missing_halts_the_task_until_it_is_there(
    make_learner: Callable[..., Learner], vectors: list[Record]
) -> None:
    """Nothing behind the command is folded before; then it goes on as if it had been there."""
    learner = make_learner()
    session = learner.connect()
    session.poll(1)
    learner.put([*vectors[:30], snapshot()])
    work(session)
    learner.archiver.work()
    place = Place(learner.worker.agent.name, 0)
    file = learner.store.read(VERSION, place)
    restore = to_restore(learner.reader, VERSION, place.agent).to_arguments()
    learner.store.remove(VERSION)
    learner.put([*vectors[30:50], command("restore", 2, restore), *vectors[50:]])

    for _ in range(2):
        with pytest.raises(ArchiveError, match=rf"could not read .*{VERSION}.*it is not there"):
            work(session)
        session.is_broken = True
        session.close()
        session = learner.connect()
        session.poll(1)
    learner.store.write(VERSION, place, file)
    work(session)
    learning = next(
        each for each in session.assignments[0].task.operators if isinstance(each, LearningOperator)
    )
    assert learning.models.of("").version == 40


def test_each_partition_has_its_own_place(
    broker: FakeBroker,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    vectors: list[Record],
) -> None:
    """That of another, which comes later, does not move it."""
    learner = Learner(broker, make_pipeline(), tmp_path, "default", partitions=2)
    session = learner.connect()
    session.poll(1)
    for partition in (0, 1):
        learner.put([*vectors[:10], snapshot(), *vectors[10:20]], partition=partition)
    while sum(each.next_offset["features"] for each in session.assignments.values()) < 42:
        work(session)
    learner.archiver.work()
    assert [learner.covers(partition) for partition in (0, 1)] == [{"features": 11}] * 2
