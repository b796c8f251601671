"""What is saved of the events that wait: blocks of them, what has gone since, a table of names.

Each entry is data: a byte for its form, and then, by its key:

- `<number>`: a block, its events one after the other. Each is its place in the block, its time,
  the lengths of its id and of itself, its id, and itself, packed.
- `<number>-`: the places of the events of that block that are gone, a byte for each.
- `n<number>`: a part of the table of names (`packing`), as JSON.

So a save writes the blocks that events have come to, and of the others what has gone. Before this
form, each event was saved under its id, pickled: that is read, and written anew when it is saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Protocol, cast

from millrace.schemas import SnapshotError
from millrace.streams.operators.blocks import Block
from millrace.streams.operators.keyed_state import Change, KeyedState
from millrace.streams.operators.packing import Part, Waiting

_FORM = b"\1"
_EVENT = Struct("<BqII")


class Events(Protocol):
    """The events that wait, whose state it is."""

    def __iter__(self) -> Iterator[Waiting]: ...

    def pack_all(self) -> None: ...

    def packed(self, event_id: str) -> bytes:
        """Return a packed event in bytes."""
        ...

    def restore(self) -> None:
        """Take in what was saved."""
        ...


class WaitingState(KeyedState[object]):
    """The blocks, what is gone of each, and the table of names.

    Parameters
    ----------
    events
        Whose state it is.
    """

    def __init__(self, events: Events) -> None:
        super().__init__()
        self.events = events

    def begin_save(self, on_early: Callable[[Change], None]) -> int:
        self.events.pack_all()
        return super().begin_save(on_early)

    def restore(self, changes: Iterable[Change]) -> None:
        super().restore(changes)
        self.events.restore()

    def saved_form(self, value: object) -> object:
        if isinstance(value, Block):
            return b"".join([_FORM, *self._events(value)])
        return _FORM + value if isinstance(value, bytes | bytearray) else value

    def add_part(self, number: int, part: Part) -> None:
        """Take the next part of the table of names."""
        self[f"n{number}"] = json.dumps(part).encode()

    def note_gone(self, number: int, place: int) -> None:
        """Note that an event of a block is gone, unless all of the block will be written."""
        self.before_change(str(number))
        if str(number) not in self.unsaved:
            gone = cast(bytearray, self.changing(f"{number}-", bytearray))
            gone.append(place)

    def renew(self, number: int) -> None:
        """Note that a block has changed, and will be written."""
        self.touch(str(number))
        self.take(f"{number}-")

    def drop(self, number: int) -> None:
        """Note that nothing of a block is there any more."""
        del self[str(number)]
        self.take(f"{number}-")

    def saved_parts(self) -> list[Part]:
        """Return the table of names."""
        numbers = sorted(int(key[1:]) for key, each in self._saved_data() if key[0] == "n")
        return [tuple(json.loads(self._data(f"n{each}"))) for each in numbers]

    def saved_blocks(self) -> Iterator[tuple[int, Block, dict[str, bytes]]]:
        """Yield the number of each block, the block, and its events, which were just restored."""
        for number in sorted(int(key) for key, _ in self._saved_data() if key.isdecimal()):
            gone = self._data(f"{number}-")
            block, packed = _read(self._data(str(number)), gone)
            if block.living:
                self.replace(str(number), block)
                if gone:
                    self.replace(f"{number}-", bytearray(gone))
                yield number, block, packed
            else:
                self.drop(number)

    def saved_by_earlier_releases(self) -> list[Waiting]:
        """Take out the events that were saved one by one, in order of arrival."""
        found = {key: each for key, each in self.items() if isinstance(each, Waiting)}
        for key in found:
            del self[key]
        return [*found.values()]

    def _saved_data(self) -> list[tuple[str, bytes]]:
        return [(key, each) for key, each in self.items() if isinstance(each, bytes)]

    def _data(self, key: str) -> bytes:
        """Return what was saved under a key, in the form that this release has."""
        data = self.get(key, _FORM)
        assert isinstance(data, bytes)
        if data[:1] != _FORM:
            raise SnapshotError(
                f"a waiting event must be saved in form {_FORM[0]}; got {data[0]}."
                " Run the Millrace that wrote it, or delete the pipeline's state topics"
            )
        return data[1:]

    def _events(self, block: Block) -> Iterator[bytes]:
        for place, event_id in block:
            name, event = event_id.encode(errors="surrogatepass"), self.events.packed(event_id)
            yield _EVENT.pack(place, block.times_ms[place], len(name), len(event))
            yield name
            yield event


def _read(data: bytes, gone: bytes) -> tuple[Block, dict[str, bytes]]:
    """Return a block, and the events in it by id, without those that are gone."""
    block, packed, at = Block(), {}, 0
    while at < len(data):
        place, time_ms, name_size, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        event_id = data[at : at + name_size].decode(errors="surrogatepass")
        at += name_size + size
        if place not in gone:
            while len(block.ids) < place:
                block.skip()
            block.add(event_id, time_ms)
            packed[event_id] = data[at - size : at]
    return block, packed
