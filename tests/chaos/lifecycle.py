"""What becomes of labels, by the book: an account that shares no code with the operators.

It follows the table in `streams.operators.prediction`, knows nothing of models, and forgets
nothing. From the order in which events and labels stand in the log it says which labels are
learned, and which come to another end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fates:
    """The ends of the labels of one partition.

    Attributes
    ----------
    learned
        Event to the label that was learned, for each event one.
    scored
        How many of them were scored only, since learning was paused.
    rejected
        (event, reason) to how many.
    held
        Labels that still wait for their events.
    corrected
        Early labels that a later one replaced.
    labels
        All of them.
    """

    learned: dict[str, Any] = field(default_factory=dict)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    scored: int = 0
    held: dict[str, tuple[Any, int | None]] = field(default_factory=dict)
    corrected: int = 0
    labels: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every label has exactly one end."""
        ends = len(self.learned) + len(self.held) + self.corrected
        return self.labels == ends + sum(
            count for (_, reason), count in self.rejected.items() if reason != "duplicate_event"
        )


class EventClock:
    """The time that eight events have reached, by the rules in `streams.operators.watermark`.

    After a long outage, events come far out of order: those of one topic before those of another.

    Parameters
    ----------
    reach_ms
        How far an event may be ahead of the others, or behind them, to count at once.
    """

    def __init__(self, reach_ms: int) -> None:
        self._reach_ms = reach_ms
        self._needed = 8
        self._begin(())

    @property
    def time_ms(self) -> int | None:
        """What eight events have reached; None before there are eight."""
        return self._newest_ms[0] if len(self._newest_ms) == 8 else None

    def take(self, time_ms: int) -> None:
        """Enter the next event."""
        newest_ms = self._newest_ms
        if len(newest_ms) == 8 and time_ms > newest_ms[-1] + self._reach_ms:
            self._ahead_ms = sorted([*self._ahead_ms, time_ms])
            self._newest_ms = [*newest_ms[1:], newest_ms[-1]]
            if len(self._ahead_ms) >= self._needed:
                self._begin(self._ahead_ms[-8:])
        elif len(newest_ms) == 8 and time_ms < newest_ms[0] - self._reach_ms:
            self._behind_ms = [*self._behind_ms, time_ms][-8:]
            self._trust -= 1
            if not self._trust:
                self._needed = min(2 * self._needed, 64)
                self._begin(sorted(self._behind_ms))
        else:
            self._newest_ms = sorted([*newest_ms, time_ms])[-8:]
            if len(newest_ms) == 8:
                self._trust = min(self._trust + 1, 64)
                self._ahead_ms = self._ahead_ms[:-1]

    def pass_time(self, elapsed_ms: int) -> int | None:
        """Enter time without events; return the oldest time that is known, None where none is."""
        for times_ms in (self._newest_ms, self._ahead_ms, self._behind_ms):
            times_ms[:] = [each + elapsed_ms for each in times_ms]
        return self._newest_ms[0] if self._newest_ms else None

    def _begin(self, newest_ms: Sequence[int]) -> None:
        self._newest_ms, self._ahead_ms, self._behind_ms = [*newest_ms], list[int](), list[int]()
        self._trust = 8


class LabelBook:
    """Keeps the account of one partition.

    Parameters
    ----------
    ttl_ms
        How long an event waits for its label, and a label for its event, in event time.

    Attributes
    ----------
    is_paused
        Whether models learn nothing for now.
    """

    def __init__(self, ttl_ms: int) -> None:
        self.fates = Fates()
        self.is_paused = False
        self._ttl_ms = ttl_ms
        self._waiting: dict[str, int] = {}
        self._known: set[str] = set()
        self._clock = EventClock(ttl_ms)

    def take_event(self, event_id: str, time_ms: int, label: Any) -> None:
        """Enter an event, with its label if it has one inside."""
        if event_id in self._known:
            self.fates.rejected[event_id, "duplicate_event"] += 1
            return
        self._known.add(event_id)
        self._advance(time_ms)
        self._waiting[event_id] = time_ms
        if label is None and event_id not in self.fates.held:
            self._end_what_is_over()
        if label is not None:
            self.take_label(event_id, label)
        if event_id in self.fates.held:
            held, _ = self.fates.held.pop(event_id)
            self.fates.labels -= 1  # it was entered when it came
            self.take_label(event_id, held)

    def take_label(self, event_id: str, label: Any) -> None:
        """Enter a label."""
        fates = self.fates
        fates.labels += 1
        if event_id in self._waiting:
            del self._waiting[event_id]
            fates.learned[event_id] = label
            fates.scored += self.is_paused
        elif event_id in fates.learned:
            is_same = fates.learned[event_id] == label
            fates.rejected[event_id, "duplicate_label" if is_same else "late_correction"] += 1
        elif event_id in self._known:
            fates.rejected[event_id, "late_label"] += 1
        elif event_id in fates.held and fates.held[event_id][0] == label:
            fates.rejected[event_id, "duplicate_label"] += 1
        else:
            fates.corrected += event_id in fates.held
            fates.held.pop(event_id, None)
            fates.held[event_id] = (label, self._watermark_ms)

    def remove(self, event_id: str) -> None:
        """Enter that the row of an event is gone: it waits no longer."""
        self._waiting.pop(event_id, None)

    def pass_time(self, seconds: float) -> None:
        """Enter time that passed without events."""
        now_ms = self._clock.pass_time(round(1000 * seconds))
        if now_ms is None:
            return
        for event_id, (label, since_ms) in self.fates.held.items():
            self.fates.held[event_id] = label, now_ms if since_ms is None else since_ms
        self._end_what_is_before(now_ms - self._ttl_ms)

    @property
    def _watermark_ms(self) -> int | None:
        return self._clock.time_ms

    def _advance(self, time_ms: int) -> None:
        had_none = self._watermark_ms is None
        self._clock.take(time_ms)
        if had_none:
            since_ms = self._watermark_ms
            self.fates.held = {e: (label, since_ms) for e, (label, _) in self.fates.held.items()}
        self._end_what_is_over()

    def _end_what_is_over(self) -> None:
        if self._watermark_ms is not None:
            self._end_what_is_before(self._watermark_ms - self._ttl_ms)

    def _end_what_is_before(self, horizon_ms: int) -> None:
        self._waiting = {e: at_ms for e, at_ms in self._waiting.items() if at_ms >= horizon_ms}
        for event_id, (_, since_ms) in [*self.fates.held.items()]:
            if since_ms is not None and since_ms < horizon_ms:
                del self.fates.held[event_id]
                self.fates.rejected[event_id, "orphan_label"] += 1
