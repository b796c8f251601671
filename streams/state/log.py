"""State on Kafka: written with the batch that it follows from, read back on assignment.

The changed entries of an agent's stores go to the compacted topic `state.<agent>`, the models to
the compacted topic `models`, both on the partition that they are the state of. A manifest ends
each flush: how far into its inputs the state goes. Entries behind the last manifest, left by a
crash without transactions, are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, cast

from confluent_kafka import Message, Producer

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, SnapshotError, shipped
from millrace.schemas.records import ModelSnapshot
from millrace.streams.kafka.clients import producer_config
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.operators.keyed_state import Change
from millrace.streams.settings import Settings
from millrace.streams.state import snapshot
from millrace.streams.state.input_order import Run
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import state_topic

MODELS = "learning/models"
"""The store that is published to the topic `models`."""

_MANIFEST = "manifest"
_OWNER = "owner"
_ORDER = "order/"
_OPERATORS = "millrace.streams.operators"
_WRITE_TIMEOUT_SECONDS = 30.0


Headers: TypeAlias = list[tuple[str, str | bytes | None]]


class StateRecord(NamedTuple):
    """One entry on its way to a state topic (named without prefix); `value` None removes it."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers


@dataclass
class Saved:
    """The state of one partition as its last manifest has it.

    `covers` maps an input topic to the first offset that the state has not seen; `runs` is the
    order in which records from there on were taken.
    """

    covers: dict[str, int]
    flush: int
    entries: dict[str, list[Change]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def restore(self, task: Task) -> None:
        """Fill the empty stores of a task."""
        for name, store in task.stores():
            store.restore(self.entries.get(name, []))


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
        Partition to the transactional id that was last said to write it, when it was last read.
    """

    def __init__(
        self, pipeline: Pipeline, agent: AgentSpec, settings: Settings, prefix: str, key: bytes
    ) -> None:
        self._settings = settings
        self._prefix = prefix
        self._topic = state_topic(agent)
        self._learns = "learning" in agent
        self._key = key
        self.owners: dict[int, str] = {}
        self._orders: Counter[int] = Counter()
        self._order_keys: dict[int, list[str]] = {}
        self._definition = _fingerprint(pipeline)
        self._allowed = {_OPERATORS, *_modules(pipeline)}

    def flush(
        self, partition: int, task: Task, covers: dict[str, int], number: int
    ) -> Iterator[StateRecord]:
        """Return what has changed in a task's stores since the last flush, manifest last."""
        sizes = {}
        for name, store in task.stores():
            sizes[name] = len(store)
            for change in store.take_changes():
                yield self._entry(name, change, covers, number)
        for key in self._order_keys.pop(partition, []):
            yield StateRecord(self._topic, key, None, _headers(number, 0))
        manifest = {"covers": covers, "sizes": sizes, "definition": self._definition}
        yield StateRecord(self._topic, _MANIFEST, self._dump(manifest), _headers(number, 0))

    def read(self, partitions: Iterable[int]) -> dict[int, Saved]:
        """Return what was saved for each of the partitions that anything was saved for.

        Raises
        ------
        SnapshotError
            Tampered with, signed with another key, or of another definition.
        BrokerError
            The topics cannot be read to their ends.
        """
        wanted = [*partitions]
        unended: dict[int, dict[str, StateRecord]] = {each: {} for each in wanted}
        latest: dict[int, dict[str, StateRecord]] = {each: {} for each in wanted}
        for partition, record in self._records(self._topic, wanted):
            is_of_no_flush = record.key == _OWNER or (
                record.key.startswith(_ORDER) and record.value is not None
            )
            (latest if is_of_no_flush else unended)[partition][record.key] = record
            if record.key == _MANIFEST:
                latest[partition] |= unended[partition]
                unended[partition].clear()
        self.owners = {
            partition: str(self._load(records[_OWNER].value or b""))
            for partition, records in latest.items()
            if _OWNER in records and records[_OWNER].value is not None
        }
        self._continue_orders(latest)
        flushed = {each: records for each, records in latest.items() if _MANIFEST in records}
        if self._learns:
            self._add_models(flushed)
        found = {each: self._saved(records) for each, records in flushed.items()}
        return {each: state for each, state in found.items() if state is not None}

    def _add_models(self, flushed: dict[int, dict[str, StateRecord]]) -> None:
        """Add the newest models: the last records hold them, or else the whole topic is read."""
        manifests = {each: records[_MANIFEST] for each, records in flushed.items()}
        counts = {
            partition: self._load(manifest.value or b"")["sizes"].get(MODELS, 0)
            for partition, manifest in manifests.items()
        }
        for is_tail in (True, False):
            last = {each: 4 * (count + 1) for each, count in counts.items()} if is_tail else {}
            found: dict[int, dict[str, StateRecord]] = {each: {} for each in counts}
            for partition, record in self._records("models", found, last):
                if _number(record) <= _number(manifests[partition]):
                    found[partition][record.key] = record
            for partition, records in found.items():
                there = sum(each.value is not None for each in records.values())
                if there == counts[partition] or not is_tail:
                    flushed[partition] |= records
                    del counts[partition]

    def _continue_orders(self, latest: dict[int, dict[str, StateRecord]]) -> None:
        for partition, records in latest.items():
            keys = sorted(
                key for key, each in records.items() if key.startswith(_ORDER) and each.value
            )
            self._order_keys[partition] = keys
            self._orders[partition] = int(keys[-1].removeprefix(_ORDER)) if keys else 0

    def order(self, partition: int, runs: list[Run]) -> StateRecord:
        """Return the record of the order in which a task has taken its inputs since the last."""
        self._orders[partition] += 1
        key = f"{_ORDER}{self._orders[partition]:012d}"
        self._order_keys.setdefault(partition, []).append(key)
        return StateRecord(self._topic, key, self._dump(runs), _headers(0, 0))

    def own(self, partitions: Iterable[int], owner: str | None) -> None:
        """Say, outside any transaction, who writes the partitions from now on; None: nobody.

        Whoever takes over from a worker that is gone aborts the transaction that it may have
        left open, which would else hold up every reader until it times out.
        """
        producer = Producer(producer_config(self._settings))
        value = None if owner is None else self._dump(owner)
        topic = self._prefix + self._topic
        for partition in partitions:
            producer.produce(topic, value, _OWNER, partition, headers=_headers(0, 0))
        if producer.flush(_WRITE_TIMEOUT_SECONDS):
            raise BrokerError(f"state requires {topic} to be writable; got no acknowledgement")

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

    def _entry(
        self, store: str, change: Change, covers: dict[str, int], number: int
    ) -> StateRecord:
        headers = _headers(number, change.sequence)
        if store != MODELS:
            value = None if change.value is None else self._dump(change.value)
            return StateRecord(self._topic, f"{store}/{change.key}", value, headers)
        key = f"{MODELS}/{change.key}"
        if change.value is None:
            return StateRecord("models", key, None, headers)
        models = cast(ModelSet, change.value)
        published = ModelSnapshot(
            scope_key=change.key,
            champion=models.champion,
            version=models.version,
            covers=covers,
            payload=self._dump(models),
        )
        return StateRecord("models", key, shipped("model_snapshot").encode(published), headers)

    def _saved(self, records: dict[str, StateRecord]) -> Saved | None:
        manifest = self._load(records[_MANIFEST].value or b"")
        if manifest["definition"] != self._definition:
            raise SnapshotError(
                "saved state requires the definition that made it: models, features, task or"
                " schema have changed. Give the pipeline another name, or delete its topics"
                f" {self._topic!r} and 'models' to learn anew from the log"
            )
        saved = Saved(manifest["covers"], _number(records[_MANIFEST]))
        for key, record in sorted(records.items()):
            if key.startswith(_ORDER) and record.value is not None:
                saved.runs += self._load(record.value)
            elif key not in (_MANIFEST, _OWNER) and record.value is not None:
                operator, name, entry = key.split("/", 2)
                store = f"{operator}/{name}"
                change = Change(entry, _sequence(record), self._value(store, record.value))
                saved.entries.setdefault(store, []).append(change)
        # A broker that dropped records (the embedded one does) has no whole state to give.
        whole = all(len(saved.entries.get(each, [])) == n for each, n in manifest["sizes"].items())
        return saved if whole else None

    def _value(self, store: str, value: bytes) -> Any:
        if store == MODELS:
            return self._load(shipped("model_snapshot").decode(value)["payload"])
        return self._load(value)

    def _dump(self, value: Any) -> bytes:
        return snapshot.dump(value, self._key)

    def _load(self, data: bytes) -> Any:
        return snapshot.load(data, self._key, self._allowed)

    def _records(
        self, topic: str, partitions: Iterable[int], last: Mapping[int, int] | None = None
    ) -> Iterator[tuple[int, StateRecord]]:
        """Read partitions of a topic from beginning to end, or only so many offsets of some."""
        for message in read_to_end(self._settings, self._prefix + topic, partitions, last):
            yield message.partition() or 0, _state_record(topic, message)


def _fingerprint(pipeline: Pipeline) -> str:
    """Say what of a definition the shape of its state depends on."""
    names = [name for feature in pipeline.features for name in feature.names]
    schema = pipeline.event_schema.as_written.header.hex()
    return f"{pipeline.task} {pipeline.scope} {[*pipeline.models]} {names} {schema}"


def _modules(pipeline: Pipeline) -> set[str]:
    """Return where a pipeline's models are defined: what else may be part of the state."""
    factories = [getattr(each, "func", each) for each in pipeline.models.values()]
    made = [type(factory()) for factory in pipeline.models.values()]
    return {each.__module__ for each in (*factories, *made)}


def _headers(number: int, sequence: int) -> Headers:
    return [("flush", str(number).encode()), ("sequence", str(sequence).encode())]


def _number(record: StateRecord) -> int:
    return int(dict(record.headers)["flush"] or 0)


def _sequence(record: StateRecord) -> int:
    return int(dict(record.headers)["sequence"] or 0)


def _state_record(topic: str, message: Message) -> StateRecord:
    key, headers = message.key() or b"", message.headers() or []
    return StateRecord(topic, key.decode(), message.value(), [*dict(headers).items()])
