"""What becomes of labels, by the book: an account that shares no code with the operators.

It follows the table in `streams.operators.prediction`, knows nothing of models, and forgets
nothing. From the order in which events and labels stand in the log it says which labels are
learned, and which come to another end.
"""

from __future__ import annotations

from collections import Counter
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
        self._newest_ms: list[int] = []  # at most eight: the first of them is the watermark

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
        if not self._newest_ms:
            return
        self._newest_ms = [each + round(1000 * seconds) for each in self._newest_ms]
        now_ms = self._newest_ms[0]
        for event_id, (label, since_ms) in self.fates.held.items():
            self.fates.held[event_id] = label, now_ms if since_ms is None else since_ms
        self._end_what_is_before(now_ms - self._ttl_ms)

    @property
    def _watermark_ms(self) -> int | None:
        return self._newest_ms[0] if len(self._newest_ms) == 8 else None

    def _advance(self, time_ms: int) -> None:
        had_none = self._watermark_ms is None
        self._newest_ms = sorted([*self._newest_ms, time_ms])[-8:]
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
