"""Plays the script to a worker, at an even pace, and keeps the state and its display fresh.

The embedded broker keeps a few megabytes of each partition, so whatever the pace, only so many
events may be on their way: the player holds back while the worker is behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing

from confluent_kafka import KafkaError, Message, Producer

from millrace.models.pipelines import loans
from millrace.schemas import BrokerError
from millrace.streams.app import prepare_topics, topic_prefix
from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.display import Display
from millrace.streams.demo.script import Kind, Outgoing, script
from millrace.streams.demo.shield import shielded
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.tail import Tail
from millrace.streams.kafka.clients import producer_config
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.operators.routing import GLOBAL_PARTITION
from millrace.streams.replay.watch import Progress, Watch
from millrace.streams.settings import Settings, read_settings
from millrace.streams.worker.subprocess import WorkerProcess

_MAX_ON_THEIR_WAY = 2_000
_NAP_SECONDS = 0.01
_LOOK_SECONDS = 0.25
_READ_SECONDS = 10.0


def play(state: DemoState, display: Display, chain: str = "default") -> None:
    """Start a broker and a worker, play the whole script, and stop them.

    Parameters
    ----------
    state
        With the plan; holds everything that was seen, whatever ends the play.
    display
        Told of every change, some times a second.
    chain
        Which operators share an agent.

    Raises
    ------
    BrokerError
        A record was not taken, an agent failed, or the worker does not get any further.
    MillraceError
        The worker ended, or was not ready in time.
    """
    with ExitStack() as stack:
        display.update()
        broker = stack.enter_context(EmbeddedBroker())
        settings = _settings(broker.address, chain)
        prepare_topics(state.pipeline, settings)
        prefix = topic_prefix(state.pipeline)
        tail = stack.enter_context(closing(Tail(settings, prefix)))
        worker = stack.enter_context(WorkerProcess(settings))
        producer = Producer(producer_config(settings))
        watch = Watch(worker, state.pipeline, settings)
        player = Player(state, display, producer, tail, watch, prefix)
        try:
            worker.wait_ready()
            player.send_all(shielded(script(state.plan)))
            player.finish()
        finally:  # the worker takes a moment to stop, also after Ctrl-C
            state.enter(Phase.STOPPING)
            display.update()


def _settings(broker: str, chain: str) -> Settings:
    """Return the worker's settings: nothing in the environment may lead the demo elsewhere."""
    return read_settings(
        broker=broker,
        pipeline=f"{loans.__name__}:pipeline",
        pipeline_name="",
        chain=chain,
        kafka={},
        schema_registry_url="",
        outputs="avro",
        log_level="warning",
        log_format="json",
    )


class Player:
    """Sends records when they are due, and looks around in between.

    Parameters
    ----------
    state, display
        Kept fresh.
    producer
        Sends to the broker.
    tail, watch
        Looked at.
    prefix
        Of the topics' names.
    clock, sleep
        In seconds; the clock is monotonic.
    """

    def __init__(
        self,
        state: DemoState,
        display: Display,
        producer: Producer,
        tail: Tail,
        watch: Watch,
        prefix: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._state = state
        self._display = display
        self._producer = producer
        self._tail = tail
        self._watch = watch
        self._topics = {
            kind: f"{prefix}{'labels' if kind is Kind.LABEL else 'events'}" for kind in Kind
        }
        self._clock = clock
        self._sleep = sleep
        self._failed: KafkaError | None = None
        self._started_at = self._clock() - state.seconds
        self._looked_at = 0.0
        self._progress: Progress | None = None

    def send_all(self, records: Iterable[Outgoing]) -> None:
        """Send every record when it is due."""
        self._look()
        due = self._clock()
        for record in records:
            if record.kind is Kind.EVENT:
                due += 1 / self._state.plan.rate
                if self._wait_for_room():
                    due = self._clock()  # go on at the same pace; catching up would be a burst
                self._wait_until(due)
            self._send(record)

    def finish(self) -> None:
        """Wait until all that was sent is done and has been seen."""
        self._state.enter(Phase.FINISHING)
        while self._missing():
            self._nap()
        deadline = self._clock() + _READ_SECONDS
        while discrepancies(self._state) and self._clock() < deadline:
            self._nap()

    def _send(self, record: Outgoing) -> None:
        topic = self._topics[record.kind]
        self._producer.produce(
            topic,
            record.value,
            record.key,
            partition=GLOBAL_PARTITION,
            on_delivery=self._on_delivery,
        )
        self._state.count_sent(record.kind)

    def _wait_for_room(self) -> bool:
        """Hold back while too much is on its way; return whether that was so."""
        waited = False
        while self._on_their_way() >= _MAX_ON_THEIR_WAY:
            self._nap()
            waited = True
        return waited

    def _on_their_way(self) -> int:
        done = 0 if self._progress is None else self._progress.events
        return self._state.events_sent - done

    def _wait_until(self, due: float) -> None:
        while self._clock() < due:
            self._nap()

    def _nap(self) -> None:
        self._sleep(_NAP_SECONDS)
        self._producer.poll(0)
        if self._failed is not None:
            raise BrokerError(
                f"the broker requires to take every record; got {self._failed.str()!r}"
            )
        self._tail.read_into(self._state)
        if self._clock() - self._looked_at >= _LOOK_SECONDS:
            self._look()

    def _look(self) -> None:
        state = self._state
        self._progress = self._watch.look(state.events_sent, state.labels_sent)
        state.observe(self._watch.samples, self._clock() - self._started_at)
        self._display.update()
        self._looked_at = self._clock()

    def _missing(self) -> bool:
        state, progress = self._state, self._progress
        return progress is None or bool(progress.missing(state.events_sent, state.labels_sent))

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = error or self._failed
