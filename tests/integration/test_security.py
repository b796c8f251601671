"""On a Kafka with TLS, passwords and an authorizer: failures name themselves, and the rights that
`docs/security.md` lists are enough and are all needed.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from millrace import load_pipeline
from millrace.schemas import BrokerError, SettingsError
from millrace.streams.cli import run
from millrace.streams.kafka.admin import partition_counts, prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.observability import names
from millrace.streams.observability.metrics import Metrics
from millrace.streams.observability.scraping import Samples
from millrace.streams.runtime.assembly import Assembly
from millrace.streams.runtime.deployment import settled
from millrace.streams.runtime.engine import Engine
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topics_of
from tests.integration import sensors
from tests.integration.secured import PASSWORD, USER, Right, SecuredKafka
from tests.integration.workers import PIPELINES

SASL = {
    "security.protocol": "sasl_plaintext",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": USER,
    "sasl.password": PASSWORD,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for two seconds only: what is wrong is wrong at once."""
    monkeypatch.setattr("millrace.streams.kafka.admin.CONNECT_TIMEOUT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def secured(
    kafka_runs_here: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredKafka]:
    """Give a broker that asks who one is."""
    kafka = SecuredKafka(tmp_path_factory.mktemp("secured") / "kafka")
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


def error_of(broker: str, **properties: str) -> str:
    """Return what a command says that asks a broker for its topics."""
    clients = KafkaClients(Settings(broker=broker, kafka=properties))
    with pytest.raises((BrokerError, SettingsError)) as caught:
        partition_counts(clients)
    message = str(caught.value)
    assert PASSWORD not in message
    assert "\n" not in message
    return message


def _own(secured: SecuredKafka) -> dict[str, str]:
    """Return the properties of a client that has a certificate."""
    own = str(secured.certificates.client)
    return {"ssl.certificate.location": own, "ssl.key.location": own}


def test_each_way_in_works(secured: SecuredKafka) -> None:
    """With the right password and CA; then nothing is wrong."""
    ca = {"ssl.ca.location": str(secured.certificates.ca)}
    for broker, properties in (
        (secured.sasl, SASL),
        (secured.ssl, {"security.protocol": "ssl", **ca}),
        (secured.sasl_ssl, {**SASL, "security.protocol": "sasl_ssl", **ca}),
        (secured.mutual, {"security.protocol": "ssl", **ca, **_own(secured)}),
    ):
        partition_counts(KafkaClients(Settings(broker=broker, kafka=properties)))


OAUTH = {"security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER"}


