"""State and records that earlier releases wrote are read by this one, which goes on from there."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from river.__version__ import __version__ as river_version
from structlog.testing import capture_logs

from millrace.models.pipeline.sample_events import sample_vectors
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.keyed_state import Change, KeyedState
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.operators.waiting_state import WaitingState
from millrace.streams.settings import Settings
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import own_modules
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved, StateRecord
from millrace.streams.tools.inspect_state import describe
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import CARRIERS, state_topic
from tests.unit.streams.released import KEY, NOW_MS, inputs_of, pipeline_of

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "state").glob("*/*.json.gz"))
BINARY = [each for each in FILES if each.name.startswith("binary")]  # every scope and chain
CONTINUED = [each for each in FILES if not each.name.endswith("split.json.gz")]

_OF_LABELS = {"duplicate_label", "late_correction", "late_label", "orphan_label"}
_SOURCES = {"source", "label_source"}
_NEWER = {
    "reasons",
    "certainty",
}  # fields of predictions and alerts that these releases did not write

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or not river_version.startswith("0.26."),
    reason="pickles of River's objects are read by the Python and the River that wrote them",
)


def named(file: Path) -> str:
    return f"{file.parent.name}/{file.name.removesuffix('.json.gz')}"


def read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return document


def decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


class Released:
    """The agents of a fixture, with the state that it holds."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.case = document["case"]
        self.pipeline = pipeline_of(self.case)
        self.codec = TopicCodec(self.pipeline)
        self.offsets: dict[str, int] = dict(document["offsets"])
        self.made: dict[str, list[list[str | None]]] = {}
        self.tasks: dict[str, tuple[Task, frozenset[str]]] = {}
        self.factories: dict[str, TaskFactory] = {}
        self.covers: dict[str, dict[str, int]] = {}
        settings = Settings(chain=document["chain"], state_key=KEY.decode())  # type: ignore[arg-type]
        for agent in settings.agents_of(self.pipeline):
            log = StateLog(
                self.pipeline, agent, KafkaClients(settings), f"{self.pipeline.name}.", KEY
            )
            log._signed._records = _records_of(document["state"])  # type: ignore[method-assign]
            factory = TaskFactory(
                self.pipeline,
                agent,
                1,
                10**6,
                lambda _: None,
                log.published.changes,
                lambda: NOW_MS,
            )
            self.factories[agent.name] = factory
            task = factory.make()
            for saved in log.read([0]).values():
                saved.restore(task)
                self.covers[agent.name] = saved.covers
            self.tasks[agent.name] = task, agent.reads

    def save_anew(self) -> None:
        """Let other tasks go on with all state as this release saves and reads it."""
        for name, (task, reads) in self.tasks.items():
            again = self.factories[name].make()
            for (_, store), (_, other) in zip(task.stores(), again.stores(), strict=True):
                assert isinstance(store, KeyedState)
                as_it_is = {key for key, each in store.items() if isinstance(each, bytes)}
                as_it_is -= store.unsaved.keys()
                store.begin_save(lambda _: None)
                other.restore(
                    Change(
                        key, at, self._again(each if key in as_it_is else store.saved_form(each))
                    )
                    for at, (key, each) in enumerate(store.items())
                )
            self.tasks[name] = again, reads

    def _again(self, value: object) -> Any:
        return snapshot.load(snapshot.dump(value, KEY), KEY, own_modules(self.pipeline))

    def put(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Write a record and let every agent that reads its topic fold it."""
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        self.made.setdefault(topic, []).append([_encoded(key), _encoded(value)])
        origin = Origin(topic, 0, offset, NOW_MS + offset, key, value)
        for task, reads in self.tasks.values():
            if topic in reads:
                for made in task.run(Slice([self.codec.decode(origin)])):
                    self.put(made.topic, *self.codec.encode(made))

    def reason(self, reject: list[str | None]) -> dict[str, object]:
        """Return a dead letter without the words that explain it."""
        found = {**self.without_source("rejects", reject)}
        if found["reason"] in _OF_LABELS and found["topic"] in CARRIERS:
            letter = [_encoded(found["key"]), _encoded(found["value"])]
            found["value"] = self.without_source(found["topic"], letter)
            found["value_size_bytes"] = None
        return {name: each for name, each in found.items() if name != "detail"}

    def without_source(self, topic: str, record: list[str | None]) -> Mapping[str, Any]:
        """Return a record without the source of a label, which these releases did not write."""
        key, value = map(decoded, record)
        found = self.codec.decode(Origin(topic, 0, 0, NOW_MS, key, value)).value
        return {name: each for name, each in found.items() if name not in _SOURCES}

    def alert(self, alert: list[str | None]) -> dict[str, object]:
        """Return an alert without the last digits of its means.

        Release 0.1 added up 32 values before it added them to the others.
        """
        key, value = map(decoded, alert)
        found = self.codec.decode(Origin("alerts", 0, 0, NOW_MS, key, value)).value
        return {
            name: float(f"{each:.13g}") if isinstance(each, float) else each
            for name, each in found.items()
            if name not in _NEWER
        }

    def prediction(self, prediction: list[str | None]) -> Mapping[str, object]:
        """Return a prediction, whichever release wrote it.

        The first did not name definitions, and classes were named as Python does it.
        """
        key, value = map(decoded, prediction)
        found = self.codec.decode(Origin("predictions", 0, 0, NOW_MS, key, value)).value
        found = {name: each for name, each in found.items() if name not in _NEWER}
        names = {"False": "false", "True": "true"}
        named = {names.get(name, name): p for name, p in found["probabilities"].items()}
        return {**found, "probabilities": named}


def _encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _records_of(state: list[dict[str, Any]]) -> Any:
    def records(
        topic: str, partitions: Iterable[int], *_: object
    ) -> Iterator[tuple[int, StateRecord]]:
        for each in state:
            if each["topic"] == topic and [*partitions] == [0]:
                headers = [(name, value.encode()) for name, value in each["headers"]]
                yield 0, StateRecord(topic, each["key"], decoded(each["value"]), headers)

    return records


def test_every_task_and_scope_is_there() -> None:
    """The fixtures cover each task with each scope, and every kind of topic."""
    names = {file.name.partition(".")[0] for file in FILES}
    tasks = ("binary", "multiclass", "regression", "anomaly")
    assert names >= {
        f"{task}-{scope}" for task in tasks for scope in ("global", "partition", "key")
    }
    topics = {topic for file in FILES for topic in read(file)["samples"]}
    assert topics >= {"clean", "features", "predictions", "examples", "models", "alerts", "rejects"}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_records_of_every_topic_are_read(file: Path) -> None:
    """A record of an earlier release is decoded, whatever topic it is on."""
    document = read(file)
    codec = TopicCodec(pipeline_of(document["case"]))
    for topic, records in document["samples"].items():
        for offset, (key, value) in enumerate(records):
            origin = Origin(topic, 0, offset, NOW_MS, decoded(key), decoded(value))
            assert codec.decode(origin).topic == topic


@pytest.mark.parametrize("file", FILES, ids=named)
def test_state_is_restored_in_full(file: Path) -> None:
    """Every entry that a flush of an earlier release wrote is in a store again."""
    document = read(file)
    released = Released(document)
    entries = [each for each in document["state"] if each["key"] != "manifest"]
    stores = [store for task, _ in released.tasks.values() for _, store in task.stores()]
    is_by_event = file.parent.name == "0.1"  # how waiting events were saved
    stored = sum(
        len([*each.events]) if is_by_event and isinstance(each, WaitingState) else len(each)
        for each in stores
    )
    with_state = [each["topic"] for each in document["state"] if each["key"] == "manifest"]
    assert [f"state.{name}" for name in released.covers] == with_state
    if document["chain"] != "split":  # where prediction reads its models from their topic
        assert stored == len(entries)


@pytest.mark.parametrize("is_saved_anew", [False, True], ids=["as written", "saved anew"])
@pytest.mark.parametrize("file", CONTINUED, ids=named)
def test_folding_goes_on_as_if_nothing_had_happened(file: Path, is_saved_anew: bool) -> None:
    """What follows from restored state is what followed in the release that wrote it."""
    document = read(file)
    released = Released(document)
    if is_saved_anew:
        released.save_anew()
    for topic, value in inputs_of(released.case)[document["inputs_from"] :]:
        released.put(topic, None, value)
    for topic, expected in document["after"].items():
        made = released.made.get(topic, [])
        if topic == "rejects":  # whose detail is worded better from release to release
            assert [*map(released.reason, made)] == [*map(released.reason, expected)]
        elif topic == "predictions":
            assert [*map(released.prediction, made)] == [*map(released.prediction, expected)]
        elif topic == "alerts":
            assert [*map(released.alert, made)] == [*map(released.alert, expected)]
        elif topic in CARRIERS | {"outcomes"}:
            without_source = partial(released.without_source, topic)
            assert [*map(without_source, made)] == [*map(without_source, expected)]
        else:
            assert made == expected
    learned = {
        f"{each.scope_key}/{each.model}": {
            "version": each.version,
            "digest": each.digest,
            "metrics": {name: repr(value) for name, value in each.metrics.items()},
        }
        for name, (task, _) in released.tasks.items()
        if "learning" in name
        for each in describe(0, task, sample_vectors(released.pipeline))
    }
    assert learned == document["learned"]


@pytest.mark.parametrize("file", BINARY, ids=lambda file: file.name.removesuffix(".json.gz"))
def test_the_next_save_writes_it_anew(file: Path) -> None:
    """All of it, signed with its place and listed; what was there before does not count then."""
    document = read(file)
    pipeline = pipeline_of(document["case"])
    for agent in parse_chain(document["chain"]):
        topics = {each["topic"] for each in document["state"]} | {state_topic(agent), "models"}
        broker = FakeBroker({f"{pipeline.name}.{topic}": 1 for topic in topics})

        def put_all(records: Iterable[StateRecord], broker: FakeBroker = broker) -> None:
            for each in records:
                topic = f"{pipeline.name}.{each.topic}"
                broker.put(topic, each.value, each.key.encode(), headers=each.headers)

        earlier = [
            each
            for topic in sorted(topics)
            for _, each in _records_of(document["state"])(topic, [0])
        ]
        put_all(earlier)
        log = StateLog(pipeline, agent, FakeClients(broker), f"{pipeline.name}.", KEY)
        saved = log.read([0]).get(0)
        if saved is None:
            continue
        factory = TaskFactory(pipeline, agent, 1, 10**6)
        task = restored(factory, saved)
        put_all(log.flush(0, task, saved.covers, 1))
        log.mark_saved(0, task)
        with capture_logs() as logs:
            assert held(restored(factory, log.read([0])[0])) == held(task)
        assert logs == []
        put_all(earlier)
        with capture_logs() as logs:
            assert held(restored(factory, log.read([0])[0])) == held(task)
        assert {each["event"] for each in logs} == {
            "skipped a record that is no state of this pipeline"
        }


def restored(factory: TaskFactory, saved: Saved) -> Task:
    task = factory.make()
    saved.restore(task)
    return task


def held(task: Task) -> dict[str, list[object]]:
    """Return the keys of what is in the stores of a task, in their order."""
    return {
        name: [*(store.events if isinstance(store, WaitingState) else store)]  # type: ignore[call-overload]
        for name, store in task.stores()
    }
