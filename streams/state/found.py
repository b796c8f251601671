"""What is found of the state of one partition: of each key the newest record that counts.

Not every record counts. One that is not signed, or that nobody of us writes, is passed over, and so
is one of a flush that was never ended. Where such a record is the newest of its key, compaction
will leave it and drop the one that counts: so the next flush writes that one again.

Flushes are numbered, and each writes behind the one before it. So a record with a lower number than
one before it was put back by somebody, and does not count either. What release 0.1 wrote is not
signed with its place: it comes before all that is, and counts until a flush has written it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from millrace.streams.state.parts import is_part, part_key
from millrace.streams.state.records import MANIFEST, OWNER, Place, StateRecord
from millrace.streams.state.signing import OtherKeyError
from millrace.streams.state.succession import MisplacedError, Succession

_MOST_NAMED = 5


class Found:
    """The records of one partition.

    Parameters
    ----------
    topic
        Of the agent's state.

    Attributes
    ----------
    records
        Of each key the newest that counts, of the topics that have been read; without orders.
    refused
        Topic and offset of what is signed, but with another key, or was copied, put back or
        changed, to its key and the reason.
    is_of_another_key
        Whether there is a manifest or an owner that is signed with another key.
    newest_flush
        The highest number of a flush, ended or not; 0 for none.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.records: dict[Place, StateRecord] = {}
        self.refused: dict[tuple[str, int], str] = {}
        self.is_of_another_key = False
        self.newest_flush = 0
        self._orders: dict[Place, StateRecord] = {}
        self._unended: dict[Place, StateRecord] = {}
        self._passed_over: set[Place] = set()
        self._flushes = Succession()
        self._ended = -1  # the newest flush that has, among those signed with their places
        self._published = Succession()

    def take(self, record: StateRecord) -> None:
        """Take the next genuine record of one of the topics, in the order of the topic.

        Raises
        ------
        MisplacedError
            It does not count, since somebody has put it there.
        """
        if record.is_bound or self._ended < 0:
            self.newest_flush = max(self.newest_flush, record.flush)
        if record.topic == "models":
            self._take_models(record)
        elif record.key == OWNER:
            self._take_owner(record)
        else:
            self._take_state(record)

    def forget_models(self) -> None:
        """Forget what was read of the topic `models`: it is read again."""
        self._published = Succession()
        for place in [each for each in self.records if each[0] == "models"]:
            del self.records[place]

    def pass_over(self, record: StateRecord, error: Exception | None = None) -> None:
        """Note a record that does not count, and why, if it should not be there."""
        self._passed_over.add(record.place)
        if isinstance(error, OtherKeyError | MisplacedError):
            self.refused[record.topic, record.offset] = f"({record.key!r}): {error}"
        if isinstance(error, OtherKeyError) and record.key in (MANIFEST, OWNER):
            self.is_of_another_key = True

    def faults(self, prefix: str, partition: int) -> str:
        """Say what is refused, in words: how many records, the first of them by name."""
        named = [
            f"{prefix}{topic}[{partition}]@{offset} {said}"
            for (topic, offset), said in [*self.refused.items()][:_MOST_NAMED]
        ]
        return f"{len(self.refused)} records are refused: {'; '.join(named)}"

    def own(self, key: str) -> StateRecord | None:
        """Return the newest record of a key of the state topic that counts, if it has a value."""
        record = self.records.get((self._topic, key))
        return None if record is None or record.value is None else record

    def elements(self) -> dict[str, int]:
        """Return what the entries that count are to a manifest that lists them, by key."""
        return {
            record.key: record.element
            for record in self._with_value()
            if record.element is not None and not is_part(record.key)
        }

    def entries(self) -> Iterator[StateRecord]:
        """Return what is in the stores, by key, without parts."""
        return (record for record in self._by_key() if not is_part(record.key))

    def parts(self) -> Iterator[StateRecord]:
        """Return the parts of large entries."""
        return (record for record in self._by_key() if is_part(record.key))

    def orders(self) -> list[StateRecord]:
        """Return the records of the order in which inputs were taken, oldest first."""
        return [record for _, record in sorted(self._orders.items())]

    def to_write_again(self) -> dict[Place, StateRecord]:
        """Return the records that count, but are not the newest of their keys, or signed anew."""
        hidden = self._hidden()
        counted = (*self.entries(), *self.parts())
        return {each.place: each for each in counted if each.place in hidden or not each.is_current}

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

    def _take_models(self, record: StateRecord) -> None:
        manifest = self.own(MANIFEST)
        if (
            manifest is None
            or record.flush > manifest.flush  # of a flush that was never ended
            or (record.is_bound and not manifest.is_bound)
        ):
            self.pass_over(record)
            return
        self._published.take(record)
        before = self.records.get(record.place)
        if before is not None and before.flush == record.flush:
            _check_copy(record, before)
        if record.is_bound == manifest.is_bound:
            self._passed_over.discard(record.place)
            self.records[record.place] = record
        else:  # of release 0.1, before all was written anew
            self.pass_over(record)

    def _take_owner(self, record: StateRecord) -> None:
        if not record.is_bound:
            self._flushes.take(record)
        before = self.records.get(record.place)
        if before is not None and _rank(record) < _rank(before):
            raise MisplacedError("it names an earlier owner of the partition: it was put back")
        self._passed_over.discard(record.place)
        self.records[record.place] = record

    def _take_state(self, record: StateRecord) -> None:
        """Take an entry, which counts with the next manifest, or an order, or a manifest."""
        if record.is_bound and record.flush == self._ended and not record.is_order:
            self._take_copy(record)
            return
        self._flushes.take(record)
        self._passed_over.discard(record.place)
        if record.is_order:
            self._orders[record.place] = record
            return
        self._unended[record.place] = record
        if record.key == MANIFEST:
            self._end(record)

    def _take_copy(self, record: StateRecord) -> None:
        """Take what is of the last flush, but behind its end: it is a copy, or does not count."""
        before = self.records.get(record.place)
        if before is not None:
            _check_copy(record, before)
        self._passed_over.discard(record.place)
        self.records[record.place] = record

    def _end(self, manifest: StateRecord) -> None:
        """Let the records of a flush count, and orders only that came after it began."""
        if manifest.is_bound:
            self._drop_alone()
            self._ended = manifest.flush
        self.records |= self._unended
        self._orders = {
            place: each
            for place, each in self._orders.items()
            if place not in self._unended and (not each.is_bound or each.flush >= self._ended)
        }
        self._unended.clear()

    def _drop_alone(self) -> None:
        """Let nothing count any more that is not signed with its place."""
        if self._ended >= 0:
            return
        for records in (self.records, self._unended, self._orders):
            for each in [each for each in records.values() if not each.is_bound]:
                del records[each.place]
                if each.value is not None:
                    self._passed_over.add(each.place)
        self._passed_over -= {*self._unended}

    def _hidden(self) -> set[Place]:
        """Return the places whose newest records do not count."""
        places = {*self._passed_over, *self._unended}
        always_written = {(self._topic, key) for key in (MANIFEST, OWNER)}
        return {(topic, key) for topic, key in places - always_written if key}

    def _by_key(self) -> Iterable[StateRecord]:
        return sorted(self._with_value(), key=lambda record: record.key)

    def _with_value(self) -> Iterator[StateRecord]:
        for record in self.records.values():
            if record.value is not None and record.key not in (MANIFEST, OWNER):
                yield record


def _check_copy(record: StateRecord, before: StateRecord) -> None:
    """Refuse what is of a flush that has ended, unless it is the same as what that has written."""
    if record.element != before.element:
        raise MisplacedError(f"it is of flush {record.flush}, which has ended: it was put back")


def _rank(owner: StateRecord) -> tuple[bool, int]:
    return owner.is_bound, owner.sequence
