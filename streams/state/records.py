"""What is written to a state topic, and what is read back of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, NotRequired, TypeAlias, TypedDict

from millrace.schemas import SnapshotError
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.protocols import Headers
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.record import Origin
from millrace.streams.state.input_order import Run
from millrace.streams.topology.task import Task

MANIFEST = "manifest"
"""Key of the record that ends a flush."""

OWNER = "owner"
"""Key of the record that names the transactional id that writes a partition."""

ORDER = "order/"
"""What the keys of runs begin with, which earlier releases noted on the state topic."""

SIGNATURE = "signature"
"""The header that binds a record to its place."""


Place: TypeAlias = tuple[str, str]
"""A topic, without prefix, and a key: of what belongs to one partition."""


class StateRecord(NamedTuple):
    """One entry of a state topic (named without prefix); a `value` of None removes it.

    `element` stands for it in what a manifest lists; None for what is not signed with its place, as
    release 0.1 wrote it. `is_current` says whether it is signed as it would be now.
    """

    topic: str
    key: str
    value: bytes | None
    headers: Headers
    offset: int = -1
    element: int | None = None
    is_current: bool = True

    @property
    def is_bound(self) -> bool:
        """Whether it is signed with its place."""
        return self.element is not None

    @property
    def is_order(self) -> bool:
        """Whether it says in which order inputs were taken."""
        return self.value is not None and self.key.startswith(ORDER)

    @property
    def flush(self) -> int:
        """The number of the flush that wrote it; of an order, the one that it comes after."""
        return int(dict(self.headers)["flush"] or 0)

    @property
    def sequence(self) -> int:
        """The place of the change among those of its store."""
        return int(dict(self.headers)["sequence"] or 0)

    @property
    def place(self) -> Place:
        """Where it is: a newer record there replaces it."""
        return self.topic, self.key


class Manifest(TypedDict):
    """How far the state of a partition goes, and how much there is of it.

    `covers` maps an input topic to the first offset that the state has not seen; `inputs` an input
    topic to its id and number of partitions, since release 0.2; `sizes` a store to its number of
    entries; `definition` says what the shape of the state depends on; `identities` a part of the
    definition to its identity, since release 0.2; `deployed` is the reference of the definition in
    force, since release 0.2; `parts` is how many records of `models` are parts of others; `listed`
    is what the entries add up to (`streams.state.listed`), since release 0.2; `order` is
    the first offset that is to be followed on the topic of the order, since release 0.2.
    """

    covers: dict[str, int]
    inputs: NotRequired[dict[str, tuple[str, int]]]
    sizes: dict[str, int]
    definition: str
    deployed: NotRequired[str]
    identities: NotRequired[dict[str, str]]
    parts: NotRequired[int]
    listed: NotRequired[bytes]
    order: NotRequired[int]


@dataclass
class Saved:
    """The state of one partition as its last manifest has it.

    Attributes
    ----------
    covers
        Input topic to the first offset that the state has not seen.
    flush
        The number of the flush that wrote it.
    inputs
        Input topic to which topic it was, where this is known.
    entries
        Store to what is in it.
    runs
        The order in which records from `covers` on were taken, as earlier releases noted it.
    order
        The first offset of the notes on the order that are to be followed.
    definition
        Reference of the definition in force, where this is known.
    renewed
        Store to the keys of entries of which a part was lost: the next save writes them anew.
    """

    covers: dict[str, int]
    flush: int
    inputs: dict[str, Identity] = field(default_factory=dict)
    entries: dict[str, list[Change]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    order: int = 0
    definition: str = ""
    renewed: dict[str, list[str]] = field(default_factory=dict)

    def restore(self, task: Task) -> None:
        """Fill the empty stores of a task."""
        for name, store in task.stores():
            store.restore(self.entries.get(name, []))
            for key in self.renewed.get(name, ()):
                store.mark(key)


def state_record(
    topic: str, key: str, value: bytes | None, *, flush: int = 0, sequence: int = 0
) -> StateRecord:
    """Return a record to write; without `flush`, one that belongs to none."""
    headers: Headers = [("flush", str(flush).encode()), ("sequence", str(sequence).encode())]
    return StateRecord(topic, key, value, headers)


def read_record(origin: Origin) -> StateRecord:
    """Return a record as it was read, whoever has written it.

    A key that is not UTF-8 comes back the same when it is written.
    """
    headers: Headers = list(dict(origin.headers).items())
    key = (origin.key or b"").decode(errors="surrogateescape")
    return StateRecord(origin.topic, key, origin.value, headers, origin.offset)


def origin_of(partition: int, record: StateRecord) -> Origin:
    """Return where a record was read, with all that was read there."""
    key = record.key.encode(errors="surrogateescape")
    headers = tuple(
        (name, value.encode() if isinstance(value, str) else value)
        for name, value in record.headers
    )
    return Origin(record.topic, partition, record.offset, 0, key, record.value, headers)


def check_record(record: StateRecord) -> None:
    """Refuse what cannot be one of ours: without a key, or the headers that each has.

    Raises
    ------
    SnapshotError
        It is not.
    """
    try:
        is_ours = bool(record.key) and min(record.flush, record.sequence) >= 0
    except (KeyError, ValueError):
        is_ours = False
    if not is_ours:
        raise SnapshotError("it has no key, or not the headers `flush` and `sequence`")
