"""The topic `models`, as an agent follows it that predicts and does not learn.

It knows no manifest. So it takes what is signed for its place and of no earlier flush than what
came before. Where the newer one is gone, only the agent that learns sees that a record was put
back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from millrace.models.candidates.model_set import ModelSet
from millrace.schemas import shipped
from millrace.streams.operators.record import MODELS_KEY, SnapshotRecord, TombstoneRecord
from millrace.streams.state.parts import Parts, is_part
from millrace.streams.state.records import origin_of, read_record
from millrace.streams.state.signed_topics import SignedTopics
from millrace.streams.state.succession import Succession


class PublishedModels:
    """Reads the models that another agent has published.

    Parameters
    ----------
    signed
        Reads the topic.
    parts
        Puts large models together.
    load
        Makes models of what was dumped.
    """

    def __init__(
        self, signed: SignedTopics, parts: Parts, load: Callable[[bytes], ModelSet]
    ) -> None:
        self._signed = signed
        self._parts = parts
        self._load = load
        self._followed: defaultdict[int, Succession] = defaultdict(Succession)
        self._read_to: dict[int, int] = {}

    def read(self, partitions: Iterable[int]) -> Iterator[SnapshotRecord | TombstoneRecord]:
        """Yield what is on some partitions, oldest first, parts of large models too."""
        followed = {each: Succession() for each in partitions}
        self._followed.update(followed)
        read_to: dict[int, int] = dict.fromkeys(followed, -1)
        self._read_to.update(read_to)
        for partition, record in self._signed.read("models", followed):
            read_to[partition] = record.offset
            origin = origin_of(partition, record)
            if record.value is not None:
                yield SnapshotRecord(shipped("model_snapshot").decode(record.value), origin)
            elif not is_part(record.key):
                scope_key = record.key.removeprefix(MODELS_KEY)
                yield TombstoneRecord({}, origin, "models", scope_key=scope_key)
        self._read_to.update(read_to)

    def changes(self, record: SnapshotRecord | TombstoneRecord) -> Mapping[str, ModelSet | None]:
        """Return scope keys to their new models; None where they are removed.

        None of that is news in what `read` has gone through, and nothing in a part of a model that
        is to come.

        Raises
        ------
        SnapshotError
            The record is not genuine, or not the newest; or see `streams.state.snapshot.load`.
        """
        origin = record.origin
        if origin.offset <= self._read_to.get(origin.partition, -1):
            return {}
        genuine = self._signed.checked(origin.partition, read_record(origin))
        self._followed[origin.partition].take(genuine)
        if isinstance(record, TombstoneRecord):
            return {record.scope_key: None}
        whole = self._parts.whole(record.value["payload"])
        return {} if whole is None else {record.value["scope_key"]: self._load(whole)}
