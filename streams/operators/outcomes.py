"""What became of events and labels: the records in `outcomes`, the rejects, and the counts.

========================= ================================================================
fate                      meaning
========================= ================================================================
joined                    the label met its event, and the models learn from the two
early                     the label came before its event, and waits (no outcome yet)
corrected                 while it waited, the label was replaced by another one of the same event
overruled                 another label of the same event was waiting, and stays
duplicate                 the event was learned with the same label: to `rejects`
late_correction           the event was learned with another label: to `rejects`
late                      the event has expired, or was evicted or removed: to `rejects`
orphan                    the event did not come within `pending.ttl`: to `rejects`
unknown_class             the label is of one class more than `max_classes`: to `rejects`
removed                   the row of the event was deleted while the event, or its label, waited
expired                   the event waited for `pending.ttl`, and got no label
evicted                   the event was the oldest of those that may wait, and got no label
========================= ================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from millrace.schemas import RejectReason
from millrace.schemas.records import Fate, FeatureVector, Label, LabelValue
from millrace.streams.operators.base import Tally
from millrace.streams.operators.columns import OutcomeColumns
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.label_sources import shown
from millrace.streams.operators.record import Origin, RejectRecord, reject

_JOINED = Fate.JOINED.value  # the one that is written for almost every event
_REASONS = {
    Fate.DUPLICATE: RejectReason.DUPLICATE_LABEL,
    Fate.LATE_CORRECTION: RejectReason.LATE_CORRECTION,
    Fate.LATE: RejectReason.LATE_LABEL,
    Fate.ORPHAN: RejectReason.ORPHAN_LABEL,
    Fate.UNKNOWN_CLASS: RejectReason.UNKNOWN_CLASS,
}
_CAUSES = {Fate.EXPIRED: "ttl", Fate.EVICTED: "limit", Fate.REMOVED: "removed"}

_Ended: TypeAlias = tuple[
    str, str | None, int | None, str, LabelValue | None, int | None, str | None, Origin
]


class Outcomes:
    """Writes down what became of events and labels, for a slice at a time.

    Parameters
    ----------
    tally
        Where each fate is counted.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._ended: list[_Ended] = []

    def waits(self) -> None:
        """Count a label that came before its event."""
        self._tally["label", Fate.EARLY.value] += 1

    def joined(self, joined: Sequence[Joined]) -> None:
        """Note events whose labels are known."""
        for vector, _, label, time_ms, source, origin, *_ in joined:
            event_time_ms = vector["event_time_ms"]
            delay_ms = None if time_ms is None else time_ms - event_time_ms
            event_id, key = vector["event_id"], vector["key"]
            self._ended.append(
                (event_id, key, event_time_ms, _JOINED, label, delay_ms, source, origin)
            )

    def unlabelled(self, vector: FeatureVector, fate: Fate, origin: Origin) -> None:
        """Note an event that ended without a label."""
        self._tally["expired", _CAUSES[fate]] += 1
        event_id, key, time_ms = vector["event_id"], vector["key"], vector["event_time_ms"]
        self._ended.append((event_id, key, time_ms, fate.value, None, None, None, origin))

    def dropped(self, label: Label, fate: Fate, origin: Origin) -> None:
        """Note a label that no model learns from."""
        self._tally["label", fate.value] += 1
        event_id, key, source = label["event_id"], label["key"], label.get("source")
        self._ended.append((event_id, key, None, fate.value, label["label"], None, source, origin))

    def unusable(self, label: Label, fate: Fate, detail: str, origin: Origin) -> RejectRecord:
        """Note a label that is to be rejected, and return its dead letter."""
        reason = _REASONS[fate]
        self._tally["rejected_label", reason.value] += 1
        self.dropped(label, fate, origin)
        return reject(origin, reason, detail)

    def take(self, losses: Mapping[str, Sequence[float | None]]) -> OutcomeColumns | None:
        """Return the outcomes since the last call, if there are any, in order.

        Parameters
        ----------
        losses
            Candidate to its losses for what was joined.
        """
        ended, self._ended = self._ended, []
        if not ended:
            return None
        event_ids, keys, times_ms, fates, labels, delays_ms, sources, origins = zip(
            *ended, strict=True
        )
        joined = fates.count(_JOINED)
        if joined:
            self._tally["label", _JOINED] += joined
        if joined < len(fates):
            losses = {name: _spread(column, fates) for name, column in losses.items()}
        named = shown(sources)
        return OutcomeColumns(
            origins, event_ids, keys, times_ms, fates, labels, delays_ms, named, losses
        )


def _spread(losses: Sequence[float | None], fates: Sequence[str]) -> list[float | None]:
    """Return losses at their places among all outcomes."""
    left = iter(losses)
    return [next(left) if fate == _JOINED else None for fate in fates]
