"""Few series of what data can name: of a label that is open, the first values have their own.

A thousand features that drift at once would be a thousand series, for as long as the worker runs.
The topic `alerts` has each of them.
"""

from __future__ import annotations

OPEN_LABELS = frozenset({"source", "feature", "store"})
"""Labels that may have any number of values."""

MOST_VALUES = 50
OTHER = "other"


class FewValues:
    """Of a label, the values that have series of their own; the others are added up as `other`.

    The first values that are met have one, and keep it, so that a counter never falls. A source is
    of a kind (`input:price`), and those of each kind are counted apart: losses always have room.

    Parameters
    ----------
    label
        Its name.
    most
        How many values, of each kind of source, have series of their own.

    Examples
    --------
    >>> few = FewValues("source", most=1)
    >>> [few(each) for each in ("input:a", "input:b", "loss:tree", "input:a")]
    ['input:a', 'input:other', 'loss:tree', 'input:a']
    """

    def __init__(self, label: str, most: int = MOST_VALUES) -> None:
        self._separator = ":" if label == "source" else ""
        self._most = most
        self._own: dict[str, set[str]] = {}

    def __call__(self, value: str) -> str:
        """Return the value that is shown."""
        kind = self._kind(value)
        own = self._own.setdefault(kind, set())
        if len(own) < self._most:
            own.add(value)
        return value if value in own else kind + OTHER

    def _kind(self, value: str) -> str:
        if not self._separator:
            return ""
        kind, colon, _ = value.partition(self._separator)
        return kind + colon if colon else ""
