"""The broker of `dev.kafka` is a real Kafka, and its process is started and stopped safely."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from dev.java import KafkaUnavailableError
from dev.kafka import KafkaBroker, free_port, main


@pytest.fixture(scope="module")
def own_broker(
    kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaBroker]:
    """Give a broker that these tests may stop and kill; not started."""
    directory = tmp_path_factory.mktemp("own-kafka")
    broker = KafkaBroker(directory, free_port(), {"message.max.bytes": "123456"})
    yield broker
    broker.stop()


def create_topic(bootstrap: str) -> str:
    """Create a topic of one partition under a fresh name."""
    name = f"events-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, num_partitions=1)])[name].result(10)
    return name


def topics(bootstrap: str) -> set[str]:
    """Return the names of the topics that the broker has."""
    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics)


def consume(bootstrap: str, topic: str, until: bytes, isolation: str) -> list[bytes]:
    """Read a topic from its start up to the record with the value `until`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"readers-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    try:
        while until not in values and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                values.append(message.value() or b"")
    finally:
        consumer.close()
    return values


def test_what_is_produced_is_consumed_in_order(kafka: str) -> None:
    """A consumer group reads the records of a partition as they were produced."""
    topic = create_topic(kafka)
    producer = Producer({"bootstrap.servers": kafka})
    for value in (b"first", b"second", b"third"):
        producer.produce(topic, value)
    assert producer.flush(10) == 0
    assert consume(kafka, topic, b"third", "read_committed") == [b"first", b"second", b"third"]


def test_an_aborted_transaction_is_seen_by_read_uncommitted_only(kafka: str) -> None:
    """The broker keeps an aborted record in the log and hides it from read_committed."""
    topic = create_topic(kafka)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"aborted")
    producer.flush(10)  # else abort_transaction drops it before it is sent
    producer.abort_transaction(10)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.commit_transaction(10)
    assert consume(kafka, topic, b"committed", "read_committed") == [b"committed"]
    assert consume(kafka, topic, b"committed", "read_uncommitted") == [b"aborted", b"committed"]


def test_start_and_stop_are_idempotent(own_broker: KafkaBroker) -> None:
    """A second start keeps the running process, and a second stop does nothing."""
    own_broker.start()
    pid = own_broker.pid
    own_broker.start()
    assert pid is not None
    assert own_broker.pid == pid
    own_broker.stop()
    own_broker.stop()
    assert not own_broker.is_running()
    assert not own_broker.pid_path.exists()


def test_a_stale_pid_file_does_not_keep_a_broker_from_starting(own_broker: KafkaBroker) -> None:
    """A killed broker's pid file is no running broker; what the broker had stored is there."""
    own_broker.start()
    topic = create_topic(own_broker.bootstrap)
    stale = own_broker.pid_path.read_text()
    own_broker.kill()
    own_broker.pid_path.write_text(stale)
    assert not own_broker.is_running()
    own_broker.start()
    assert own_broker.pid != int(stale)
    assert topic in topics(own_broker.bootstrap)


def test_a_clean_restart_keeps_topics_and_takes_a_new_process(own_broker: KafkaBroker) -> None:
    """Restart ends one process, starts another on the same port and keeps the data."""
    own_broker.start()
    before = own_broker.pid
    topic = create_topic(own_broker.bootstrap)
    own_broker.restart()
    assert own_broker.pid != before
    assert topic in topics(own_broker.bootstrap)


def test_overrides_reach_the_broker(own_broker: KafkaBroker) -> None:
    """The broker itself reports the property that the test overrode."""
    own_broker.start()
    admin = AdminClient({"bootstrap.servers": own_broker.bootstrap})
    resource = ConfigResource(ResourceType.BROKER, "1")
    config = admin.describe_configs([resource])[resource].result(10)
    assert config["message.max.bytes"].value == "123456"


def test_a_running_broker_is_not_moved_to_another_port(own_broker: KafkaBroker) -> None:
    """Starting the same directory on another port names the port that is in use."""
    own_broker.start()
    elsewhere = KafkaBroker(own_broker.directory, free_port())
    with pytest.raises(KafkaUnavailableError, match=f"it runs at {own_broker.bootstrap}"):
        elsewhere.start()
    assert own_broker.is_running()


def test_a_pid_that_another_program_has_now_is_not_signalled(tmp_path: Path) -> None:
    """A pid file that names this very test process neither counts as a broker nor kills it."""
    broker = KafkaBroker(tmp_path, free_port())
    broker.pid_path.write_text(str(os.getpid()))
    assert not broker.is_running()
    broker.stop()
    assert not broker.pid_path.exists()


def test_a_taken_port_is_named_in_the_error(
    kafka_runs_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script exits with 2 and one line when something else listens on its port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = main(["start", "--port", str(port), "--dir", str(tmp_path)])
    error = capsys.readouterr().err
    assert code == 2
    assert f"requires a free port; got {port} on 127.0.0.1" in error
    assert error.count("\n") == 1


def test_without_java_the_script_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script exits with 2 and one line when there is no Java."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    code = main(["start", "--port", str(free_port()), "--dir", str(tmp_path)])
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("Kafka requires Java 17 or newer")
    assert error.count("\n") == 1
