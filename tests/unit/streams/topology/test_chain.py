"""Which operators share an agent is a setting, and changes nothing of what comes out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from millrace.models.features import derived, fields, rolling
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.pipeline.definition import Pending, Pipeline
from millrace.schemas import AvroType, SettingsError, shipped
from millrace.streams.formats.json import to_json
from millrace.streams.operators.record import Origin, Record
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.operators.routing import partition_of
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.topology.chain import NAMED, AgentSpec, parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from millrace.streams.topology.task import Task

NOW_MS = 1_700_000_000_000
PARTITIONS = 3
KEY = b"a key for tests"
Make = Callable[..., Any]
Published = dict[str, list[Any]]

CHAINS = [
    "".join(itertools.chain(*zip(OPERATORS, (*joints, ""), strict=True)))
    for joints in itertools.product(",+", ",+", "+", ",+")
]


@pytest.mark.parametrize("name", NAMED)
def test_names_stand_for_chains(name: str) -> None:
    """A name is short for what could be written out."""
    assert parse_chain(name) == parse_chain(NAMED[name])


def test_every_way_to_join() -> None:
    """Any of the four joints may be a topic or a call; spaces do not matter."""
    for joints in itertools.product([",", "+", " , ", " + "], repeat=4):
        agents = parse_chain("".join(itertools.chain(*zip(OPERATORS, (*joints, ""), strict=True))))
        assert tuple(each for agent in agents for each in agent.operators) == OPERATORS
        assert len(agents) == 1 + sum("," in joint for joint in joints)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "ingest",
        "ingest,feature,prediction,learning",
        "feature,ingest,prediction,learning,drift",
        "ingest,ingest,feature,prediction,learning,drift",
        "ingest,feature,prediction,learning,drift,",
        "ingest;feature;prediction;learning;drift",
        "Default",
    ],
)
def test_other_chains_are_refused(text: str) -> None:
    """An operator that is unknown, missing, there twice or out of order is an error."""
    with pytest.raises(SettingsError, match=r"chain must be one of default, full, split.*got '"):
        parse_chain(text)


def test_names_of_agents() -> None:
    """An agent is called by its operators."""
    agent = AgentSpec(("prediction", "learning"))
    assert (agent.name, "learning" in agent, "drift" in agent) == (
        "prediction-learning", True, False
    )  # fmt: skip


class Log:
    """Topics as lists: what Kafka does for agents, without it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._codec = TopicCodec(pipeline)
        self._pipeline = pipeline
        self._topics: dict[str, list[Origin]] = defaultdict(list)
        self._next: dict[tuple[str, int], int] = defaultdict(int)

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        offset = self._next[topic, partition]
        self._next[topic, partition] += 1
        self._topics[topic].append(Origin(topic, partition, offset, NOW_MS, key, value))

    def run(self, chain: str, batches: Sequence[int]) -> dict[str, Task]:
        """Let each agent read its topics to the end, in batches of the given sizes."""
        tasks = {}
        for agent in parse_chain(chain):
            factory = TaskFactory(
                pipeline=self._pipeline,
                agent=agent,
                clean_partitions=PARTITIONS,
                max_event_bytes=10_000,
                written_schema=lambda _: None,
                load_models=lambda _: None,  # type: ignore[arg-type,return-value]
                clock_ms=lambda: NOW_MS,
            )
            of = {partition: factory.make() for partition in range(PARTITIONS)}
            # Events and labels come as one sequence here: their order is the broker's affair.
            topics = ["inputs"] if "ingest" in agent else sorted(agent.reads)
            for origin_batch in self._batches(
                [o for t in topics for o in self._topics[t]], batches
            ):
                for partition, task in of.items():
                    mine = [each for each in origin_batch if each.partition == partition]
                    self._write(partition, task.run(Slice([self._decode(each) for each in mine])))
            tasks |= {f"{agent.name}/{partition}": task for partition, task in of.items()}
        return tasks

    def published(self) -> Published:
        """Return what users see: outputs in order, and rejects by what they say."""
        found: Published = {}
        for partition in range(PARTITIONS):
            here = [
                self._codec.decode(each)
                for topic in ("predictions", "outcomes", "alerts", "rejects")
                for each in self._topics[topic]
                if each.partition == partition
            ]
            for record in here:
                value = to_json(record.value)
                if record.topic == "rejects":
                    value = to_json([record.value["reason"], record.value["detail"]])
                source = record.value["source"].partition(":")[0] if record.type == "Alert" else ""
                found.setdefault(f"{record.topic}/{source}/{partition}", []).append(value)
        return {
            name: sorted(values) if name.startswith("rejects") else values
            for name, values in found.items()
        }

    def _batches(self, origins: list[Origin], sizes: Sequence[int]) -> list[list[Origin]]:
        made, start = [], 0
        for size in itertools.cycle(sizes):
            if start >= len(origins):
                return made
            made.append(origins[start : start + size])
            start += size
        return made

    def _decode(self, origin: Origin) -> Record:
        topic = "events" if origin.topic == "inputs" else origin.topic
        if (origin.key or b"").startswith(b"label "):
            topic = "labels"
        return self._codec.decode(origin._replace(topic=topic))

    def _write(self, partition: int, records: list[Record]) -> None:
        for record in records:
            key, value = self._codec.encode(record)
            to = partition if record.partition is None else record.partition
            self.append(record.topic, to, key, value)


