"""State on Kafka: written with the batch that it follows from, read back on assignment.

The changed entries of an agent's stores go to the compacted topic `state.<agent>`, the models to
the compacted topic `models`, both on the partition that they are the state of. A manifest ends
each flush: it says how far into its inputs the state goes, and how much there is of it. Large
entries are split (`entries`, `parts`). What is read is signed (`signed_topics`); what counts of it
is in `found`. Each record is signed with its place (`binding`), and the manifest lists the entries
(`listed`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import structlog

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SnapshotError
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.keyed_state import Change
from millrace.streams.state import snapshot
from millrace.streams.state.binding import Binding, payload_of
from millrace.streams.state.entries import MODELS, Entries
from millrace.streams.state.flush import Flush
from millrace.streams.state.found import Found
from millrace.streams.state.listed import Listed, digest_of
from millrace.streams.state.migrations import Name
from millrace.streams.state.order_log import OrderLog
from millrace.streams.state.parts import PART_BYTES, Parts, count_parts, is_part
from millrace.streams.state.published import PublishedModels
from millrace.streams.state.records import (
    MANIFEST,
    OWNER,
    Manifest,
    Place,
    Saved,
    StateRecord,
    state_record,
)
from millrace.streams.state.restoring import Restored, Restoring
from millrace.streams.state.signed_topics import SignedTopics
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import state_topic

_WRITE_TIMEOUT_SECONDS = 30.0

_log = structlog.get_logger(__name__)


@dataclass
class _OnTopics:
    """What is on the topics of one partition besides whole entries.

    Attributes
    ----------
    parts
        Where a large entry is, to how many parts it has.
    again
        What the next flush writes again as it is: it is hidden, or not signed as it would be now.
    leftovers
        Where something is that belongs to nothing.
    attempted
        Where something may be of a flush that was not committed: without transactions it stays.
    listed
        The entries that the manifest lists.
    flush
        Number of the newest flush, also of one that was given up.
    """

    parts: dict[Place, int] = field(default_factory=dict)
    again: dict[Place, StateRecord] = field(default_factory=dict)
    leftovers: set[Place] = field(default_factory=set)
    attempted: set[Place] = field(default_factory=set)
    listed: Listed = field(default_factory=Listed)
    flush: int = 0


@dataclass
class _Flushed:
    """What is on the topics once a flush is committed.

    Attributes
    ----------
    parts
        As `_OnTopics` has them.
    number
        Of the flush.
    written
        Where it has written parts of entries, and what else the next flush does not write again
        if this one is given up.
    """

    parts: dict[Place, int]
    number: int
    written: set[Place] = field(default_factory=set)


class StateLog:
    """Writes and reads the state of one agent.

    Parameters
    ----------
    pipeline
        The definition.
    agent
        Whose state.
    clients
        Makes what reads and writes.
    prefix
        Of the pipeline's topics.
    key
        Signs what is written; what is read must be signed with it.
    part_bytes
        Longest value of a record.
    on_skipped
        Called with the topic of each record that is neither used nor understood.
    on_lost
        Called for each entry that this version of River or Python cannot read.
    find
        Imports the definition of a digest, whose classes state may hold.
    renamed
        What classes are called today that earlier state names by the modules of a file.

    Attributes
    ----------
    owners
        Partition to the transactional ids that owned it when the state was last read, separated by
        spaces.
    published
        The topic `models`, for an agent that does not learn.
    order
        In which order the agent has taken its inputs.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        agent: AgentSpec,
        clients: Clients,
        prefix: str,
        key: bytes,
        *,
        part_bytes: int = PART_BYTES,
        on_skipped: Callable[[str], None] = lambda _: None,
        on_lost: Callable[[], None] = lambda: None,
        find: Callable[[str], Pipeline | None] = lambda _: None,
        renamed: Mapping[Name, Name] = MappingProxyType({}),
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._name = f"{prefix}{agent.name}-"
        self._topic = state_topic(agent)
        self._learns = "learning" in agent
        self._key = key
        self._entries = Entries(self._topic, key, part_bytes, clients.beside)
        self._binding = Binding(prefix, key)
        self._signed = SignedTopics(clients, prefix, self._binding, on_skipped)
        self.order = OrderLog(agent, clients, prefix, key, on_skipped)
        self.owners: dict[int, str] = {}
        self._changes_of_owner: Counter[int] = Counter()
        self._on_topics: defaultdict[int, _OnTopics] = defaultdict(_OnTopics)
        self._flushed: dict[int, _Flushed] = {}
        self._restoring = Restoring(
            pipeline, self._topic, prefix, key, self._parts, on_lost, find, renamed
        )
        self.published = PublishedModels(self._signed, self._parts(), self._restoring.models)

    def flush(
        self,
        partition: int,
        task: Task,
        covers: dict[str, int],
        number: int,
        inputs: Mapping[str, Identity] = MappingProxyType({}),
        definition: str = "",
        order: int = 0,
    ) -> Iterator[StateRecord]:
        """Return what has changed in a task's stores since it was last saved, manifest last.

        It is the state as it is now, however long it takes to go through, and whatever the task
        does meanwhile. It counts as saved once `mark_saved` is called; `give_up` takes it back.
        """
        if partition in self._flushed:
            self.give_up(partition, task)
        there = self._on_topics[partition]
        stores, parts = dict(task.stores()), dict(there.parts)
        flush = _Flushed(parts, max(number, there.flush + 1))
        former = there.leftovers | there.attempted
        others = former | {*there.again}

        def records_of(store: str, change: Change) -> Iterator[StateRecord]:
            return self._entries.of(partition, store, change, covers, flush.number, parts)

        self._flushed[partition] = flush
        there.listed.begin()
        changed = Flush(stores.items(), records_of)
        sizes = {name: len(store) for name, store in stores.items()}

        def records() -> Iterator[StateRecord]:
            for record in changed:
                if is_part(record.key) or record.place in others:
                    flush.written.add(record.place)
                yield record
            for place, record in there.again.items():
                if place not in flush.written:
                    flush.written.add(place)
                    yield self._entries.renewed(record, flush.number)

        def signed() -> Iterator[StateRecord]:
            sign = partial(self._binding.signed, partition)
            for record in map(sign, records()):
                there.listed.note(record)
                yield record
            for topic, key in sorted(former - flush.written):
                yield sign(state_record(topic, key, None, flush=flush.number))
            listed = there.listed.digest()
            manifest = self._manifest(covers, inputs, sizes, parts, listed, definition, order)
            yield sign(state_record(self._topic, MANIFEST, manifest, flush=flush.number))

        return signed()

    def mark_saved(self, partition: int, task: Task) -> None:
        """Note that the last flush was committed."""
        for _, store in task.stores():
            store.end_save()
        flush = self._flushed.pop(partition)
        there = self._on_topics[partition]
        there.listed.end()
        self._on_topics[partition] = _OnTopics(flush.parts, listed=there.listed, flush=flush.number)

    def give_up(self, partition: int, task: Task) -> None:
        """Note that the last flush was not committed."""
        for _, store in task.stores():
            store.give_up_save()
        there, flush = self._on_topics[partition], self._flushed.pop(partition)
        there.attempted |= flush.written
        there.flush = flush.number  # of which records may stay: the next has another

    def own(self, partitions: Iterable[int], owner: str | None) -> None:
        """Write, outside any transaction, who owns the partitions from now on; None: no worker.

        A worker that takes over from one that is gone aborts the transaction that it may have
        left open, which would otherwise hold up every reader until it times out.

        Raises
        ------
        BrokerError
            The broker does not take it.
        """
        topic, value = self._prefix + self._topic, self._dump(owner or "")
        producer = CheckedProducer(self._clients)
        for partition in partitions:
            self._changes_of_owner[partition] += 1
            number = self._changes_of_owner[partition]
            record = state_record(self._topic, OWNER, value, sequence=number)
            headers = self._binding.signed(partition, record).headers
            producer.produce(topic, value, OWNER, partition, headers=headers)
        producer.flush(_WRITE_TIMEOUT_SECONDS)

    def read(self, partitions: Iterable[int]) -> dict[int, Saved]:
        """Return what was saved for each of the partitions that all of it was found of.

        Raises
        ------
        SnapshotError
            It is incomplete, and what is missing may be what is signed with another key; or it is
            of another definition or version.
        BrokerError
            The topics cannot be read to their ends.
        """
        try:
            return self._read({each: Found(self._topic) for each in partitions})
        except SnapshotError as error:
            prefix = self._prefix
            raise SnapshotError(
                f"{error}. This is the state in {prefix}{self._topic}; all state of the pipeline"
                f" is in {prefix}state.* and {prefix}models"
            ) from error

    def complete_records(self, partition: int) -> list[StateRecord]:
        """Return the records of what was saved of a partition, manifest included, to be archived.

        Nothing of it is loaded. There are none where it is not complete, since nothing was saved
        yet, or a save was committed while it was read.

        Raises
        ------
        BrokerError
            The topics cannot be read to their ends.
        """
        found = Found(self._topic)
        self._signed.read_all(self._topic, {partition: found})
        manifest = found.own(MANIFEST)
        if manifest is None or not manifest.is_bound:
            return []
        if self._learns:
            self._add_models({partition: found})
        heads, parts = [*found.entries()], [*found.parts()]
        counted = sum(count_parts(payload_of(each) or b"", self._key) for each in heads)
        if not _is_as_listed(found, self._restoring.manifest(found)) or len(parts) < counted:
            return []
        return [manifest, *heads, *parts]

    def saved_of(self, partition: int, records: Iterable[StateRecord]) -> Saved:
        """Return the state that `complete_records` has given, once each is checked again.

        Raises
        ------
        SnapshotError
            It cannot be read; or see `read`.
        """
        found = Found(self._topic)
        for each in records:
            found.take(self._binding.checked(partition, each))
        restored = self._restored(partition, found)
        if restored is None:
            raise SnapshotError("an archived state must be complete; entries of it are missing")
        return restored.saved

    def manifest_of(self, record: StateRecord) -> Manifest:
        """Return what the record of a manifest says."""
        manifest: Manifest = self._restoring.load(record.value or b"")
        return manifest

    def _read(self, found: dict[int, Found]) -> dict[int, Saved]:
        self._signed.read_all(self._topic, found)
        self.owners = {}
        for partition, records in found.items():
            record = records.own(OWNER)
            if record is None:
                continue
            self._changes_of_owner[partition] = record.sequence
            owner = str(self._restoring.load(record.value or b""))
            # What release 0.1 wrote may be copied from another pipeline.
            if record.is_bound or all(each.startswith(self._name) for each in owner.split()):
                self.owners[partition] = owner
        self.owners = {partition: owner for partition, owner in self.owners.items() if owner}
        if self._learns:
            self._add_models(found)
        saved = {partition: self._saved(partition, records) for partition, records in found.items()}
        return {partition: state for partition, state in saved.items() if state is not None}

    def _add_models(self, found: Mapping[int, Found]) -> None:
        """Add the newest models: the last records hold them, or else the whole topic is read.

        Where there is no manifest, what is there counts for nothing, and is written over.
        """
        missing = {**found}
        for is_tail in (True, False):
            tails = {
                each: self._tail(records)
                for each, records in missing.items()
                if is_tail and records.own(MANIFEST)
            }
            for records in missing.values():
                records.forget_models()
            self._signed.read_all("models", missing, tails)
            missing = {
                each: records
                for each, records in missing.items()
                if each in tails and not self._has_models(records)
            }

    def _tail(self, found: Found) -> int:
        """Return in how many offsets at the end of `models` the newest are, as a rule."""
        manifest = self._restoring.manifest(found)
        return 4 * (manifest["sizes"].get(MODELS, 0) + 1) + 2 * manifest.get("parts", 0)

    def _has_models(self, found: Found) -> bool:
        manifest = self._restoring.manifest(found)
        if not _is_as_listed(found, manifest):
            return False
        heads = [each for each in found.entries() if each.topic == "models"]
        parts = sum(count_parts(payload_of(each) or b"", self._key) for each in heads)
        there = sum(each.topic == "models" for each in found.parts())
        return len(heads) == manifest["sizes"].get(MODELS, 0) and there >= parts

    def _parts(self) -> Parts:
        return Parts(self._key, self._clients.beside)

    def _manifest(
        self,
        covers: dict[str, int],
        inputs: Mapping[str, Identity],
        sizes: dict[str, int],
        parts: dict[Place, int],
        listed: bytes,
        definition: str,
        order: int,
    ) -> bytes:
        manifest = Manifest(
            covers=covers,
            inputs={topic: (*inputs[topic],) for topic in covers if topic in inputs},
            sizes=sizes,
            definition=self._restoring.definition,
            deployed=definition,
            identities=self._restoring.identities,
            parts=sum(count for (topic, _), count in parts.items() if topic == "models"),
            listed=listed,
            order=order,
        )
        return self._dump(manifest)

    def _saved(self, partition: int, found: Found) -> Saved | None:
        """Return the state if all of it is there, and note what else is on the topics."""
        there = self._on_topics[partition] = _OnTopics(flush=found.newest_flush)
        orders = {each.place for each in found.orders()}
        restored = self._restored(partition, found)
        if restored is None:
            there.leftovers = found.everything() | orders
            return None
        former = sum(not each.is_current for each in (*found.entries(), *found.parts()))
        if former:
            _log.warning(
                "state is signed with a former key or by release 0.1; the next save writes it anew",
                topic=self._prefix + self._topic,
                partition=partition,
                records=former,
            )
        lost = {key for _, key in restored.lost}
        elements = found.elements().items()
        there.listed = Listed({key: each for key, each in elements if key not in lost})
        there.parts = restored.parts
        again = found.to_write_again()
        there.again = {place: each for place, each in again.items() if place not in restored.lost}
        there.leftovers = found.leftovers(there.parts) | restored.lost | orders
        return restored.saved

    def _restored(self, partition: int, found: Found) -> Restored | None:
        """Return the state, if it is all there.

        Raises
        ------
        SnapshotError
            It is not, and that may be for what is signed with another key, or was put there by
            somebody; or see `Restoring.restored`.
        """
        restored = self._restoring.restored(found)
        where = f"{self._prefix}{self._topic}[{partition}]"
        if restored is not None:
            if _is_as_listed(found, self._restoring.manifest(found)):
                return restored
            _log.warning("saved entries are not those that the manifest lists", topic=where)
        if found.is_of_another_key or (found.refused and found.own(MANIFEST)):
            raise SnapshotError(
                f"the saved state of {where} cannot be read: it is not all there, and of what is"
                f" there, {found.faults(self._prefix, partition)}. If the key is lost, or what was"
                " there before is gone, delete the state topics to learn from the log again"
            )
        return None

    def _dump(self, value: object) -> bytes:
        return snapshot.dump(value, self._key)


def _is_as_listed(found: Found, manifest: Manifest) -> bool:
    """Whether the entries are those of the last flush; release 0.1 listed none."""
    listed = manifest.get("listed")
    return listed is None or listed == digest_of(found.elements().values())
