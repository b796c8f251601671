"""What goes wrong: kinds of faults, and when a seed says that they happen.

Kinds come in rounds, each of them once a round in an order of the seed's, so that even a short
run has seen most. After a fault the next one waits until every partition predicts again, and a
little longer; but one in four strikes while the one before it is still being dealt with.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from confluent_kafka import Producer

from dev.kafka import KafkaBroker
from tests.chaos.commander import Commander, Order
from tests.chaos.fleet import SESSION_SECONDS, Fleet, Worker
from tests.chaos.load import Feeder
from tests.chaos.registry import Registry
from tests.chaos.topics import PARTITIONS
from tests.chaos.watch import Watch

KINDS = (
    *("kill", "pause", "add", "remove", "restart_broker", "kill", "pause"),
    *("slow_model", "garbage", "registry_outage"),
    *("command", "deploy", "command", "deploy"),
)
"""There is `kill_broker` too, by `--kinds`: the only broker, killed, may lose count by itself."""

RECOVERY_LIMIT_SECONDS = 180.0
"""After so long it is taken for lost; how fast it should be, a plan says."""
_SLOW_SECONDS = 8.0
_OUTAGE_SECONDS = 4.0
_GARBAGE_RECORDS = 200
_OVERLAP = 0.25
_BY_WORKER = 0.25


class Faults:
    """Does one thing after another to a fleet and its broker.

    Parameters
    ----------
    seed
        Of kinds, victims and moments.
    kinds
        A round of them.
    fleet, broker, registry, watch
        What is harmed, and who sees it.
    feeder
        Sends garbage among the events.
    commander
        Sends commands and deploys, among other faults; knows which files workers may have.
    slow
        While this file exists, one of the models is slow.
    state_topics
        Into these somebody else writes, too.
    n_workers
        How many there are meant to be; one more or one less is as far as it goes.

    Attributes
    ----------
    done
        Kind to how often it happened.
    recoveries_seconds
        From each `kill -9` of a worker to the first new prediction in the last partition to
        have one, where nothing else happened in between.
    last
        The last fault in words.
    problems
        What should not have happened: a partition that did not come back, a worker that fell.
    """

    def __init__(
        self,
        seed: int,
        kinds: Sequence[str],
        fleet: Fleet,
        broker: KafkaBroker,
        watch: Watch,
        n_workers: int,
        *,
        registry: Registry,
        feeder: Feeder,
        commander: Commander,
        slow: Path,
        state_topics: Sequence[str],
    ) -> None:
        self.done: Counter[str] = Counter()
        self.recoveries_seconds: list[float] = []
        self.problems: list[str] = []
        self.overlapping = 0
        self.last = ""
        self._random = Random(seed)
        self._fleet = fleet
        self._broker = broker
        self._watch = watch
        self._n_workers = n_workers
        self._registry = registry
        self._feeder = feeder
        self._commander = commander
        self._slow = slow
        self._state_topics = state_topics
        self._kinds = self._rounds(kinds)
        self._is_alone = True
        self._actions: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "pause": self._pause,
            "add": self._add,
            "remove": self._remove,
            "restart_broker": self._restart_broker,
            "kill_broker": self._kill_broker,
            "slow_model": self._slow_model,
            "garbage": self._garbage,
            "registry_outage": self._registry_outage,
            "command": self._command,
            "deploy": self._deploy,
        }

    def strike(self) -> str:
        """Let the next fault happen; return when it is dealt with, or else at once."""
        kind = next(self._kinds)
        if kind == "remove" and len(self._fleet.workers) <= max(self._n_workers - 1, 1):
            kind = "add"
        elif kind == "add" and len(self._fleet.workers) > self._n_workers:
            kind = "remove"
        self._rest(2.0)
        will_overlap = self._random.random() < _OVERLAP
        self.last = kind
        self._actions[kind]()
        self.done[kind] += 1
        if will_overlap:
            self.overlapping += 1
            self._is_alone = False
            self._rest(2.0)
        else:
            self._settle(kind)
        return kind

    def promote_by_rule(self) -> None:
        """Let the worst model serve, until the rule of the pipeline has promoted another."""
        order, limit = self._commander.promote_worst(), RECOVERY_LIMIT_SECONDS
        self._at_rest(order)
        if not self._commander.wait_answered(order, limit, self._refill):
            self.problems.append(f"no answer within {limit} s to {order.what}")
        elif not self._commander.wait_promoted(order, limit, self._refill):
            self.problems.append(f"no rule has promoted a better model within {limit} s")

    def settle(self) -> None:
        """Wait until every partition predicts again."""
        self._settle("the last fault")

    def _start(self) -> None:
        """Start a worker, on a machine that may have an older file than what is in force."""
        self._fleet.start(self._commander.some_file())

    def _settle(self, after: str) -> None:
        self._refill()
        seconds = self._watch.wait_newer(RECOVERY_LIMIT_SECONDS, self._refill)
        if seconds is None:
            self.problems.append(f"no predictions within {RECOVERY_LIMIT_SECONDS} s after {after}")
        self._is_alone = True

    def _refill(self) -> None:
        """Start a worker for each that fell, and for each missing one: a supervisor would."""
        self._fleet.look()
        while len(self._fleet.workers) < max(self._n_workers - 1, 1):
            self._start()

    def _kill(self) -> None:
        victim = self._victim()
        self._rest(2.0)
        was_alone = self._is_alone and victim.is_ready()
        self._fleet.kill(victim)
        killed = time.monotonic()
        self._start()
        if self._watch.wait_newer(RECOVERY_LIMIT_SECONDS, self._refill) is None:
            self.problems.append(f"no predictions within {RECOVERY_LIMIT_SECONDS} s of a kill -9")
        elif was_alone:
            self.recoveries_seconds.append(time.monotonic() - killed)

    def _pause(self) -> None:
        """Stop a worker past its session, so that it is a zombie when it goes on."""
        victim = self._victim()
        victim.send_to_all(signal.SIGSTOP)
        time.sleep(SESSION_SECONDS + 1 + 1.5 * self._random.random())
        if len(self._fleet.workers) > 1 and self._is_alone:
            taken_over = self._watch.wait_newer(RECOVERY_LIMIT_SECONDS, lambda: None)
            if taken_over is None:
                self.problems.append("nobody took over from a worker that was paused")
        victim.send_to_all(signal.SIGCONT)
        try:
            self._fleet.wait_ready(victim)
        except TimeoutError as error:
            self.problems.append(f"a zombie did not come back: {error}")

    def _add(self) -> None:
        self._start()

    def _remove(self) -> None:
        self._fleet.stop(self._victim())

    def _restart_broker(self) -> None:
        self._broker.restart()

    def _kill_broker(self) -> None:
        self._broker.kill()
        self._rest(2.0)
        self._broker.start()

    def _slow_model(self) -> None:
        """Let a model take its time; the partitions go on, one event after the other."""
        self._slow.touch()
        time.sleep(_SLOW_SECONDS)
        if self._is_alone and self._watch.wait_newer(RECOVERY_LIMIT_SECONDS, self._refill) is None:
            self.problems.append("no predictions while a model was slow")
        self._slow.unlink()

    def _garbage(self) -> None:
        """Fill a partition of the events and of the state with somebody else's bytes."""
        random = self._random
        partition = random.randrange(PARTITIONS)
        self._feeder.send_garbage(
            partition, (random.randbytes(random.randrange(64)) for _ in range(_GARBAGE_RECORDS))
        )
        producer = Producer({"bootstrap.servers": self._broker.bootstrap, "log_level": 0})
        for topic in self._state_topics:
            for key in (None, b"", b"\xff", b"manifest", b"/", random.randbytes(9)):
                for value in (None, b"", random.randbytes(99)):
                    producer.produce(topic, value, key, partition)
        if producer.flush(30):
            self.problems.append("garbage was not acknowledged")

    def _registry_outage(self) -> None:
        """Let a worker start that cannot look a schema up; nothing is rejected for it."""
        self._registry.stop()
        self._fleet.kill(self._victim())
        self._start()
        self._rest(_OUTAGE_SECONDS)
        self._registry.start()

    def _command(self) -> None:
        self._give(self._commander.command())

    def _deploy(self) -> None:
        order = self._commander.deploy()
        version = order.version
        is_new = version is not None and version not in self._commander.deployed
        if not (is_new and version.is_safe and self._random.random() < _BY_WORKER):
            self._give(order)
            return
        self.last += f" of {version.what} by a worker"
        self._fleet.stop(self._victim())
        self._fleet.start(self._commander.spec_of(version))
        if not self._commander.wait_deployed(version, RECOVERY_LIMIT_SECONDS, self._refill):
            self.problems.append(f"a worker did not deploy version {version.number}")

    def _give(self, order: Order) -> None:
        """Send commands at a moment that is hard, and wait until they are answered."""
        moments = (self._at_rest, self._before_kill, self._before_applied, self._while_away)
        moment = self._random.choice(moments)
        self.last += f" of {order.what}, {moment.__name__.strip('_').replace('_', ' ')}"
        moment(order)
        self._wait_answered(order)
        self._rest(2.0)
        self._commander.send(order.then)

    def _wait_answered(self, order: Order) -> None:
        if not self._commander.wait_answered(order, RECOVERY_LIMIT_SECONDS, self._refill):
            self.problems.append(f"no answer within {RECOVERY_LIMIT_SECONDS} s to {order.what}")

    def _at_rest(self, order: Order) -> None:
        self._commander.send(order.values)

    def _before_kill(self, order: Order) -> None:
        self._commander.send(order.values)
        self._fleet.kill(self._victim())
        self._start()

    def _before_applied(self, order: Order) -> None:
        """Kill a worker when something has been accepted, and it has not come to it yet."""
        victim = self._victim()
        victim.send_to_all(signal.SIGSTOP)
        self._commander.send(order.values)
        if len(self._fleet.workers) > 1:
            self._wait_answered(order)
        self._fleet.kill(victim)
        self._start()

    def _while_away(self, order: Order) -> None:
        """Send while the broker is down: the client sends it as soon as there is one again."""
        self._broker.stop()
        self._commander.send(order.values)
        self._rest(1.0)
        self._broker.start()

    def _victim(self) -> Worker:
        self._refill()
        return self._random.choice(self._fleet.workers)

    def _rest(self, most_seconds: float) -> None:
        time.sleep(most_seconds * self._random.random())

    def _rounds(self, kinds: Sequence[str]) -> Iterator[str]:
        while True:
            yield from self._random.sample(kinds, len(kinds))