def models_of(tasks: dict[str, Task], pipeline: Pipeline) -> dict[str, Any]:
    """Return what the models of each partition and key say in the end, and how far they are."""
    x = {"a": 1.0, "b": 2.0, "sum": 3.0, "a_mean_1m": 0.5}
    found = {}
    for name, task in tasks.items():
        for store, kept in task.stores():
            if store == "learning/models":
                for key, models in kept.items():
                    said = snapshot.load(snapshot.dump(models, KEY), KEY).predict(x)
                    if models.version:
                        found[f"{name.rpartition('/')[2]}/{key}"] = (models.version, said)
    return found


def sensitive() -> Any:
    return drift.PageHinkley(min_instances=5, threshold=1.0)


def total(values: Any) -> float:
    return float(values["a"] + values["b"])


@pytest.fixture(scope="module")
def keyed(make_pipeline: Make, avro: Make) -> Callable[..., Pipeline]:
    """Make a pipeline in which everything that could differ is at work."""

    def make(scope: str) -> Pipeline:
        schema = avro(
            id="string",
            user="string",
            a="double",
            b="float",
            t="long",
            y=(["null", "boolean"], None),
        )
        pipeline: Pipeline = make_pipeline(
            schema=schema,
            key="user",
            scope=scope,
            event_time="t",
            features=(
                fields("a", "b"),
                derived("sum", total),
                rolling("a", "mean", window=timedelta(minutes=1)),
            ),
            pending=Pending(limit=15, ttl=timedelta(minutes=2)),
            drift=DriftSettings(policy="reset", cooldown=10, loss=sensitive, inputs=sensitive),
            max_models=3,
        )
        return pipeline

    return make


USERS = ["anna", "bert", "cleo", "dora", "emil"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["event", "labelled", "label", "json label", "early", "bad", "again"]),
        st.sampled_from(USERS),
        st.integers(min_value=0, max_value=25),
        st.booleans(),
    ),
    min_size=30,
    max_size=120,
)


def produced(log: Log, pipeline: Pipeline, script: list[Any]) -> None:
    """Produce what a script says, each record to the partition of its key, or all to one."""
    avro = AvroType(pipeline.schema)  # type: ignore[arg-type]
    count, made = 0, {}
    for what, user, back, truth in script:
        partition = 0 if pipeline.scope == "global" else partition_of(user, PARTITIONS)
        owner, of = made.get(count - back, (user, f"e{count + back}"))
        if what in ("event", "labelled", "again"):
            event_id = of if what == "again" and owner == user else f"e{count}"
            record = {
                "id": event_id,
                "user": user,
                "a": (back - 12) / 7 if truth else back / 3,
                "b": 0.1,
                "t": NOW_MS - 10_000_000 + count * 5_000 - back * 100,
                "y": truth if what == "labelled" else None,
            }
            value = to_json(record).encode() if count % 2 else avro.encode(record)
            made[count] = (user, event_id)
            count += 1
            log.append("inputs", partition, b"event", value)
        elif what == "bad":
            log.append("inputs", partition, b"event", b"broken")
        else:
            whose = user if what == "early" else owner
            event_id = f"e{count}" if what == "early" else of
            to = 0 if pipeline.scope == "global" else partition_of(whose, PARTITIONS)
            label = {"event_id": event_id, "label": truth, "label_time_ms": NOW_MS, "key": whose}
            in_json = what == "json label"
            value = to_json(label).encode() if in_json else shipped("label").encode(label)
            log.append("inputs", to, b"label " if in_json else b"event", value)


@pytest.mark.parametrize("scope", ["global", "key", "partition"])
@settings(max_examples=8, deadline=None)
@given(
    script=steps, batches=st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=4)
)
def test_chains_agree(
    scope: str, script: list[Any], batches: list[int], keyed: Callable[..., Pipeline]
) -> None:
    """Whichever operators share an agent, and however records come in batches, the published
    records and what the models say in the end are the same.
    """
    pipeline = keyed(scope)
    results = []
    for chain, sizes in [(CHAINS[0], [1]), *((chain, batches) for chain in CHAINS)]:
        log = Log(pipeline)
        produced(log, pipeline, script)
        tasks = log.run(chain, sizes)
        results.append((log.published(), models_of(tasks, pipeline)))
    for found in results[1:]:
        assert found == results[0]


@pytest.mark.parametrize("scope", ["global", "key", "partition"])
def test_the_scripts_are_worth_it(scope: str, keyed: Callable[..., Pipeline]) -> None:
    """A long script leads to predictions, rejects, alerts and models that have learned."""
    kinds = ["event", "labelled", "label", "json label", "early", "bad", "again"]
    script = [(kinds[i % 7], USERS[i % 5], i % 9, i % 2 == (i < 600)) for i in range(1_200)]
    pipeline = keyed(scope)
    results = []
    for chain in (CHAINS[0], NAMED["full"]):
        log = Log(pipeline)
        produced(log, pipeline, script)
        results.append((models_of(log.run(chain, [17]), pipeline), log.published()))
    assert results[0] == results[1]
    models, published = results[0]
    assert {name.partition("/")[0] for name in published} == {
        *("predictions", "outcomes", "rejects", "alerts")
    }
    assert sum(version for version, _ in models.values()) > 200
    assert {name.partition("/")[0] for name in models} >= (
        {"0"} if scope == "global" else {"0", "1"}
    )
