"""State on Kafka: written with the batch that it follows from, read back on assignment.

The changed entries of an agent's stores go to the compacted topic `state.<agent>`, the models to
the compacted topic `models`, both on the partition that they are the state of. A manifest ends
each flush: it says how far into its inputs the state goes. Entries behind the last manifest, left
by a crash without transactions, are ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SnapshotError, shipped
from millrace.schemas.records import ModelSnapshot
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.operators.keyed_state import Change
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import own_modules
from millrace.streams.state.input_order import Run
from millrace.streams.state.records import (
    MANIFEST,
    ORDER,
    OWNER,
    Manifest,
    Saved,
    StateRecord,
    read_record,
    state_record,
)
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import state_topic

MODELS = "learning/models"
"""The store that is published to the topic `models`."""

_WRITE_TIMEOUT_SECONDS = 30.0

_Latest = dict[str, StateRecord]
"""Key to the newest record of it, of one partition."""


class StateLog:
    """Writes and reads the state of one agent.

    Parameters
    ----------
    pipeline
        The definition.
    agent
        Whose state.
    settings
        Where the broker is.
    prefix
        Of the pipeline's topics.
    key
        Signs what is written; what is read must be signed with it.

    Attributes
    ----------
    owners
        Partition to the transactional id that owned it when the state was last read.
    """

    def __init__(
        self, pipeline: Pipeline, agent: AgentSpec, clients: Clients, prefix: str, key: bytes
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._topic = state_topic(agent)
        self._learns = "learning" in agent
        self._key = key
        self.owners: dict[int, str] = {}
        self._orders: Counter[int] = Counter()
        self._order_keys: dict[int, list[str]] = {}
        self._definition = _fingerprint(pipeline)
        self._own = own_modules(pipeline)

    def flush(
        self,
        partition: int,
        task: Task,
        covers: dict[str, int],
        number: int,
        inputs: Mapping[str, Identity] = MappingProxyType({}),
    ) -> Iterator[StateRecord]:
        """Return what has changed in a task's stores since the last flush, manifest last."""
        sizes = {}
        for name, store in task.stores():
            sizes[name] = len(store)
            for change in store.take_changes():
                yield self._entry(name, change, covers, number)
        for key in self._order_keys.pop(partition, []):
            yield state_record(self._topic, key, None, flush=number)
        manifest = Manifest(
            covers=covers,
            inputs={topic: (*inputs[topic],) for topic in covers if topic in inputs},
            sizes=sizes,
            definition=self._definition,
        )
        yield state_record(self._topic, MANIFEST, self._dump(manifest), flush=number)

    def order(self, partition: int, runs: list[Run]) -> StateRecord:
        """Return the record of the order in which a task has taken its inputs since the last."""
        self._orders[partition] += 1
        key = f"{ORDER}{self._orders[partition]:012d}"
        self._order_keys.setdefault(partition, []).append(key)
        return state_record(self._topic, key, self._dump(runs))

    def own(self, partitions: Iterable[int], owner: str | None) -> None:
        """Write, outside any transaction, who owns the partitions from now on; None: no worker.

        A worker that takes over from one that is gone aborts the transaction that it may have
        left open, which would otherwise hold up every reader until it times out.

        Raises
        ------
        BrokerError
            The broker does not take it.
        """
        value = None if owner is None else self._dump(owner)
        record = state_record(self._topic, OWNER, value)
        producer = CheckedProducer(self._clients)
        for partition in partitions:
            topic = self._prefix + self._topic
            producer.produce(topic, value, OWNER, partition, headers=record.headers)
        producer.flush(_WRITE_TIMEOUT_SECONDS)

    def read(self, partitions: Iterable[int]) -> dict[int, Saved]:
        """Return what was saved for each of the partitions that anything was saved for.

        Raises
        ------
        SnapshotError
            Tampered with, signed with another key, or of another definition.
        BrokerError
            The topics cannot be read to their ends.
        """
        latest = self._latest([*partitions])
        self.owners = {
            partition: str(self._load(records[OWNER].value or b""))
            for partition, records in latest.items()
            if OWNER in records and records[OWNER].value is not None
        }
        self._continue_orders(latest)
        flushed = {each: records for each, records in latest.items() if MANIFEST in records}
        if self._learns:
            self._add_models(flushed)
        found = {each: self._saved(records) for each, records in flushed.items()}
        return {each: state for each, state in found.items() if state is not None}

    def models(self, partitions: Iterable[int]) -> Iterator[tuple[int, ModelSnapshot]]:
        """Return each partition's snapshots in the topic `models`, oldest first."""
        for partition, record in self._records("models", [*partitions]):
            if record.value is not None:
                yield partition, shipped("model_snapshot").decode(record.value)

    def load_models(self, payload: bytes) -> ModelSet:
        """Return the models in a snapshot's payload.

        Raises
        ------
        SnapshotError
            See `streams.state.snapshot.load`.
        """
        models: ModelSet = self._load(payload)
        return models

    def _latest(self, partitions: list[int]) -> dict[int, _Latest]:
        """Return the newest records by key, without those of a flush that has no manifest."""
        unended: dict[int, _Latest] = {each: {} for each in partitions}
        latest: dict[int, _Latest] = {each: {} for each in partitions}
        for partition, record in self._records(self._topic, partitions):
            belongs_to_flush = record.key != OWNER and not (
                record.key.startswith(ORDER) and record.value is not None
            )
            (unended if belongs_to_flush else latest)[partition][record.key] = record
            if record.key == MANIFEST:
                latest[partition] |= unended[partition]
                unended[partition].clear()
        return latest

    def _add_models(self, flushed: dict[int, _Latest]) -> None:
        """Add the newest models: the last records hold them, or else the whole topic is read."""
        manifests = {each: records[MANIFEST] for each, records in flushed.items()}
        counts = {
            partition: self._manifest(record)["sizes"].get(MODELS, 0)
            for partition, record in manifests.items()
        }
        for is_tail in (True, False):
            last = {each: 4 * (count + 1) for each, count in counts.items()} if is_tail else {}
            found: dict[int, _Latest] = {each: {} for each in counts}
            for partition, record in self._records("models", found, last):
                if record.flush <= manifests[partition].flush:
                    found[partition][record.key] = record
            for partition, records in found.items():
                there = sum(each.value is not None for each in records.values())
                if there == counts[partition] or not is_tail:
                    flushed[partition] |= records
                    del counts[partition]

    def _continue_orders(self, latest: dict[int, _Latest]) -> None:
        for partition, records in latest.items():
            keys = sorted(
                key for key, each in records.items() if key.startswith(ORDER) and each.value
            )
            self._order_keys[partition] = keys
            self._orders[partition] = int(keys[-1].removeprefix(ORDER)) if keys else 0

    def _entry(
        self, store: str, change: Change, covers: dict[str, int], number: int
    ) -> StateRecord:
        topic = "models" if store == MODELS else self._topic
        if change.value is None:
            value = None
        elif store == MODELS:
            value = self._snapshot(change.key, cast(ModelSet, change.value), covers)
        else:
            value = self._dump(change.value)
        key = f"{store}/{change.key}"
        return state_record(topic, key, value, flush=number, sequence=change.sequence)

    def _snapshot(self, scope_key: str, models: ModelSet, covers: dict[str, int]) -> bytes:
        published = ModelSnapshot(
            scope_key=scope_key,
            champion=models.champion,
            version=models.version,
            covers=covers,
            payload=self._dump(models),
        )
        return shipped("model_snapshot").encode(published)

    def _saved(self, records: _Latest) -> Saved | None:
        manifest = self._manifest(records[MANIFEST])
        if manifest["definition"] != self._definition:
            raise SnapshotError(
                "the state was saved for another definition: models, features, task or schema have"
                f" changed. Give the pipeline another name, or delete its topics {self._topic!r}"
                " and 'models' to learn from the beginning of the log again"
            )
        inputs = {name: Identity(*each) for name, each in manifest.get("inputs", {}).items()}
        saved = Saved(manifest["covers"], records[MANIFEST].flush, inputs)
        for key, record in sorted(records.items()):
            if key.startswith(ORDER) and record.value is not None:
                saved.runs += self._load(record.value)
            elif key not in (MANIFEST, OWNER) and record.value is not None:
                operator, name, entry = key.split("/", 2)
                store = f"{operator}/{name}"
                change = Change(entry, record.sequence, self._value(store, record.value))
                saved.entries.setdefault(store, []).append(change)
        # A broker that has dropped records, as the embedded one does, has no complete state.
        sizes = manifest["sizes"].items()
        is_complete = all(len(saved.entries.get(store, [])) == size for store, size in sizes)
        return saved if is_complete else None

    def _manifest(self, record: StateRecord) -> Manifest:
        manifest: Manifest = self._load(record.value or b"")
        return manifest

    def _value(self, store: str, value: bytes) -> object:
        if store == MODELS:
            return self._load(shipped("model_snapshot").decode(value)["payload"])
        return self._load(value)

    def _dump(self, value: object) -> bytes:
        return snapshot.dump(value, self._key)

    def _load(self, data: bytes) -> Any:
        return snapshot.load(data, self._key, self._own)

    def _records(
        self, topic: str, partitions: Iterable[int], last: Mapping[int, int] | None = None
    ) -> Iterator[tuple[int, StateRecord]]:
        """Read partitions of a topic to their ends, all of them or only their last offsets."""
        for message in read_to_end(self._clients, self._prefix + topic, partitions, last):
            yield message.partition() or 0, read_record(topic, message)


def _fingerprint(pipeline: Pipeline) -> str:
    """Return what of a definition the shape of its state depends on."""
    names = [name for feature in pipeline.features for name in feature.names]
    schema = pipeline.event_schema.as_written.header.hex()
    return f"{pipeline.task} {pipeline.scope} {[*pipeline.models]} {names} {schema}"
