"""Who changes the pipeline while it runs: with commands and deploys, right ones and wrong ones.

A plain client of the broker that keeps what it sends through any outage. What each is to be
answered with, `trail` says afterwards, by the order in which they stand on the topic.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, Producer

from millrace.streams.control.commands import DEPLOY, RULE
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.operators.registry import CONTROL
from millrace.streams.runtime.deployment import bundled, deploy_request
from millrace.streams.settings import Settings
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.audit import read_audit
from tests.chaos.fleet import STATE_KEY
from tests.chaos.topics import Follower
from tests.chaos.trail import WRONG
from tests.chaos.versions import Version, Versions

WORST = "contrary"
"""The model that the pipeline's own rule replaces wherever it serves."""

_AGAIN = 0.15
_SETTINGS = [
    {"name": name, "value": value}
    for name, values in {
        "drift.policy": ("alert", "reset", "replace"),
        "drift.cooldown": ("20", "100", "300"),
        "drift.replacement_after": ("50", "100"),
    }.items()
    for value in values
]


@dataclass(frozen=True)
class Order:
    """Commands to send together.

    Attributes
    ----------
    id
        Of the one that is to be answered.
    what
        It is, in words.
    values
        Of the records.
    then
        What ends it, later: learning goes on after a pause.
    version
        What is deployed, if that is what they are for.
    """

    id: str
    what: str
    values: tuple[bytes | None, ...]
    then: tuple[bytes | None, ...] = ()
    version: Version | None = None


class Commander:
    """Sends commands and deploys.

    Parameters
    ----------
    settings
        Of the workers.
    prefix
        Of the pipeline's topics.
    versions
        Writes what is deployed.
    seed
        Of what is sent.

    Attributes
    ----------
    deployed
        The versions that were accepted, in order, the first one included.
    failures
        What could not be sent.
    """

    def __init__(self, settings: Settings, prefix: str, versions: Versions, seed: int) -> None:
        self.deployed = [versions.first]
        self.failures: list[str] = []
        self._settings = settings
        self._prefix = prefix
        self._versions = versions
        self._random = Random(seed)
        self._files = Random(seed)  # as often as workers are started, which is a matter of time
        self._numbers = itertools.count(1)
        self._models = [WORST, "hoeffding_tree", "logistic_regression", "forest", "moody"]
        self._by_digest: dict[str, Version] = {}
        self._answered: dict[str, int] = {}  # to the place among the commands
        self._promoted_at = -1  # by the rule, the last time
        self._producer = Producer(
            {
                "bootstrap.servers": settings.broker,
                "enable.idempotence": True,
                "log_level": 0,
                "on_delivery": self._on_delivery,
                "reconnect.backoff.max.ms": 500,
            }
        )
        self._audit = Follower(settings.broker, f"{prefix}audit", OFFSET_BEGINNING)

    def command(self) -> Order:
        """Return a right command, or what may be one, among wrong ones."""
        number, model = next(self._numbers), self._random.choice(self._models)
        name = self._random.choice(("pause", "rollback", "promote", "reset", "set"))
        arguments = {"model": model} if name in ("promote", "reset") else {}
        if name == "set":
            arguments = self._random.choice(_SETTINGS)
        id_, wrong = f"order-{number}", self._random.sample([*WRONG], 2)
        again = _command("resume", {}, id_)  # which counts where the first one is refused
        values = (_command(name, arguments, id_), wrong[0], again, wrong[1])
        then = (_command("resume", {}, f"{id_}-end"),) if name == "pause" else ()
        return Order(id_, " ".join([name, *arguments.values()]), values, then)

    def promote_worst(self) -> Order:
        """Return the command by which the worst model serves, if it does not yet."""
        id_ = f"order-{next(self._numbers)}"
        values = (_command("promote", {"model": WORST}, id_),)
        return Order(id_, f"promote {WORST}", values)

    def deploy(self) -> Order:
        """Publish a changed version, or an earlier one again; return what puts it in force."""
        version = self._next_version()
        settings = self._settings.model_copy(update={"pipeline": self.spec_of(version)})
        pipeline = settings.load_pipeline()
        bundle = bundled(pipeline, settings)
        key = STATE_KEY.encode()
        DefinitionStore(KafkaClients(settings), self._prefix, key).publish(bundle)
        self._by_digest[bundle.digest] = version
        self._models = sorted({*self._models, *pipeline.models})  # whether it is accepted or not
        request = deploy_request(bundle, self._prefix, key, "chaos", version.what)
        return Order(request.id, version.what, (request.to_json(_now_ms()),), version=version)

    def send(self, values: tuple[bytes | None, ...]) -> None:
        """Send commands; they are there once the broker is."""
        for each in values:
            self._producer.produce(f"{self._prefix}commands", each, partition=0)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        if left := self._producer.flush(60):
            self.failures.append(f"{left} commands were never acknowledged")

    def spec_of(self, version: Version) -> str:
        """Return what a worker's setting `pipeline` is with a version."""
        return f"{version.file}:{self._versions.attribute}"

    def some_file(self) -> str:
        """Return what a worker has on a machine that may not have been updated."""
        return self.spec_of(self._files.choice(self.deployed))

    def wait_answered(self, order: Order, seconds: float, look: Callable[[], object]) -> bool:
        """Wait until an order is accepted or refused; return whether it is."""
        return self._wait(lambda: order.id in self._answered, seconds, look)

    def wait_deployed(self, version: Version, seconds: float, look: Callable[[], object]) -> bool:
        """Wait until a version is accepted, whoever has deployed it; return whether it is."""
        return self._wait(lambda: version in self.deployed, seconds, look)

    def wait_promoted(self, order: Order, seconds: float, look: Callable[[], object]) -> bool:
        """Wait until the rule has promoted a model behind an order that was answered."""
        place = self._answered[order.id]
        return self._wait(lambda: self._promoted_at > place, seconds, look)

    def close(self) -> None:
        """Free the clients."""
        self.flush()
        self._audit.close()

    def _next_version(self) -> Version:
        if len(self.deployed) > 1 and self._random.random() < _AGAIN:
            return self._random.choice(self.deployed[1:])
        return self._versions.after(self.deployed[-1], self._random)

    def _wait(
        self, is_there: Callable[[], bool], seconds: float, look: Callable[[], object]
    ) -> bool:
        deadline = time.monotonic() + seconds
        while not is_there():
            if time.monotonic() > deadline:
                return False
            look()
            self._read()
        return True

    def _read(self) -> None:
        """Take in what control has answered meanwhile."""
        self._producer.poll(0)
        for message in self._audit.take(0.1):
            entry = read_audit(message.value() or b"")
            if entry["writer"] != CONTROL:
                continue
            self._answered[entry["command_id"] or ""] = entry["offset"]
            name = entry["evidence"].get("command")
            if (entry["who"], name, entry["action"]) == (RULE, "promote", "accepted"):
                self._promoted_at = entry["offset"]
            is_deploy = name == DEPLOY
            version = self._by_digest.get(entry["evidence"].get("definition", ""))
            if is_deploy and entry["action"] == "accepted" and version is not None:
                self.deployed.append(version)
                rivals = (
                    f"{each}.challenger@deploy{entry['after']}" for each in version.challenged
                )
                self._models = sorted({*self._models, *rivals})

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.failures.append(f"a command: {error.str()}")


def _command(name: str, arguments: Mapping[str, str], id_: str) -> bytes:
    document = {"id": id_, "command": name, "arguments": arguments, "who": "chaos", "why": name}
    return json.dumps(document).encode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
