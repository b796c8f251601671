"""The engine of one agent: a batch in, a fold, a commit.

One librdkafka consumer and one producer serve one agent. The agent asks for a batch, folds it
through the tasks of its partitions, and commits outputs, input offsets and, when due, state
together. Between batches nothing is in flight, so that a rebalance, which librdkafka announces
only while it is polled, finds every task at rest.

On assignment, a partition's state is read back with the input offsets that it covers; records
from there up to the group's committed offset are folded again in silence, and then the task is
live. An error leaves the engine broken: the open transaction is aborted, and the next batch
begins from the last commit with clients and tasks made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from itertools import groupby, islice
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from schemas import BrokerError, RecordError
from streams.compose import TaskFactory
from streams.kafka.clients import consumer_config
from streams.metrics import Metrics
from streams.operators.record import Origin, Record, reject
from streams.order import InputOrder
from streams.outbox import Outbox
from streams.settings import Settings
from streams.state import Saved, StateLog
from streams.task import Task
from streams.topics import TopicCodec

POLL_SECONDS = 0.1
_SLICE_RECORDS = 200  # some 20 ms with a tree, until other agents have their turn
_MAX_BACKOFF_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class Engine:
    """Runs one agent on Kafka.

    Attributes
    ----------
    is_ready
        Whether the agent has been given its partitions.
    failure
        What went wrong, until a batch succeeds again; empty while all is well.

    Parameters
    ----------
    factory
        Makes the agent's tasks.
    settings
        Where the broker is, and how much a batch holds.
    prefix
        Of the pipeline's topics and consumer groups.
    codec
        Bytes to records and back.
    state
        Where the agent's state is kept.
    outbox
        Writes outputs and commits.
    metrics
        Where what happens is counted.
    """

    def __init__(
        self,
        factory: TaskFactory,
        settings: Settings,
        prefix: str,
        codec: TopicCodec,
        state: StateLog,
        outbox: Outbox,
        metrics: Metrics,
    ) -> None:
        self.name = factory.agent.name
        self.is_ready = False
        self.failure = ""
        self._factory = factory
        self._settings = settings
        self._prefix = prefix
        self._codec = codec
        self._state = state
        self._outbox = outbox
        self._metrics = metrics
        self._consumer: Consumer | None = None
        self._tasks: dict[int, Task] = {}
        self._orders: dict[int, InputOrder] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._live_from: dict[tuple[str, int], int] = {}
        self._flushes: Counter[int] = Counter()
        self._last_flush = 0.0
        self._broken = False
        self._failures = 0
        self._batch: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{self.name}")
        publishes = "learning" in factory.agent and "prediction" not in factory.agent
        self._flush_seconds = settings.publish_seconds if publishes else settings.flush_seconds

    async def next_batch(self) -> list[Message]:
        """Wait for records; return at least one.

        Raises
        ------
        BrokerError
            The consumer met an error that it cannot go on from.
        """
        while True:
            if self._broken:
                await self._recover()
            try:
                batch: list[Message] = await self._in_thread(self._poll)
            except BaseException as error:
                self._break(error)
                raise
            if batch:
                return batch
            if self._is_flush_due() and self._next:
                await self._in_thread(self._commit)

    async def process(self, batch: list[Message]) -> None:
        """Fold a batch and commit it, to the end even when the caller is cancelled."""
        self._batch = asyncio.ensure_future(self._process(batch))
        await asyncio.shield(self._batch)

    async def close(self) -> None:
        """Finish the batch, commit, save the state and leave the group."""
        if self._batch is not None and not self._batch.done():
            await asyncio.wait([self._batch])
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def _process(self, batch: list[Message]) -> None:
        started = time.perf_counter()
        try:
            await self._fold(batch)
            await self._in_thread(self._commit)
        except BaseException as error:
            self._break(error)
            raise
        self._failures, self.failure = 0, ""
        self._metrics.batch_seconds.labels(self.name).observe(time.perf_counter() - started)
        self._metrics.batch_records.labels(self.name).observe(len(batch))

    async def _fold(self, batch: list[Message]) -> None:
        """Pass a batch through the tasks, giving way to other agents after every slice."""
        for partition, arriving in self._by_partition(batch).items():
            order = self._orders.get(partition)
            origins = order.arrange(arriving) if order else arriving
            for is_live, run in groupby(origins, self._is_live):
                for part in _slices(run):
                    self._fold_slice(self._tasks[partition], part, is_live)
                    await asyncio.sleep(0)

    def _by_partition(self, batch: list[Message]) -> dict[int, list[Origin]]:
        by_partition: dict[int, list[Origin]] = {}
        for message in _in_time_order(batch):
            origin = _origin(message, self._prefix)
            by_partition.setdefault(origin.partition, []).append(origin)
        return by_partition

    def _is_live(self, origin: Origin) -> bool:
        """Whether a record has not been folded and committed before."""
        return origin.offset >= self._live_from.get((origin.topic, origin.partition), 0)

    def _fold_slice(self, task: Task, origins: list[Origin], is_live: bool) -> None:
        records = []
        for origin in origins:
            self._next[origin.topic, origin.partition] = origin.offset + 1
            try:
                records.append(self._codec.decode(origin))
            except RecordError as error:
                records.append(reject(origin, error.reason, error.detail))
        outputs = task.run(records)
        if is_live:
            outputs += [each for each in records if each.topic == "rejects"]
            for record in outputs:
                self._outbox.put(record)
        else:
            task.take_tally()  # counted when it was first folded

    def _poll(self) -> list[Message]:
        if self._consumer is None:
            self._open()
        assert self._consumer is not None
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        rest = self._consumer.consume(self._settings.batch_records - 1, timeout=0)
        return [each for each in (first, *rest) if not self._is_passing(each.error())]

    def _is_passing(self, error: KafkaError | None) -> bool:
        """Whether a message is only the news of an error that librdkafka is dealing with.

        Raises
        ------
        BrokerError
            It is one that it cannot deal with.
        """
        if error is None:
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise BrokerError(
                f"agent {self.name} requires records that the broker no longer has; got"
                f" {error.str()!r}. They were dropped before they were read: give the topics more"
                " retention, or produce no faster than the pipeline reads"
            )
        if error.fatal() or not (error.retriable() or error.code() in _PASSING):
            raise BrokerError(f"agent {self.name} requires a working consumer; got {error.str()!r}")
        _log.warning("broker error", agent=self.name, error=error.str())
        return True

    def _open(self) -> None:
        self._outbox.open()
        group = f"{self._prefix}{self.name}"
        config = consumer_config(self._settings, group)
        self._consumer = Consumer(config)
        self._consumer.subscribe(
            [self._prefix + topic for topic in self._factory.reads()],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        started = time.perf_counter()
        partitions = sorted({each.partition for each in assigned})
        saved = self._take_over(partitions)
        committed = consumer.committed(assigned, timeout=30) if assigned else []
        for partition in partitions:
            task = self._tasks[partition] = self._factory.make()
            if partition in saved:
                saved[partition].restore(task)
                self._flushes[partition] = saved[partition].flush
            if self._orders_inputs(task):
                runs = saved[partition].runs if partition in saved else ()
                self._orders[partition] = InputOrder(runs)
            self._metrics.collector.tasks[self.name, partition] = task
        for each in committed:
            each.offset = self._start(each, saved.get(each.partition))
        self._load_published_models(partitions)
        consumer.assign(committed)
        seconds = time.perf_counter() - started
        self._metrics.restore_seconds.labels(self.name).set(seconds)
        self._metrics.up.labels(self.name).set(1)
        self._last_flush = time.monotonic()
        self.is_ready = True
        _log.info(
            "assigned",
            agent=self.name,
            partitions=partitions,
            restored=sorted(saved),
            restore_seconds=round(seconds, 3),
        )

    def _take_over(self, partitions: list[int]) -> dict[int, Saved]:
        """Read the state of partitions, once nobody else can write it."""
        saved = self._state.read(partitions)
        if self._outbox.is_transactional and partitions:
            strangers = set(self._state.owners.values()) - {self._outbox.transactional_id}
            for each in strangers:
                _log.warning("ending what another worker left open", agent=self.name, worker=each)
                self._outbox.fence(each)
            self._state.own(partitions, self._outbox.transactional_id)
            if strangers:
                saved = self._state.read(partitions)
        return saved

    def _orders_inputs(self, task: Task) -> bool:
        """Whether the order of inputs is to be written down: see `streams.order`.

        Not for `models`, which is compacted: its records cannot be read again in order.
        """
        topics = self._factory.reads()
        return len(topics) > 1 and "models" not in topics and any(True for _ in task.stores())

    def _start(self, assigned: TopicPartition, saved: Saved | None) -> int:
        """Return the offset to begin at: where the saved state ends, or else the log begins."""
        topic, committed = assigned.topic.removeprefix(self._prefix), assigned.offset
        where = topic, assigned.partition
        self._live_from[where] = 0 if committed == OFFSET_INVALID else committed
        if saved is not None and topic in saved.covers:
            return saved.covers[topic]
        stateless = not any(True for _ in self._tasks[assigned.partition].stores())
        if stateless and committed != OFFSET_INVALID:
            return committed
        return OFFSET_BEGINNING

    def _load_published_models(self, partitions: list[int]) -> None:
        """Begin with the newest models, where they come over a topic."""
        if "models" in self._factory.reads():
            for partition, published in self._state.models(partitions):
                origin = Origin("models", partition, 0, 0, None, None)
                self._tasks[partition].run([Record("models", "ModelSnapshot", published, origin)])

    def _on_revoke(self, _consumer: Consumer, _revoked: list[TopicPartition]) -> None:
        if not self._broken:
            self._commit(flush=True)
            if self._outbox.is_transactional and self._tasks:
                self._state.own(self._tasks, None)
        self._drop_tasks()

    def _on_lost(self, _consumer: Consumer, lost: list[TopicPartition]) -> None:
        _log.warning("lost partitions to another worker", agent=self.name, partitions=len(lost))
        self._outbox.abort()
        self._drop_tasks()

    def _drop_tasks(self) -> None:
        for partition in self._tasks:
            self._metrics.collector.tasks.pop((self.name, partition), None)
        self._tasks.clear()
        self._orders.clear()
        self._next.clear()
        self._live_from.clear()
        self._metrics.up.labels(self.name).set(0)

    def _commit(self, flush: bool = False) -> None:
        """Commit outputs, offsets and, when it is due, state."""
        if not self._next:
            return
        is_flushed = flush or self._is_flush_due()
        if is_flushed:
            self._flush()
        for partition, order in self._orders.items():
            runs = order.take_runs()
            if is_flushed:  # the state covers what was taken; only what is still to follow counts
                runs = order.runs_to_follow()
            if runs:
                self._outbox.put_state(partition, self._state.order(partition, runs))
        offsets = [
            TopicPartition(self._prefix + topic, partition, offset)
            for (topic, partition), offset in self._next.items()
            if offset > self._live_from.get((topic, partition), 0)
        ]
        assert self._consumer is not None
        self._outbox.commit(self._consumer, offsets)
        for task in self._tasks.values():
            self._metrics.count(task.take_tally())
        self._report_lag()

    def _is_flush_due(self) -> bool:
        return time.monotonic() - self._last_flush > self._flush_seconds

    def _flush(self) -> None:
        for partition, task in self._tasks.items():
            covers = {t: offset for (t, p), offset in self._next.items() if p == partition}
            if covers and any(True for _ in task.stores()):
                self._flushes[partition] += 1
                for entry in self._state.flush(partition, task, covers, self._flushes[partition]):
                    self._outbox.put_state(partition, entry)
        self._last_flush = time.monotonic()
        self._metrics.flush_timestamp.labels(self.name).set(time.time())

    def _report_lag(self) -> None:
        assert self._consumer is not None
        for (topic, partition), offset in self._next.items():
            where = TopicPartition(self._prefix + topic, partition)
            _, high = self._consumer.get_watermark_offsets(where, cached=True)
            self._metrics.lag_records.labels(self.name, topic, partition).set(max(high - offset, 0))

    def _break(self, error: BaseException) -> None:
        self._broken = True
        self.failure = f"{type(error).__name__}: {error}"
        self.is_ready = False

    async def _recover(self) -> None:
        """Begin again from the last commit, later each time it fails in a row."""
        backoff_seconds = min(0.1 * 2**self._failures, _MAX_BACKOFF_SECONDS)
        self._failures += 1
        self._metrics.restarts.labels(self.name).inc()
        _log.warning("restarting from state", agent=self.name, backoff_seconds=backoff_seconds)
        await asyncio.sleep(backoff_seconds)
        await self._in_thread(self._close)
        self._broken = False

    def _close(self) -> None:
        consumer = self._consumer
        if consumer is not None:
            if self._broken:
                self._outbox.abort()
            consumer.close()  # which revokes, and so commits, where nothing is broken
            self._drop_tasks()
            self._consumer = None
        self._outbox.close()

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def _origin(message: Message, prefix: str) -> Origin:
    return Origin(
        (message.topic() or "").removeprefix(prefix),
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),  # type: ignore[arg-type]  # the list that it always is
    )


def _slices(origins: Iterable[Origin]) -> Iterator[list[Origin]]:
    rest = iter(origins)
    while part := [*islice(rest, _SLICE_RECORDS)]:
        yield part


def _in_time_order(batch: list[Message]) -> Iterator[Message]:
    """Merge the partitions of a batch by record time, each in its own order.

    So labels seldom overtake their events where the two are read from different topics.
    """
    runs: dict[tuple[str, int], list[Message]] = {}
    for message in batch:
        runs.setdefault((message.topic() or "", message.partition() or 0), []).append(message)
    if len(runs) == 1:
        return iter(batch)
    return merge(*runs.values(), key=lambda message: message.timestamp()[1])
