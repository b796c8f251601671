"""Keyed state that knows what has changed.

An operator uses a store as a dictionary. The engine asks it for the changes since the last time
and writes only those, so that a large model costs nothing while it does not change. Only what was
committed is marked as saved: where a broker refuses it, it is a change still.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar, cast

V = TypeVar("V")


class Change(NamedTuple):
    """A key that was set (`value`) or removed (`value` is None) since the last flush.

    `sequence` grows with every change: entries restored in its order are in the order in which
    they were last set, which is the order in which they are evicted.
    """

    key: str
    sequence: int
    value: object | None


class StateStore(Protocol):
    """What saving state needs of a store, whatever it holds.

    A save takes what has changed when it begins, one change after the other, while the store goes
    on: `on_early` gets each change of which the value is about to change again.
    """

    def __len__(self) -> int: ...

    def begin_save(self, on_early: Callable[[Change], None]) -> int:
        """Begin to save what has changed; return how many changes there are."""
        ...

    def next_change(self) -> Change | None:
        """Return one of the changes that are left, in any order; None where none is."""
        ...

    def end_save(self) -> None:
        """Note that the changes were committed."""
        ...

    def give_up_save(self) -> None:
        """Note that they were not: they are changes still."""
        ...

    def restore(self, changes: Iterable[Change]) -> None: ...

    def mark(self, key: str) -> None:
        """Mark the value of `key` as changed in place, without making it the newest."""
        ...


class KeyedState(OrderedDict[str, V]):
    """A dictionary with text keys that tracks changes and may be bounded.

    A value may be changed in place if that is marked, and it was asked for by `get` or `changing`
    since the last save began: a save takes it as it was. Others are not changed at all.

    It is in the order in which its keys were last set; the oldest is found at once, however many
    have gone before it. Only `state[key] = value`, `touch`, `mark`, `changing`, `del state[key]`
    and `take` change it.

    Parameters
    ----------
    limit
        Most entries that it holds; the one least recently set is evicted. None: no limit.
    on_eviction
        Called with the key of each entry that is evicted.

    Attributes
    ----------
    unsaved
        Key of each change to its sequence.

    Examples
    --------
    >>> state: KeyedState[int] = KeyedState(limit=2)
    >>> state["a"], state["b"], state["c"] = 1, 2, 3
    >>> list(state), state.evicted
    (['b', 'c'], 1)
    >>> [(change.key, change.value) for change in state.take_changes()]
    [('b', 2), ('c', 3)]
    """

    def __init__(
        self, limit: int | None = None, on_eviction: Callable[[str], None] | None = None
    ) -> None:
        super().__init__()
        self.limit = limit
        self.evicted = 0
        self.on_eviction = on_eviction
        self._sequence = 0
        self.unsaved: dict[str, int] = {}
        self._left: dict[str, int] = {}  # of the changes of a save
        self._taken: dict[str, int] = {}
        self._removed: list[str] = []  # of those taken
        self._on_early: Callable[[Change], None] = _ignored
        self._persisted: dict[str, int] = {}  # key to its last change that was taken
        self._newest: str | None = None  # the last entry, and known to have changed

    def __setitem__(self, key: str, value: V) -> None:
        if key == self._newest:
            super().__setitem__(key, value)
            return
        self.before_change(key)
        super().__setitem__(key, value)
        self.move_to_end(key)
        self._sequence += 1
        self.unsaved[key] = self._sequence
        self._newest = key
        while self.limit is not None and len(self) > self.limit:
            self._evict()

    def __delitem__(self, key: str) -> None:
        self.before_change(key)
        super().__delitem__(key)
        self._newest = None
        if key in self._persisted:
            self._sequence += 1
            self.unsaved[key] = self._sequence
        else:
            self.unsaved.pop(key, None)

    def peek(self, key: str) -> V | None:
        """Return the value of a key, only to be read: any thread may, whoever saves meanwhile."""
        return super().get(key)

    def take(self, key: str) -> V | None:
        """Remove a key and return its value, or None where there is none."""
        value = self.get(key)
        if value is not None:
            del self[key]
        return value

    def changing(self, key: str, make: Callable[[], V]) -> V:
        """Return the value of `key`, made where there is none, to be changed in place."""
        value = self.get(key)
        if value is None:
            value = self[key] = make()
        elif key != self._newest:
            self[key] = value
        return value

    def touch(self, key: str) -> None:
        """Mark the value of `key` as changed in place."""
        if key != self._newest:
            self[key] = self[key]

    def mark(self, key: str) -> None:
        """Mark the value of `key` as changed in place, without making it the newest."""
        self.before_change(key)
        if key in self and key not in self.unsaved:
            self.unsaved[key] = self._persisted[key]

    def replace(self, key: str, value: V) -> None:
        """Hold another object that stands for the same value: this is no change."""
        super().__setitem__(key, value)

    def before_change(self, key: str) -> None:
        """Hand over the value of `key` to a save, if that still needs it as it is."""
        sequence = self._left.pop(key, None)
        if sequence is not None:
            self._on_early(self._take_change(key, sequence))

    def saved_form(self, value: V) -> object:
        """Return what is written of a value."""
        return value

    def _evict(self) -> None:
        key = next(iter(self))
        del self[key]
        self.evicted += 1
        if self.on_eviction is not None:
            self.on_eviction(key)

    def oldest(self) -> tuple[str, V]:
        """Return the entry least recently set, of a store that has any."""
        key = next(iter(self))
        return key, self[key]

    def begin_save(self, on_early: Callable[[Change], None]) -> int:
        self._left, self.unsaved = self.unsaved, {}
        self._on_early = on_early
        self._newest = None
        self.get = self._get_in_a_save  # type: ignore[assignment]  # dict's own is faster
        return len(self._left)

    def next_change(self) -> Change | None:
        if self._left:
            return self._take_change(*self._left.popitem())
        vars(self).pop("get", None)
        return None

    def end_save(self) -> None:
        for key in self._removed:
            if key not in self and key not in self.unsaved:
                self._persisted.pop(key, None)
        self._taken, self._removed = {}, []

    def give_up_save(self) -> None:
        vars(self).pop("get", None)
        self.unsaved = self._taken | self._left | self.unsaved
        self._left, self._taken, self._removed = {}, {}, []

    def take_changes(self) -> list[Change]:
        """Return what has changed since it was last saved, in order, and mark it as saved."""
        self.begin_save(_ignored)
        changes = sorted(iter(self.next_change, None), key=attrgetter("sequence"))
        self.end_save()
        return changes

    def _get_in_a_save(self, key: str, default: object = None, /) -> object:
        """Return a value, which may be changed in place before that is marked."""
        self.before_change(key)
        return super().get(key, default)

    def _take_change(self, key: str, sequence: int) -> Change:
        self._taken[key] = sequence
        if key not in self:
            self._removed.append(key)
            return Change(key, sequence, None)
        self._persisted[key] = sequence
        return Change(key, sequence, self.saved_form(super().__getitem__(key)))

    def restore(self, changes: Iterable[Change]) -> None:
        """Fill an empty store from the latest change of each key."""
        for change in sorted(changes, key=lambda each: each.sequence):
            self._sequence = max(self._sequence, change.sequence)
            if change.value is not None:
                super().__setitem__(change.key, cast(V, change.value))
                self._persisted[change.key] = change.sequence


def _ignored(_change: Change) -> None:
    """Do nothing: no save goes on while the store changes."""
