"""What is known of a pipeline: the newest of each topic that it writes, in bounded memory.

Records are kept as they came, and decoded when they are asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from millrace.models.candidates.baselines import baselines
from millrace.schemas.records import Audit, Evaluation, Fate, Outcome, Prediction, Reject
from millrace.streams.formats import Outputs
from millrace.streams.serve.definition import ServedDefinition
from millrace.streams.serve.sending import RecordPlace
from millrace.streams.serve.waiting import Rejected
from millrace.streams.tools.deployed import Deployed, deployment
from millrace.streams.tools.evaluations import Followed, as_data
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import TOPICS

MOST_PREDICTIONS = 100_000
"""Predictions, and as many outcomes, that are known by the ids of their events."""

MOST_LISTED = 1_000
"""Records of each other topic that can be listed."""

_MOST_REJECTED = 10_000
_MOST_LISTED_BYTES = 8 * 1024 * 1024  # in one answer
_MOST_BYTES = 256 * 1024 * 1024
_ENDS = frozenset({Fate.JOINED, Fate.EXPIRED, Fate.EVICTED, Fate.REMOVED})
"""Fates of events; the others are those of labels."""

LISTED = ("alerts", "evaluations", "rejects", "audit")
"""The topics of which the newest records can be listed."""

K = TypeVar("K", bound=Hashable)


Found: TypeAlias = tuple[Prediction, Outcome | None]
"""A prediction, and what became of its event; None where that is not known."""


class Seen(NamedTuple):
    """A record that a worker has written.

    Attributes
    ----------
    topic
        Without the pipeline's prefix.
    partition, offset
        Where it is.
    data
        Its value, as it came.
    record
        What it says.
    """

    topic: str
    partition: int
    offset: int
    data: bytes
    record: Mapping[str, Any]


class Newest(Generic[K]):
    """The newest records, by keys: of several with one key the first.

    Parameters
    ----------
    most
        How many there may be.
    most_bytes
        How many bytes they may have together.

    Examples
    --------
    >>> newest = Newest[str](2, 1_000)
    >>> for key in ("a", "b", "a", "c"):
    ...     newest.add(key, key.encode() * 2)
    >>> [*newest.listed(5)], newest.get("a")
    ([b'cc', b'bb'], None)
    """

    def __init__(self, most: int, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0
        self._known: OrderedDict[K, bytes] = OrderedDict()

    def add(self, key: K, data: bytes) -> None:
        """Take a record, in place of the oldest where there are too many."""
        if key in self._known:
            return
        self._known[key] = data
        self._bytes += len(data)
        while len(self._known) > self._most or self._bytes > self._most_bytes:
            _, gone = self._known.popitem(last=False)
            self._bytes -= len(gone)

    def get(self, key: K) -> bytes | None:
        """Return the record of a key; None where it is not known."""
        return self._known.get(key)

    def items(self, limit: int) -> Iterator[tuple[K, bytes]]:
        """Yield keys and records, the newest first."""
        return islice(reversed(self._known.items()), limit)

    def listed(self, limit: int) -> Iterator[bytes]:
        """Yield records, the newest first: as many as one answer takes, and one at least."""
        size = 0
        for each in islice(reversed(self._known.values()), limit):
            size += len(each)
            if size > _MOST_LISTED_BYTES and size > len(each):
                return
            yield each


class Knowledge:
    """All that is known of a pipeline.

    Parameters
    ----------
    outputs
        Reads what is kept.

    Attributes
    ----------
    definition
        The one in force; None before it is known.
    deployed
        The definitions that came into force, oldest first.
    rejected
        The place of a record to why it was rejected.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self.definition: ServedDefinition | None = None
        self.deployed: list[Deployed] = []
        self.rejected: OrderedDict[RecordPlace, Rejected] = OrderedDict()
        self._predictions = Newest[str](MOST_PREDICTIONS)
        self._outcomes = Newest[str](MOST_PREDICTIONS)
        self._listed = {name: Newest[tuple[int, int]](MOST_LISTED) for name in LISTED}
        self._followed: Followed | None = None
        self._blocks: list[Evaluation] = []

    def add(self, seen: Seen) -> None:
        """Take a record."""
        record = cast(Any, seen.record)
        match seen.topic:
            case "predictions":
                self._predictions.add(record["event_id"], seen.data)
            case "outcomes":
                if record["fate"] in _ENDS:
                    self._outcomes.add(record["event_id"], seen.data)
            case "evaluations":
                self._add_block(record)
            case "audit":
                self._add_entry(record)
            case "rejects":
                self._add_reject(record)
        if seen.topic in self._listed:
            self._listed[seen.topic].add((seen.partition, seen.offset), seen.data)

    def define(self, definition: ServedDefinition) -> None:
        """Take the definition in force."""
        self.definition = definition
        if self._followed is None:
            self._followed = Followed.begun(definition.task)
            for each in self._blocks:
                self._followed.add(each)
            self._blocks.clear()

    def prediction(self, event_id: str) -> Prediction | None:
        """Return the prediction of an event; None where it is not known."""
        return cast(Prediction | None, self._read("predictions", self._predictions.get(event_id)))

    def outcome(self, event_id: str) -> Outcome | None:
        """Return what became of an event; None where that is not known."""
        return cast(Outcome | None, self._read("outcomes", self._outcomes.get(event_id)))

    def newest(self, topic: str, limit: int) -> list[Mapping[str, Any]]:
        """Return the newest records of a topic, the newest first."""
        read = (self._read(topic, each) for each in self._listed[topic].listed(limit))
        return [each for each in read if each is not None]

    def some_predictions(self, limit: int) -> Iterator[Found]:
        """Return those same with their outcomes, which are decoded as they are asked for.

        What is known changes nothing of it meanwhile, so another thread may go through it.
        """
        kept = [
            (data, self._outcomes.get(event_id))
            for event_id, data in self._predictions.items(limit)
        ]
        return (
            cast(Found, (self._read("predictions", one), self._read("outcomes", other)))
            for one, other in kept
        )

    @property
    def followed(self) -> Followed | None:
        """What blocks of events have shown; None before a definition is known."""
        return self._followed

    def newest_predictions(self, limit: int) -> list[Prediction]:
        """Return the newest predictions, the newest first."""
        read = (self._read("predictions", each) for each in self._predictions.listed(limit))
        return [cast(Prediction, each) for each in read]

    def models(self) -> dict[str, Any]:
        """Return every candidate, and how it does."""
        if self._followed is None or self.definition is None:
            return {}
        return as_data(self._followed, [*baselines(self.definition.task)])

    def _read(self, topic: str, data: bytes | None) -> Mapping[str, Any] | None:
        return None if data is None else self._outputs.decode(record_type(topic), data)

    def _add_block(self, block: Evaluation) -> None:
        if self._followed is None:  # the baselines follow from the task
            self._blocks.append(block)
        else:
            self._followed.add(block)

    def _add_entry(self, entry: Audit) -> None:
        found = deployment(entry)
        if found is not None:
            self.deployed.append(found)

    def _add_reject(self, reject: Reject) -> None:
        place = RecordPlace(reject["topic"], reject["partition"], reject["offset"])
        self.rejected.setdefault(place, Rejected(reject["reason"], reject["detail"]))
        if len(self.rejected) > _MOST_REJECTED:
            self.rejected.popitem(last=False)


def record_type(topic: str) -> Any:
    """Return the type of the records of an output topic."""
    return SHIPPED[TOPICS[topic].types[0]]