def test_tokens_of_a_function(secured: SecuredKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of client gets one from the function; where that raises, its error is logged."""
    settings = Settings(
        broker=secured.oauth, kafka=OAUTH, oauth_token="tests.integration.secured:token"
    )
    clients = KafkaClients(settings)
    topic = "tokens"
    secured.allow([Right("topic", topic, each) for each in ("Create", "Write", "Read")])
    admin = clients.admin()
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    producer = clients.producer({})
    producer.produce(topic, b"value")
    assert producer.flush(30) == 0
    consumer = clients.reader(topic)
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30) == (0, 1)
    consumer.close()
    failing = settings.model_copy(update={"oauth_token": "tests.integration.secured:no_token"})
    with pytest.raises(BrokerError, match="MILLRACE_OAUTH_TOKEN"):
        partition_counts(KafkaClients(failing))
    assert "the token server is away" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spec", ["nowhere:token", "tests.integration.secured:nothing", "json", "sys:path"]
)
def test_a_function_that_is_none_is_refused(spec: str) -> None:
    """The error names the setting."""
    with pytest.raises(SettingsError, match="oauth_token must"):
        KafkaClients(Settings(broker="127.0.0.1:1", oauth_token=spec))


@pytest.mark.parametrize(
    ("listener", "properties", "reason", "fix"),
    [
        ("sasl", {**SASL, "sasl.password": "wrong"}, "Invalid username or password", "Check sasl."),
        ("sasl", {**SASL, "sasl.mechanisms": "SCRAM-SHA-256"}, "PLAIN", "Set sasl.mechanisms"),
        ("sasl", {**SASL, "sasl.mechanisms": "NOPE"}, "Unsupported SASL mechanism: NOPE", ""),
        ("sasl", {}, "connection closed by peer", "set security.protocol to ssl, sasl_ssl or"),
        ("plain", SASL, "not valid in current SASL state", "asks for no login"),
        ("ssl", {}, "connection closed by peer", "set security.protocol to ssl, sasl_ssl or"),
        ("sasl_ssl", SASL, "connection closed by peer", "set security.protocol to ssl, sasl_ssl"),
        ("plain", {"security.protocol": "ssl"}, "SSL", "That listener has no TLS"),
        ("ssl", {"security.protocol": "ssl", "ssl.ca.location": "other"}, "issuer", "the CA that"),
        ("ssl", {"security.protocol": "ssl"}, "issuer certificate", "Set ssl.ca.location"),
        (
            "expired",
            {"security.protocol": "ssl", "ssl.ca.location": "ca"},
            "certificate has expired",
            "Renew the broker's certificate",
        ),
        (
            "by_name",
            {"security.protocol": "ssl", "ssl.ca.location": "ca"},
            "Hostname mismatch",
            "a name that is in the broker's certificate",
        ),
        (
            "mutual",
            {"security.protocol": "ssl", "ssl.ca.location": "ca"},
            "",
            "set ssl.certificate.location",
        ),
        ("ssl", {"ssl.ca.location": "/no/such", "security.protocol": "ssl"}, "ssl.ca.location", ""),
    ],
)
def test_what_is_wrong_is_said(
    secured: SecuredKafka, listener: str, properties: dict[str, str], reason: str, fix: str
) -> None:
    """Each mistake has its own reason, librdkafka's, and the fix that fits it."""
    certificates = {
        "ca": str(secured.certificates.ca),
        "other": str(secured.certificates.other_ca),
    }
    by_name = secured.ssl.replace("127.0.0.1", "localhost")
    broker = by_name if listener == "by_name" else getattr(secured, listener)
    message = error_of(broker, **{k: certificates.get(v, v) for k, v in properties.items()})
    assert reason in message
    assert fix in message
    assert "make kafka" not in message


@pytest.mark.parametrize(
    ("broker", "reason", "fix"),
    [
        ("127.0.0.1:1", "Connection refused", "`make kafka`"),
        ("no.such.host.invalid:9092", "Failed to resolve", "Check the host in broker"),
    ],
)
def test_where_there_is_no_broker(broker: str, reason: str, fix: str) -> None:
    """Only a port of this machine where nothing listens suggests to start one."""
    message = error_of(broker)
    assert reason in message
    assert fix in message


def test_what_does_not_answer(kafka_runs_here: None) -> None:
    """As behind a firewall that drops packets, or something that is no Kafka."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = error_of(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "nothing came back in time. Check host and port" in message


# --------------------------------------------------------------------------------------------------
# Rights, as docs/security.md lists them

PAGE = Path(__file__).parents[2] / "docs/security.md"
PARTS = re.compile(r"^\| (topic|group|transactional id) \| `loans\.(\S+)` \| (\w+) \|", re.M)
SECONDS = 40.0


def rights(name: str, settings: Settings) -> list[Right]:
    """Return the rights of a worker that the page lists, as far as its chain has the topics."""
    topics = {each.name for each in topics_of(settings.agents_of(sensors.resetting))}
    listed = [
        Right(kind, rest, operation) for kind, rest, operation in PARTS.findall(PAGE.read_text())
    ]
    needed = [
        each
        for each in listed
        if each.resource != "topic" or any(fnmatchcase(topic, each.name) for topic in topics)
        if each.operation not in {"Create", "Alter", "DescribeConfigs"}  # not for every worker
    ]
    return [each._replace(name=f"{name}.{each.name}") for each in needed]


class Trial:
    """A pipeline on the secured broker, with events, a label, a command, and what is no event.

    Parameters
    ----------
    kafka, name, chain, attribute, topics
        Where it runs, and as what.
    """

    def __init__(
        self,
        kafka: SecuredKafka,
        name: str,
        chain: str,
        attribute: str = "resetting",
        topics: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name, self._kafka = name, kafka
        own = Settings(broker=kafka.plain, partitions=1, chain=chain, topics={**topics})
        self.settings = own.model_copy(
            update={
                "pipeline": f"{PIPELINES}:{attribute}",
                "pipeline_name": name,
                "broker": kafka.sasl,
                "kafka": SASL,
                "flush_seconds": 0.2,
                "publish_seconds": 0.2,
            }
        )
        self.pipeline = load_pipeline(f"{PIPELINES}:{attribute}").with_name(name)
        self.partitions = prepare_topics(KafkaClients(own), self.pipeline, own)
        self.rights = rights(name, self.settings)
        self._events = iter(sensors.readings(1_000))

    def run(self, without: Right | None = None) -> str:
        """Run the agents until one fails, and return what it says.

        With all rights, that is until events are through; else there is nothing to say.
        """
        self._kafka.allow([each for each in self.rights if each != without])
        return asyncio.run(self._run(is_through=_never if without else _is_through))

    def _produce(self) -> None:
        producer = Producer({"bootstrap.servers": self._kafka.plain})
        for _ in range(3):
            producer.produce(f"{self.name}.events", json.dumps(next(self._events)).encode())
        producer.produce(f"{self.name}.events", b"no event")
        producer.produce(f"{self.name}.labels", b'{"event_id": "0", "label": true}')
        producer.produce(f"{self.name}.commands", b'{"command": "resume"}')
        assert producer.flush(10) == 0

    async def _run(self, is_through: Callable[[Metrics], bool]) -> str:
        metrics = Metrics(self.name)
        clients = KafkaClients(self.settings)
        try:
            definitions = settled(clients, self.pipeline, self.settings, b"key" * 16)
        except BrokerError as error:
            return str(error)
        agents = [
            Assembly(
                each, definitions, self.settings, clients, self.partitions, b"key" * 16, metrics
            ).engine()
            for each in self.settings.agents_of(self.pipeline)
        ]
        running = [asyncio.ensure_future(_fold(each)) for each in agents]
        deadline = time.monotonic() + SECONDS
        try:
            while not is_through(metrics) and time.monotonic() < deadline:
                self._produce()  # chain split: the first are predicted before a model is there
                done, _ = await asyncio.wait(running, timeout=0.5, return_when="FIRST_EXCEPTION")
                if done:
                    return str(done.pop().exception())
            return "" if is_through(metrics) else "nothing came through, and nobody said why"
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.gather(*(each.close() for each in agents))


async def _fold(engine: Engine) -> None:
    while (batch := await engine.next_batch()) is not None:
        await engine.process(batch)


def _never(_metrics: Metrics) -> bool:
    return False


def _is_through(metrics: Metrics) -> bool:
    """Whether something has come out of every output."""
    total = Samples.parse(metrics.render().decode()).total
    outputs = (
        *(names.PREDICTIONS, names.ALERTS, names.EVENTS_REJECTED, names.OUTCOMES, names.COMMANDS),
    )
    return all(total(each.total) for each in outputs)


@pytest.mark.parametrize("chain", ["default", "full", "split"])
def test_the_rights_that_are_listed_are_enough(
    secured: SecuredKafka, unique_name: Callable[[str], str], chain: str
) -> None:
    """With exactly these, a worker runs."""
    trial = Trial(secured, unique_name(chain), chain)
    assert trial.run() == ""


def test_the_right_to_a_source(secured: SecuredKafka, unique_name: Callable[[str], str]) -> None:
    """A worker needs Read on its topic, and no more; without it, it says so."""
    source = unique_name("readings")
    admin = AdminClient({"bootstrap.servers": secured.plain})
    admin.create_topics([NewTopic(source, 2)])[source].result(30)
    topics = {"readings": source}
    trial = Trial(secured, unique_name("sourced"), "default", "resetting_attached", topics)
    assert f"may not do Read on topic '{source}'" in trial.run(
        without=Right("topic", source, "Read")
    )
    trial.rights.append(Right("topic", source, "Read"))
    assert trial.run() == ""
    secured.allow(trial.rights[:1])
    with pytest.raises(BrokerError, match="or not allowed to describe"):
        prepare_topics(KafkaClients(trial.settings), trial.pipeline, trial.settings)


@pytest.fixture(scope="module")
def trial(secured: SecuredKafka, unique_name: Callable[[str], str]) -> Trial:
    """Give a pipeline whose agents each have a topic between them."""
    return Trial(secured, unique_name("rights"), "split")


# What only the first worker needs, which puts its definition in force, is not asked for again.
FIRST = {("commands", "Write"), ("definitions", "Write")}
LISTED = [
    each
    for each in rights("loans", Settings(chain="split"))
    if (each.name.removeprefix("loans."), each.operation) not in FIRST
]


@pytest.mark.platform
@pytest.mark.parametrize("number", range(len(LISTED)), ids=[" ".join(each) for each in LISTED])
def test_each_right_is_needed_and_named(trial: Trial, number: int) -> None:
    """Without one, an agent stops, and says who may not do what, and how to allow it."""
    listed = LISTED[number]
    without = listed._replace(name=listed.name.replace("loans", trial.name, 1))
    message = trial.run(without)
    kind, name, operation = without.resource, without.name.removesuffix("*"), without.operation
    if kind == "group":  # it is described first
        operation = "Describe"
    assert f"User:{USER} may not do {operation} on {kind} '{name}" in message
    assert f"--operation {operation} --{kind.replace(' ', '-')} '{name}" in message


CLIENTS = [
    (["produce", "EVENTS"], Right("topic", "events", "Write"), "Describe"),
    (["consume", "TOPIC.predictions"], Right("topic", "predictions", "Read"), "Describe"),
    (["audit"], Right("topic", "audit", "Read"), "Describe"),
    (["audit"], Right("group", "audit.reader", "Describe"), "Describe"),
    (
        ["consume", "TOPIC.predictions"],
        Right("group", "predictions.reader", "Describe"),
        "Describe",
    ),
]


@pytest.fixture
def call(
    trial: Trial,
    secured: SecuredKafka,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> Callable[[list[str]], tuple[int, str]]:
    """Run a command as the user, with the password from a file; return exit code and error."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "events").write_text(json.dumps(sensors.readings(1)[0]))
    for name, value in {
        "PIPELINE": f"{PIPELINES}:resetting",
        "PIPELINE_NAME": trial.name,
        "BROKER": secured.sasl,
        "KAFKA_SASL_PASSWORD_FILE": f"{tmp_path}/password",
        "KAFKA": json.dumps({k: v for k, v in SASL.items() if k != "sasl.password"}),
    }.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    places = {"TOPIC": trial.name, "EVENTS": f"{tmp_path}/events"}

    def call(arguments: list[str]) -> tuple[int, str]:
        for place, value in places.items():
            arguments = [each.replace(place, value) for each in arguments]
        return run(arguments), capfd.readouterr().err

    return call


def _rights_of_clients(trial: Trial) -> list[Right]:
    return [right._replace(name=f"{trial.name}.{right.name}") for _, right, _ in CLIENTS]


def test_the_rights_of_clients_are_enough(
    trial: Trial, secured: SecuredKafka, call: Callable[[list[str]], tuple[int, str]]
) -> None:
    """To produce, and to consume; the page lists them."""
    page = PAGE.read_text()
    for _, (kind, name, operation), _ in CLIENTS:
        assert f"| {kind} | `loans.{name}` | {operation} |" in page
    secured.allow(_rights_of_clients(trial))
    for arguments, _, _ in CLIENTS:
        code, error = call(arguments)
        assert code == 0, error


@pytest.mark.parametrize("number", range(len(CLIENTS)))
def test_the_rights_of_clients_are_needed_and_named(
    trial: Trial, secured: SecuredKafka, call: Callable[[list[str]], tuple[int, str]], number: int
) -> None:
    """Whoever may do nothing with a topic does not see it: there, Describe is missing first."""
    arguments, missing, named = CLIENTS[number]
    given = _rights_of_clients(trial)
    secured.allow([each for each in given if each != given[number]])
    code, error = call(arguments)
    assert code == 2
    assert f"User:{USER} may not do {named} on {missing.resource} '{given[number].name}" in error
    assert PASSWORD not in error


def test_a_worker_that_may_not_create_topics_says_so(
    secured: SecuredKafka, unique_name: Callable[[str], str]
) -> None:
    """Topics that are there and not shown are told apart from those that are not there."""
    name = unique_name("new")
    settings = Settings(broker=secured.sasl, kafka=SASL, partitions=1, chain="full")
    pipeline, clients = sensors.resetting.with_name(name), KafkaClients(settings)
    needed = rights(name, settings)
    secured.allow(needed)
    with pytest.raises(BrokerError, match=rf"may not do Create on topic '{name}\."):
        prepare_topics(clients, pipeline, settings)
    secured.allow([*needed, Right("topic", f"{name}.*", "Create")])
    prepare_topics(clients, pipeline, settings)
    secured.allow([each for each in needed if each.name != f"{name}.events"])
    with pytest.raises(BrokerError, match=rf"may not do Describe on topic '{name}\.events'"):
        prepare_topics(clients, pipeline, settings)
