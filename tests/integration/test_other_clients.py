"""What workers write is read by clients that know nothing of Millrace: in Python and in Node."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest
from confluent_kafka.admin import AdminClient

from dev.clients import node_client, python_client
from dev.registry import SchemaRegistry
from millrace.streams.kafka.registry_client import RegistryClient
from millrace.streams.registry_settings import RegistrySettings
from tests.integration import sensors
from tests.integration.clients import Topics, as_json
from tests.integration.workers import Worker, run_command, settings

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

COUNT = 400
BROKEN = b"\x01 no event"
CLIENTS = {"python": python_client, "node": node_client}
TOPICS = ("predictions", "outcomes", "evaluations", "alerts", "rejects", "audit")
OTHER = {"type": "record", "name": "Prediction", "fields": [{"name": "x", "type": "string"}]}

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

Written = dict[str, list[Any]]


def put(kafka: str, name: str) -> None:
    """Produce events with labels in them, and one record that is none."""
    values = [*map(as_json, sensors.readings(COUNT)), BROKEN]
    Topics(kafka, name).produce("events", [{"value": each} for each in values])


def run_worker(kafka: str, name: str, **more: Any) -> dict[str, int]:
    """Let a worker read that; return how many records each output has."""
    with Worker(settings("resetting", name, kafka, partitions=1, **more)) as worker:
        worker.wait_ready()
        put(kafka, name)
        worker.wait_total(COUNT, "millrace_predictions_total")
        worker.wait_total(1, "millrace_events_rejected_total")
        assert worker.terminate()[0] == 0
    topics = Topics(kafka, name)
    return {topic: len(topics.messages(topic)) for topic in TOPICS}


def read(client: str, kafka: str, registry: str, name: str, counts: dict[str, int]) -> Written:
    """Have somebody else's client read the outputs."""
    asked = [f"{name}.{topic}={count}" for topic, count in counts.items() if count]
    command = [*CLIENTS[client](), kafka, registry, *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: Written = {topic: [] for topic in counts}
    for line in done.stdout.splitlines():
        record = json.loads(line)
        found[record["topic"].removeprefix(f"{name}.")].append(unwrapped(record["value"]))
    return found


def unwrapped(value: Any) -> Any:
    """Return a value as it is where avsc names the branch of a union: {"boolean": true}."""
    if isinstance(value, dict):
        if len(value) == 1 and {*value} <= {"boolean", "long", "double", "string"}:
            return next(iter(value.values()))
        return {name: unwrapped(each) for name, each in value.items()}
    return [*map(unwrapped, value)] if isinstance(value, list) else value


def check(found: Written, counts: dict[str, int]) -> None:
    """Check what a client has read of the outputs."""
    assert {topic: len(each) for topic, each in found.items()} == counts
    assert min(counts.values()) >= 1
    assert len({each["event_id"] for each in found["predictions"]}) == COUNT
    named = [each["probabilities"].keys() for each in found["predictions"]]
    assert {name for names in named for name in names} == {"false", "true"}
    values = {each["event_id"]: each["value"] for each in found["predictions"]}
    assert {*values.values()} <= {None, False, True}
    assert {each["fate"] for each in found["outcomes"]} == {"joined"}
    assert {each["action"] for each in found["alerts"]} <= {"alert", "reset"}
    (reject,) = found["rejects"]
    assert base64.b64decode(reject["value"]) == BROKEN


@pytest.fixture(scope="module")
def written(
    kafka: str, registry: SchemaRegistry, unique_name: Callable[[str], str]
) -> tuple[str, dict[str, int]]:
    """Give the name of a pipeline whose outputs are in Confluent's form, and how many they are."""
    name = unique_name("confluent")
    return name, run_worker(kafka, name, outputs="confluent", schema_registry_url=registry.url)


@pytest.mark.parametrize("client", CLIENTS)
def test_outputs_in_the_wire_format_are_read(
    client: str, kafka: str, registry: SchemaRegistry, written: tuple[str, dict[str, int]]
) -> None:
    """With the schemas that the registry has for them, each value as it was written."""
    name, counts = written
    check(read(client, kafka, registry.url, name, counts), counts)


def test_agents_and_commands_read_it_too(
    kafka: str, registry: SchemaRegistry, written: tuple[str, dict[str, int]]
) -> None:
    """The audit trail is whole, and records are printed; without the registry, that is said."""
    name, counts = written
    own = settings("resetting", name, kafka, outputs="confluent", schema_registry_url=registry.url)
    code, said = run_command(own, "audit", "--verify")
    assert (code, f"{counts['audit']:,} records" in said) == (0, True), said
    code, said = run_command(own, "consume", f"{name}.predictions")
    assert len([json.loads(each)["event_id"] for each in said.splitlines()]) == COUNT
    without = own.model_copy(update={"outputs": "avro", "schema_registry_url": ""})
    code, said = run_command(without, "audit")
    assert (code, "Set SCHEMA_REGISTRY_URL" in said) == (2, True), said


def test_a_worker_goes_on_with_the_same_schemas(
    kafka: str, registry: SchemaRegistry, unique_name: Callable[[str], str]
) -> None:
    """One that comes later registers nothing, and reads what was written before it."""
    name = unique_name("again")
    more = {"outputs": "confluent", "schema_registry_url": registry.url}
    run_worker(kafka, name, **more)
    client = RegistryClient(RegistrySettings(registry.url))
    versions = [client._get(f"/subjects/{name}.{each}-value/versions/latest") for each in TOPICS]
    with Worker(settings("resetting", name, kafka, **more)) as worker:
        worker.wait_ready()
        put(kafka, name)
        worker.wait_total(1, "millrace_events_rejected_total")
        assert worker.events_logged("registered a schema") == []
    assert versions == [
        client._get(f"/subjects/{name}.{each}-value/versions/latest") for each in TOPICS
    ]


def test_a_subject_of_another_schema_is_refused(
    kafka: str, registry: SchemaRegistry, unique_name: Callable[[str], str]
) -> None:
    """The worker stops, says which and why, and has created no topic and registered nothing."""
    name = unique_name("taken")
    subject = f"{name}.predictions-value"
    client = RegistryClient(RegistrySettings(registry.url))
    client.register(subject, json.dumps(OTHER))
    level = Request(
        f"{registry.url}/config/{subject}",
        json.dumps({"compatibility": "BACKWARD"}).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urlopen(level, timeout=10).close()
    own = settings("resetting", name, kafka, outputs="confluent", schema_registry_url=registry.url)
    code, said = run_command(own, "worker", "--log-format", "json")
    assert code == 2
    assert f"refuses the schema of Prediction for subject '{subject}'" in said
    known = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert not [each for each in known if each.startswith(f"{name}.")]
    assert client.find(f"{name}.alerts-value", json.dumps({})) is None


@pytest.mark.parametrize("chain", ["default", "full", "split"])
def test_stock_clients_read_what_is_written_by_default(
    chain: str,
    kafka: str,
    registry: SchemaRegistry,
    unique_name: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Kafkajs reads no LZ4: whichever agent writes an output, it has none of it."""
    name = unique_name(f"plain-{chain}")
    counts = run_worker(kafka, name, outputs="json", chain=chain)
    check(read("node", kafka, "-", name, counts), counts)
    for topic in TOPICS:
        assert codecs_of(tmp_path_factory, f"{name}.{topic}") == {"none"}, topic
    # librdkafka leaves a batch as it is that would not become smaller.
    assert chain == "full" or "lz4" in codecs_of(tmp_path_factory, f"{name}.clean")


def test_outputs_may_be_compressed(
    kafka: str,
    registry: SchemaRegistry,
    unique_name: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As the setting says, in each of them; stock clients read gzip."""
    name = unique_name("gzip")
    counts = run_worker(kafka, name, outputs="json", compression="gzip")
    check(read("node", kafka, "-", name, counts), counts)
    for topic in TOPICS:
        assert codecs_of(tmp_path_factory, f"{name}.{topic}") == {"gzip"}, topic


def codecs_of(folders: pytest.TempPathFactory, topic: str) -> set[str]:
    """Return how the batches of a topic are compressed, from the broker's files.

    A batch begins with its offset (8 bytes), its size behind these two (4), an epoch (4), the
    format's version (1), a checksum (4), and attributes (2), of which the lowest three bits are
    the codec, and the sixth is that of a transaction's marker.
    """
    found = set()
    for log in folders.getbasetemp().glob(f"kafka*/data/{topic}-*/*.log"):
        data, at = log.read_bytes(), 0
        while at + 23 <= len(data) and (size := int.from_bytes(data[at + 8 : at + 12])):
            attributes = int.from_bytes(data[at + 21 : at + 23])
            if not attributes & 0b100000:
                found.add(CODECS[attributes & 0b111])
            at += 12 + size
    return found
