"""Labels that wait: early ones for their events, and held ones for others that count before them.

Both are kept with the records that they came in. Of two labels of one event, one waits on, and the
other has come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.models.sealed import Fields
from millrace.schemas.records import Fate, Label
from millrace.streams.operators.expiring import Bounds, Expiring
from millrace.streams.operators.label_conflicts import Precedence, held_ms
from millrace.streams.operators.outcomes import Outcomes
from millrace.streams.operators.record import Origin, Record

# Rough sizes in memory, in bytes, without text.
_ENTRY_BYTES = 500
_VALUE_BYTES = 100


class Early(NamedTuple):
    """A label that waits, and the watermark when it came, if there was one.

    One that is held has that of the first label of its event.
    """

    label: Label
    origin: Origin
    since_ms: int | None

    def to_fields(self) -> dict[str, object]:
        """Return what is saved of it."""
        origin = self.origin._asdict()
        return {"label": self.label, "origin": origin, "since_ms": self.since_ms}

    @classmethod
    def from_fields(cls, fields: Fields) -> Early:
        """Return the label that was saved."""
        origin = Origin(**fields["origin"])
        headers = tuple((name, value) for name, value in origin.headers)
        return cls(fields["label"], origin._replace(headers=headers), fields["since_ms"])


class WaitingLabels:
    """The labels of one partition that wait, in two stores.

    Parameters
    ----------
    pipeline
        The definition.
    outcomes
        Where the ends of labels are noted.

    Attributes
    ----------
    early
        Those whose events have not come.
    held
        Those whose events wait, too, as long as other labels may take their places.
    holds
        Whether the definition holds labels. Where it does not, a deploy may have left some.
    """

    def __init__(self, pipeline: Pipeline, outcomes: Outcomes) -> None:
        bounds = Bounds(pipeline.pending.limit, pipeline.pending.limit_bytes)
        self.early = Expiring(bounds, _since_ms, _size_bytes)
        self.held = Expiring(bounds, _since_ms, _size_bytes)
        self.holds = pipeline.label_conflicts is not None
        self._held_ms = held_ms(pipeline)
        self._precedence = Precedence(pipeline)
        self._outcomes = outcomes

    @property
    def some_wait(self) -> bool:
        """Whether there are any."""
        return bool(self.early or self.held)

    @property
    def held_until_ms(self) -> float:
        """A watermark until which nothing that is held is due; infinite if nothing is held."""
        return self.held.oldest_ms + self._held_ms

    def inherit(self, before: WaitingLabels) -> None:
        """Go on with what another one keeps, within the bounds of this."""
        bounds = self.early.bounds
        self.early, self.held = before.early, before.held
        self.early.bounds = self.held.bounds = bounds

    def is_held(self, event_id: str) -> bool:
        """Whether a label of an event is held."""
        return event_id in self.held.entries

    def await_event(self, new: Early) -> list[Record]:
        """Let a label wait for its event; return the rejects of those that do no longer."""
        if new.label["event_id"] not in self.early.entries:
            self._outcomes.waits()
        return self._put(self.early, new) + self._orphaned(self.early.surplus())

    def hold(self, new: Early) -> list[Record]:
        """Hold a label of an event that waits; return the reject of a duplicate."""
        return self._put(self.held, new)

    def due(self, watermark_ms: int | None) -> list[tuple[str, Early]]:
        """Let go of what has been held for long enough, and of what there is no room for."""
        held = self.held
        if not held.entries:
            return []
        due = [] if watermark_ms is None else held.expired(watermark_ms - self._held_ms)
        return due + held.surplus()

    def orphans(self, before_ms: int) -> list[Record]:
        """Let go of the labels that have waited for their events since before a time."""
        return self._orphaned(self.early.expired(before_ms)) if self.early.entries else []

    def start(self, watermark_ms: int, is_meant: Callable[[Early], bool] = lambda _: True) -> None:
        """Let the labels that came before there was a watermark wait from the first one on."""
        for store in (self.early, self.held):
            for event_id, known in [*store.entries.items()]:
                if is_meant(known):
                    store.put(event_id, known._replace(since_ms=watermark_ms))

    def _put(self, store: Expiring[Early], new: Early) -> list[Record]:
        """Let a label wait, or else one of the same event that waits already; end the other."""
        event_id = new.label["event_id"]
        known = store.entries.get(event_id)
        if known is None:
            store.put(event_id, new)
            return []
        is_first = self._precedence.is_first(new.label, known.label)
        if is_first:
            since_ms = known.since_ms if self.holds else new.since_ms
            store.put(event_id, new._replace(since_ms=since_ms))
        ended = known if is_first else new
        if new.label["label"] == known.label["label"]:
            detail = already_labelled(event_id)
            return [self._outcomes.unusable(ended.label, Fate.DUPLICATE, detail, ended.origin)]
        fate = Fate.CORRECTED if is_first else Fate.OVERRULED
        self._outcomes.dropped(ended.label, fate, ended.origin)
        return []

    def _orphaned(self, dropped: Iterable[tuple[str, Early]]) -> list[Record]:
        made: list[Record] = []
        for event_id, early in dropped:
            detail = (
                f"event {event_id!r} did not come while its label waited"
                " (pending.ttl, pending.limit, pending.limit_bytes)"
            )
            made.append(self._outcomes.unusable(early.label, Fate.ORPHAN, detail, early.origin))
        return made


def _since_ms(early: Early) -> int | None:
    return early.since_ms


def _size_bytes(event_id: str, early: Early) -> int:
    """Return the rough size of an early label: most of it is the record that it came in."""
    origin, label = early.origin, early.label
    headers = sum(_VALUE_BYTES + len(name) + len(value or b"") for name, value in origin.headers)
    record = len(origin.key or b"") + len(origin.value or b"") + headers
    return (
        _ENTRY_BYTES + len(event_id) + len(label["key"] or "") + len(str(label["label"])) + record
    )


def already_labelled(event_id: str) -> str:
    """Say that a label is a duplicate."""
    return f"event {event_id!r} already has this label"
