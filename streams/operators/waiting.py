"""Events that wait for their labels: the newest as they are, all others as bytes.

Most labels come soon, and to pack an event and unpack it costs as much as a small model does. So
the newest events, up to half a megabyte, stay the objects that they are. All others are packed
(`packing`): one of ten numbers takes less than 400 bytes of memory, with all that is kept of it.
All are in blocks by arrival (`blocks`), so that what expires, and what there is no room for, is
found at once. What is saved of them is in `waiting_state`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from itertools import chain
from math import inf
from struct import Struct
from typing import TypeAlias, cast

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.metrics import needs_probabilities
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.limits import EVENT_BYTES, VALUE_BYTES
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import FeatureVector
from millrace.streams.operators.blocks import BLOCK_EVENTS, Block
from millrace.streams.operators.packing import Packing, Waiting
from millrace.streams.operators.waiting_state import WaitingState

_UNPACKED_BYTES = 512 * 1024  # by the rough count; as objects, they take four times as much
_UNPACKED_EVENTS = 2_048
_MOST_CLASSES = 1_000  # that a champion is taken to know, where it has not been asked yet
_SPARSE = 4  # a block of which less than a fourth is there is made anew

_PLACE = Struct("<QI")  # number of arrival, size

Unpacked: TypeAlias = tuple[int, int, Waiting]
"""The number of arrival and the size of an event, and the event."""


Left: TypeAlias = tuple[int, Waiting]
"""An event that has been removed, with the number of its chunk."""


def wait_ms(pipeline: Pipeline) -> int:
    """Return how long an event waits for its label, in milliseconds of event time."""
    return int(pipeline.longest_wait.total_seconds() * 1000)


class WaitingEvents:
    """The events of one partition that wait, by id, by time and by arrival.

    The rough size of an event is a function of its id, its features and what the champion
    predicted, which are known when it comes: so it is the same packed or not.

    Parameters
    ----------
    pipeline
        The definition: what its events are like, and how many may wait.

    Attributes
    ----------
    champion
        The candidate whose predictions are published.
    entries
        The state, to be saved and restored.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.champion = pipeline.champion
        self._index: dict[str, Unpacked | bytes] = {}
        self.entries = WaitingState(self)
        self._packing = Packing((), self.entries.add_part)
        self._size_bytes = 0
        self._number = 0  # of the next event to come
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._newest = Block()  # which alone may be empty
        self._heap: list[tuple[int, int]] = []  # earliest time of a block, and its number
        self._unpacked: deque[str] = deque()  # the newest, and some that are gone
        self._unpacked_bytes = 0
        self.go_on(pipeline)

    def go_on(self, pipeline: Pipeline) -> None:
        """Take events of a definition; those that wait keep the sizes that they came with."""
        task = Task(pipeline.task)
        self._limit = pipeline.pending.limit
        self._limit_bytes = pipeline.pending.limit_bytes
        self._candidates = len(pipeline.models) + len(baselines(task))
        self._with_probabilities = self._candidates if needs_probabilities(pipeline) else 1
        names = chain.from_iterable(each.names for each in pipeline.features)
        self._packing.names = tuple(names)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._index

    def has_none(self, ids: set[str]) -> bool:
        """Whether none of these events waits."""
        return self._index.keys().isdisjoint(ids)

    def __iter__(self) -> Iterator[Waiting]:
        """Yield each event, in order of arrival."""
        for block in self._blocks.values():
            for place, event_id in block:
                yield self._whole(event_id, block.times_ms[place])

    @property
    def oldest_ms(self) -> float:
        """The earliest event time that waits; infinite if nothing waits."""
        return self._earliest().earliest_ms if self._index else inf

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether so many more events may wait, of this size, and none has to go."""
        fit = self._size_bytes + size_bytes <= self._limit_bytes
        return fit and len(self._index) + events <= self._limit

    def most_size_of(self, vector: FeatureVector) -> int:
        """Return what an event may take at most, whatever is predicted for it."""
        classes = _MOST_CLASSES * self._with_probabilities
        return self._size_of(Waiting(vector, {})) + VALUE_BYTES * classes

    def get(self, event_id: str) -> Waiting | None:
        """Return an event; None if it does not wait."""
        value = self._index.get(event_id)
        if value is None:
            return None
        if type(value) is tuple:
            return value[2]
        at, place = divmod(_PLACE.unpack_from(cast(bytes, value))[0], BLOCK_EVENTS)
        return self._whole(event_id, self._blocks[at].times_ms[place])

    def put(self, waiting: Waiting) -> None:
        """Let an event wait, in place of one with the same id.

        What the champion predicted must be there, and stays; the rest may change until `pack`.
        """
        event_id = waiting.vector["event_id"]
        if event_id in self._index:
            self.take(event_id)
        self.put_all([waiting])

    def put_all(self, events: Iterable[Waiting]) -> None:
        """Let events wait that do not wait yet, as `put` does with each."""
        number, marked = self._number, -1
        for waiting in events:
            vector = waiting.vector
            event_id, time_ms = vector["event_id"], vector["event_time_ms"]
            at, place = divmod(number, BLOCK_EVENTS)
            if not place:
                self._open_block(at)
            block = self._newest
            if at != marked:
                self.entries.renew(at)
                marked = at
            block.add(event_id, time_ms)
            if block.listed_ms is None or time_ms < block.listed_ms:
                block.listed_ms = time_ms
                heappush(self._heap, (time_ms, at))
            size = self._size_of(waiting)
            self._index[event_id] = number, size, waiting
            number += 1
            self._size_bytes += size
            self._unpacked_bytes += size
            self._unpacked.append(event_id)
        self._number = number

    def pack(self) -> None:
        """Pack what has waited longest of what is not packed, if it is too much.

        It is called after each slice, when what was predicted of its events is known.
        """
        self._pack_down_to(_UNPACKED_EVENTS, _UNPACKED_BYTES)

    def pack_all(self) -> None:
        """Pack all events, as the state is saved."""
        self._pack_down_to(0, 0)

    def packed(self, event_id: str) -> bytes:
        """Return a packed event in bytes."""
        value = self._index[event_id]
        assert isinstance(value, bytes)
        return value

    def begin_chunk(self) -> int:
        """Let the next event begin another chunk of what is saved; return that one's number."""
        self._number += -self._number % BLOCK_EVENTS
        return self._number // BLOCK_EVENTS

    def go_past(self, chunk: int) -> None:
        """Let no event that comes be in a chunk before this one: those were of events now gone."""
        self._number = max(self._number, chunk * BLOCK_EVENTS)

    def chunk_of(self, event_id: str) -> int:
        """Return the number of the chunk that an event is in, which waits."""
        value = self._index[event_id]
        number = value[0] if type(value) is tuple else _PLACE.unpack_from(cast(bytes, value))[0]
        return cast(int, number) // BLOCK_EVENTS

    def take(self, event_id: str) -> Waiting | None:
        """Remove an event and return it, or None where there is none."""
        waiting = self.get(event_id)
        if waiting is not None:
            self.remove(event_id)
        return waiting

    def remove(self, event_id: str) -> None:
        """Remove an event that waits."""
        value = self._index[event_id]
        if type(value) is tuple:
            number, size, _ = value
            self._unpacked_bytes -= size
        else:
            number, size = _PLACE.unpack_from(cast(bytes, value))
        at, place = divmod(number, BLOCK_EVENTS)
        self.entries.note_gone(at, place)
        del self._index[event_id]
        self._size_bytes -= size
        block = self._blocks[at]
        block.remove(place)
        if block is not self._newest:
            self._tidy(at, block)

    def expired(self, before_ms: int) -> list[Left]:
        """Remove and return the events of earlier times, in order of time, then of arrival."""
        found: list[Left] = []
        while self._index:
            block = self._earliest()
            if block.earliest_ms >= before_ms:
                break
            found.append(self._taken(block.earliest()))
        return found

    def surplus(self) -> list[Left]:
        """Remove and return the oldest to come, as long as more wait than there is room for."""
        found: list[Left] = []
        index = self._index
        while len(index) > self._limit or (index and self._size_bytes > self._limit_bytes):
            oldest = next(iter(self._blocks.values()))
            found.append(self._taken(oldest.oldest()))
        return found

    def restore(self) -> None:
        """Take in what was saved."""
        entries = self.entries
        for part in entries.saved_parts():
            self._packing.add_part(part)
        for at, block, packed in entries.saved_blocks():
            self._blocks[at] = block
            block.listed_ms = block.earliest_ms
            heappush(self._heap, (block.listed_ms, at))
            self._index.update(packed)
            self._size_bytes += sum(_PLACE.unpack_from(each)[1] for each in packed.values())
            self._number = (at + 1) * BLOCK_EVENTS
        for waiting in entries.saved_by_earlier_releases():
            self.put(waiting)
        self.pack()

    def _taken(self, event_id: str) -> Left:
        chunk, waiting = self.chunk_of(event_id), self.take(event_id)
        assert waiting is not None
        return chunk, waiting

    def _whole(self, event_id: str, time_ms: int) -> Waiting:
        value = self._index[event_id]
        if type(value) is tuple:
            return value[2]
        return self._packing.unpack(cast(bytes, value), _PLACE.size, event_id, time_ms)

    def _earliest(self) -> Block:
        """Return the block with the earliest event; there must be one."""
        heap, blocks = self._heap, self._blocks
        while True:
            listed_ms, at = heap[0]
            block = blocks.get(at)
            if block is None or block.listed_ms != listed_ms:
                heappop(heap)
            elif not block.living:
                heappop(heap)
                block.listed_ms = None
            elif block.earliest_ms == listed_ms:
                return block
            else:
                block.listed_ms = block.earliest_ms
                heapreplace(heap, (block.listed_ms, at))

    def _open_block(self, at: int) -> None:
        closed = self._blocks.get(at - 1)
        if closed is not None:
            self._tidy(at - 1, closed)
        self._blocks[at] = self.entries[str(at)] = self._newest = Block()

    def _tidy(self, at: int, block: Block) -> None:
        """Drop a closed block that is empty, and make one anew of which little is there."""
        if not block.living:
            del self._blocks[at]
            self.entries.drop(at)
        elif _SPARSE * block.living < len(block.ids):
            self.entries.renew(at)
            self._blocks[at] = thin = Block()
            thin.listed_ms = block.listed_ms
            for place, event_id in block:
                self._move(event_id, at * BLOCK_EVENTS + thin.living)
                thin.add(event_id, block.times_ms[place])
            self.entries.replace(str(at), thin)

    def _move(self, event_id: str, number: int) -> None:
        value = self._index[event_id]
        if type(value) is tuple:
            self._index[event_id] = number, value[1], value[2]
        else:
            packed = cast(bytes, value)
            _, size = _PLACE.unpack_from(packed)
            self._index[event_id] = _PLACE.pack(number, size) + packed[_PLACE.size :]

    def _pack_down_to(self, most: int, most_bytes: int) -> None:
        index, unpacked = self._index, self._unpacked
        while len(unpacked) > most or self._unpacked_bytes > most_bytes:
            event_id = unpacked.popleft()
            value = index.get(event_id)
            if type(value) is tuple:
                number, size, waiting = value
                index[event_id] = _PLACE.pack(number, size) + self._packing.pack(waiting)
                self._unpacked_bytes -= size

    def _size_of(self, waiting: Waiting) -> int:
        """Return the rough size of an event when it is packed."""
        vector = waiting.vector
        features, event_id = vector["features"].values(), vector["event_id"]
        champion = waiting.predicted.get(self.champion)
        classes = len(champion["probabilities"]) if champion else 0
        values = len(features) + self._candidates + classes * self._with_probabilities
        size = EVENT_BYTES + VALUE_BYTES * values + len(event_id) + len(vector["key"] or "")
        if str in {*map(type, features)}:
            size += sum(len(each) for each in features if type(each) is str)
        return size
