"""What is found of the state of one partition: of each key the newest record that counts.

Not every record counts. One that is not signed, or that nobody of us writes, is passed over, and so
is one of a flush that was never ended. Where such a record is the newest of its key, compaction
will leave it and drop the one that counts: so the next flush writes that one again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millrace.streams.state.parts import is_part, part_key
from millrace.streams.state.records import MANIFEST, ORDER, OWNER, Place, StateRecord


class Found:
    """The records of one partition.

    Parameters
    ----------
    topic
        Of the agent's state.

    Attributes
    ----------
    records
        Of each key the newest that counts, of the topics that have been read.
    refused
        Where records are that are signed with another key, or were changed; the first few.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.records: dict[Place, StateRecord] = {}
        self.refused: list[str] = []
        self._unended: dict[Place, StateRecord] = {}
        self._passed_over: set[Place] = set()

    def add(self, record: StateRecord) -> None:
        """Take the next genuine record of the state topic, in the order of the topic."""
        self._passed_over.discard(record.place)
        is_of_a_flush = record.key != OWNER and not (
            record.key.startswith(ORDER) and record.value is not None
        )
        (self._unended if is_of_a_flush else self.records)[record.place] = record
        if record.key == MANIFEST:
            self.records |= self._unended
            self._unended.clear()

    def add_model(self, record: StateRecord) -> None:
        """Take the next genuine record of the topic `models`."""
        manifest = self.own(MANIFEST)
        if manifest is None or record.flush > manifest.flush:  # of a flush that was never ended
            self.pass_over(record)
        else:
            self._passed_over.discard(record.place)
            self.records[record.place] = record

    def pass_over(self, record: StateRecord) -> None:
        """Note a record that does not count."""
        self._passed_over.add(record.place)

    def own(self, key: str) -> StateRecord | None:
        """Return the newest record of a key of the state topic that counts, if it has a value."""
        record = self.records.get((self._topic, key))
        return None if record is None or record.value is None else record

    def newest_flush(self) -> int:
        """Return the highest number of a flush, ended or not; 0 for none."""
        records = (*self.records.values(), *self._unended.values())
        return max((each.flush for each in records), default=0)

    def entries(self) -> Iterator[StateRecord]:
        """Return what is in the stores, by key, without parts."""
        for record in self._by_key():
            if not is_part(record.key) and not record.key.startswith(ORDER):
                yield record

    def parts(self) -> Iterator[StateRecord]:
        """Return the parts of large entries."""
        return (record for record in self._by_key() if is_part(record.key))

    def orders(self) -> Iterator[StateRecord]:
        """Return the records of the order in which inputs were taken, oldest first."""
        return (record for record in self._by_key() if record.key.startswith(ORDER))

    def to_write_again(self) -> dict[Place, StateRecord]:
        """Return the records that count, but are not the newest of their keys."""
        hidden = self._hidden()
        counted = (*self.entries(), *self.parts())
        return {each.place: each for each in counted if each.place in hidden}

    def leftovers(self, counts: Mapping[Place, int]) -> set[Place]:
        """Return the places that hold nothing of the state, given how many parts entries have."""
        used = {
            (topic, part_key(key, number))
            for (topic, key), count in counts.items()
            for number in range(count)
        }
        unused = {record.place for record in self.parts()} - used
        counted = {record.place for record in (*self.entries(), *self.parts())}
        return unused | (self._hidden() - counted)

    def everything(self) -> set[Place]:
        """Return every place that is taken, but for those of manifest, owner and orders."""
        return self._hidden() | {each.place for each in (*self.entries(), *self.parts())}

    def _hidden(self) -> set[Place]:
        """Return the places whose newest records do not count."""
        places = {*self._passed_over, *self._unended}
        always_written = {(self._topic, key) for key in (MANIFEST, OWNER)}
        return {(topic, key) for topic, key in places - always_written if key}

    def _by_key(self) -> Iterator[StateRecord]:
        for _, record in sorted(self.records.items(), key=lambda item: item[0][1]):
            if record.value is not None and record.key not in (MANIFEST, OWNER):
                yield record
