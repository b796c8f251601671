"""Sends the script to a worker at an even pace, and keeps the state and its display up to date.

The embedded broker keeps a few megabytes of each partition, so the number of events in flight is
limited: the player pauses while the worker is behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from millrace.models.pipelines import loans
from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.page import open_if_seen, page, served
from millrace.streams.demo.script import PREFIX, Kind, Outgoing, script
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.kafka.records import origin_of
from millrace.streams.operators.routing import GLOBAL_PARTITION
from millrace.streams.replay.watch import Watch
from millrace.streams.settings import Settings, read_settings
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.worker.subprocess import WorkerProcess

_MAX_IN_FLIGHT = 2_000
_POLL_SECONDS = 0.01
_LOOK_SECONDS = 0.25
_READ_SECONDS = 10.0
_STAY_SECONDS = 0.25
_TOPICS = {kind: f"{PREFIX}{'labels' if kind is Kind.LABEL else 'events'}" for kind in Kind}
_CODEC = TopicCodec(loans.pipeline)


def play(
    state: DemoState, show: Callable[[], None], chain: str, *, page_port: int | None = None
) -> None:
    """Start a broker and a worker, send the whole script, and stop them.

    Parameters
    ----------
    state
        Has the plan; holds everything that was seen, also after an error or Ctrl-C.
    show
        Called some times a second, to show the state as it is then.
    chain
        Which operators share an agent.
    page_port
        Where the page is served until Ctrl-C, also when all is done; None for no page.

    Raises
    ------
    BrokerError
        A record was not delivered, an agent failed, or the worker makes no progress.
    MillraceError
        The worker ended, or was not ready in time.
    """
    with ExitStack() as stack:
        show()
        broker = stack.enter_context(EmbeddedBroker())
        settings = _settings(broker.address, chain)
        if page_port is not None:
            settings = served(settings, page_port)
        clients = KafkaClients(settings)
        partitions = prepare_topics(clients, loans.pipeline, settings)
        places = [
            TopicPartition(topic, partition, OFFSET_BEGINNING)
            for topic in (f"{PREFIX}alerts", f"{PREFIX}predictions")
            for partition in range(partitions[topic])
        ]
        reader = stack.enter_context(closing(TopicReader(clients, places)))
        worker = stack.enter_context(WorkerProcess(settings))
        watch = Watch(worker, loans.pipeline, settings)
        player = Player(state, show, CheckedProducer(clients), reader, watch)
        try:
            worker.wait_ready()
            if page_port is not None:
                state.page = stack.enter_context(page(settings, loans.pipeline.name))
                open_if_seen(state.page)
            player.send_all(script(state.plan))
            player.finish()
            if page_port is not None:
                player.stay()
        finally:  # stopping the worker takes a moment, also after Ctrl-C
            state.enter(Phase.STOPPING)
            show()


def _settings(broker: str, chain: str) -> Settings:
    """Return the worker's settings, whatever the environment says."""
    return read_settings(
        broker=broker,
        kafka={},
        pipeline=f"{loans.__name__}:pipeline",
        pipeline_name="",
        chain=chain,
        schema_registry_url="",
        outputs="avro",
        log_level="warning",
        log_format="json",
    )


@dataclass
class Player:
    """Sends records when they are due, and observes the worker and its topics in between."""

    state: DemoState
    show: Callable[[], None]
    producer: CheckedProducer
    reader: TopicReader
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._started_at = self._looked_at = self.clock()

    def send_all(self, records: Iterable[Outgoing]) -> None:
        """Send every record when it is due."""
        state, due = self.state, self.clock()
        for record in records:
            if record.kind is Kind.EVENT:
                due += 1 / state.plan.rate
                while state.events_sent - state.predicted - state.rejected >= _MAX_IN_FLIGHT:
                    self._wait()
                    due = self.clock()  # continue at the same pace: catching up would be a burst
                while self.clock() < due:
                    self._wait()
            self.producer.produce(_TOPICS[record.kind], record.value, None, GLOBAL_PARTITION)
            state.count_sent(record.kind)

    def finish(self) -> None:
        """Wait until everything that was sent is done, and has been read from the topics."""
        self.state.enter(Phase.FINISHING)
        self._look()
        while self._missing:
            self._wait()
        deadline = self.clock() + _READ_SECONDS
        while discrepancies(self.state) and self.clock() < deadline:
            self._wait()

    def stay(self) -> None:
        """Keep all as it is, and shown, until Ctrl-C."""
        self.state.enter(Phase.STAYING)
        with suppress(KeyboardInterrupt):
            while True:
                self.show()
                self.sleep(_STAY_SECONDS)

    def _wait(self) -> None:
        self.sleep(_POLL_SECONDS)
        self.producer.poll()
        for message in self.reader.take(0.0):
            self.state.add(_CODEC.decode(origin_of(message, PREFIX)))
        if self.clock() - self._looked_at >= _LOOK_SECONDS:
            self._look()

    def _look(self) -> None:
        """Observe the worker."""
        sent = self.state.events_sent, self.state.sent[Kind.LABEL]
        self._missing = self.watch.look(*sent).missing(*sent)
        self.state.observe(self.watch.samples, self.clock() - self._started_at)
        self.show()
        self._looked_at = self.clock()
