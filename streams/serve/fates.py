"""What becomes of events and labels: counts, delays, and who waits, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from millrace.schemas.records import Fate, Outcome, Prediction
from millrace.streams.docs.meanings import meanings

MOST_WAITING = 100_000
"""Events that are known to wait for their labels."""

ENDS = frozenset({Fate.JOINED, Fate.EXPIRED, Fate.EVICTED, Fate.REMOVED})
"""Fates of events; the others are those of labels."""

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UP_TO_MS = (
    *(0, _SECOND, 10 * _SECOND, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR),
    *(_DAY, 7 * _DAY, 30 * _DAY),
)
_MOST_DELAYS = 10_000
_QUANTILES = (0.5, 0.9, 0.99)
_MEANS = dict(meanings(Fate))


class Fates:
    """What became of the events and labels that were seen.

    Examples
    --------
    >>> fates = Fates()
    >>> fates.predicted({"event_id": "a", "event_time_ms": 5})
    >>> fates.to_json()["waiting"]
    {'events': 1, 'oldest_ms': 5, 'most': 100000}
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._delays: deque[int] = deque(maxlen=_MOST_DELAYS)
        self._waiting: OrderedDict[str, int] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()  # before their predictions were read

    @property
    def waiting(self) -> int:
        """How many events wait for their labels."""
        return len(self._waiting)

    def predicted(self, prediction: Prediction) -> None:
        """Take a prediction: its event waits, unless its end was read before."""
        event_id = prediction["event_id"]
        if event_id in self._ended:
            del self._ended[event_id]
        elif event_id not in self._waiting:
            _put(self._waiting, event_id, prediction["event_time_ms"])

    def ended(self, outcome: Outcome) -> None:
        """Take what became of an event, or of a label."""
        fate, event_id = outcome["fate"], outcome["event_id"]
        self._counts[fate] += 1
        if outcome["label_source"]:
            self._sources[outcome["label_source"]] += 1
        if outcome["label_delay_ms"] is not None and fate == Fate.JOINED:
            self._delays.append(outcome["label_delay_ms"])
        if fate in ENDS and self._waiting.pop(event_id, None) is None:
            _put(self._ended, event_id, None)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data."""
        oldest = next(iter(self._waiting.values()), None)
        return {
            "fates": [
                {"fate": name, "of": _of(name), "count": self._counts[name], "meaning": means}
                for name, means in _MEANS.items()
            ],
            "sources": dict(self._sources.most_common(20)),
            "delays": _delays(sorted(self._delays)),
            "waiting": {"events": self.waiting, "oldest_ms": oldest, "most": MOST_WAITING},
        }


def _of(fate: str) -> str:
    return "event" if fate in ENDS else "label"


def _delays(delays: Sequence[int]) -> dict[str, Any]:
    """Return how long the newest labels took: quantiles, and how many took up to so long."""
    counts = [0] * (len(_UP_TO_MS) + 1)
    for each in delays:
        counts[bisect_left(_UP_TO_MS, each)] += 1
    last = len(delays) - 1
    return {
        "labels": len(delays),
        "quantiles": {f"{q:g}": delays[round(q * last)] for q in _QUANTILES} if delays else {},
        "largest_ms": delays[-1] if delays else None,
        "histogram": [
            {"up_to_ms": up_to, "labels": count}
            for up_to, count in zip((*_UP_TO_MS, None), counts, strict=True)
        ],
    }


def _put(known: OrderedDict[str, Any], key: str, value: int | None) -> None:
    known[key] = value
    if len(known) > MOST_WAITING:
        known.popitem(last=False)
