"""How each candidate did over time: the losses of blocks of events, in bounded memory.

Where there are too many points, each two neighbours become one, whose loss is that of both: so the
curve always goes back to the first block, and the newer part is as fine as the older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.models.identity.reference import Reference
from millrace.schemas.records import Alert, Evaluation

MOST_POINTS = 400
"""Points of a curve."""

MOST_MARKS = 200
"""Marks beside it, of each kind."""


@dataclass(slots=True)
class _Sum:
    """What a candidate lost in a stretch: events with a prediction, and their losses."""

    events: int = 0
    loss: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.loss / self.events if self.events else None


@dataclass(slots=True)
class _Point:
    """A stretch of blocks.

    Attributes
    ----------
    first_ms, last_ms
        Event times of its first and its last event.
    blocks, events, labels
        How many it has.
    sums
        Candidate to what it lost.
    """

    first_ms: int
    last_ms: int
    blocks: int = 1
    events: int = 0
    labels: int = 0
    sums: dict[str, _Sum] = field(default_factory=dict)

    @classmethod
    def of(cls, block: Evaluation) -> _Point:
        """Return the stretch of one block."""
        sums, labels = {}, 0
        for name, each in block["candidates"].items():
            sums[name] = _Sum(each["events"] - each["missing"], each["loss"])
            labels = max(labels, each["events"])
        times = block["first_time_ms"], block["last_time_ms"]
        return cls(*times, 1, block["events"], labels, sums)

    def add(self, other: _Point) -> None:
        """Take in the stretch behind this one."""
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.blocks += other.blocks
        self.events += other.events
        self.labels += other.labels
        for name, more in other.sums.items():
            mine = self.sums.setdefault(name, _Sum())
            mine.events += more.events
            mine.loss += more.loss


class Curves:
    """The curves of all candidates, and what happened meanwhile.

    Examples
    --------
    >>> curves = Curves()
    >>> losses = {"rival": "tree", "events": 100, "missing": 0, "loss": 20.0}
    >>> block = {"champion": "tree", "command": 0, "definition": "", "terms": {"metric": "mae"}}
    >>> block |= {"candidates": {"tree": losses}, "events": 100, "drifted": []}
    >>> for number in range(5):
    ...     curves.add({**block, "first_time_ms": number, "last_time_ms": number + 1})
    >>> curves.to_json()["losses"]["tree"]
    [0.2, 0.2, 0.2, 0.2, 0.2]
    """

    def __init__(self) -> None:
        self._metric = ""
        self._points: list[_Point] = []
        self._per_point = 1  # blocks
        self._marks: dict[str, list[dict[str, Any]]] = {}
        self._champion, self._command, self._definition = "", -1, ""

    def add(self, block: Evaluation) -> None:
        """Take the next block."""
        if not block["events"]:
            return
        self._note(block)
        if block["terms"]["metric"] != self._metric:
            self._metric, self._points, self._per_point = block["terms"]["metric"], [], 1
        point = _Point.of(block)
        if self._points and self._points[-1].blocks < self._per_point:
            self._points[-1].add(point)
        else:
            self._points.append(point)
        if len(self._points) > MOST_POINTS:
            self._thin_out()

    def alert(self, alert: Alert) -> None:
        """Take an alert: drift, or what was done about it."""
        source, action = alert["source"], alert["action"]
        kind = "drift" if source.startswith(("loss:", "input:", "prediction")) else "alert"
        text = f"{source} drifted" if kind == "drift" else f"{source}: {action}"
        if action in ("reset", "replace"):
            text += f"; {alert['model']}: {action}"
        self._mark(kind, alert["event_time_ms"], alert["model"], text)

    def to_json(self) -> dict[str, Any]:
        """Return the curves as data: each loss at the end of its stretch."""
        points = sorted(self._points, key=lambda each: each.last_ms)
        names = dict.fromkeys(name for each in points for name in each.sums)
        none = _Sum()
        return {
            "metric": self._metric,
            "blocks_per_point": self._per_point,
            "times_ms": [each.last_ms for each in points],
            "labels": [each.labels for each in points],
            "losses": {name: [each.sums.get(name, none).mean for each in points] for name in names},
            "marks": sorted(
                (mark for marks in self._marks.values() for mark in marks),
                key=lambda mark: mark["time_ms"],
            ),
        }

    def _thin_out(self) -> None:
        """Make one point of each two. The last one may be alone, and grows."""
        for first, second in zip(self._points[::2], self._points[1::2], strict=False):
            first.add(second)
        self._points = self._points[::2]
        self._per_point *= 2

    def _note(self, block: Evaluation) -> None:
        """Mark where another champion serves, or another definition counts, from this block on."""
        if block["command"] < self._command:
            return
        self._command, time_ms = block["command"], block["first_time_ms"]
        before, serves = self._champion, block["champion"]
        if serves != before:
            if before:
                self._mark("champion", time_ms, serves, f"{serves} serves after {before}")
            self._champion = serves
        if block["definition"] != self._definition:
            if self._definition:
                shown = Reference.of(block["definition"]).shortened
                self._mark("definition", time_ms, serves, f"definition {shown}")
            self._definition = block["definition"]

    def _mark(self, kind: str, time_ms: int, model: str, text: str) -> None:
        marks = self._marks.setdefault(kind, [])
        mark: Mapping[str, Any] = {"time_ms": time_ms, "kind": kind, "model": model, "text": text}
        marks.append({**mark})
        del marks[:-MOST_MARKS]
