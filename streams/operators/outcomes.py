"""What became of events and labels: the records in `outcomes`, the rejects, and the counts.

========================= ================================================================
fate                      meaning
========================= ================================================================
joined                    the label met its event, and the models learn from the two
early                     the label came before its event, and waits (no outcome yet)
corrected                 an early label was replaced by another one of the same event
duplicate                 the event was learned with the same label: to `rejects`
late_correction           the event was learned with another label: to `rejects`
late                      the event has expired or was evicted: to `rejects`
orphan                    the event did not come within `pending.ttl`: to `rejects`
unknown_class             the label is of one class more than `max_classes`: to `rejects`
expired                   the event waited for `pending.ttl`, and got no label
evicted                   the event was the oldest of those that may wait, and got no label
========================= ================================================================
"""

from __future__ import annotations

from millrace.schemas import RejectReason
from millrace.schemas.records import Fate, FeatureVector, Label, LabelValue, Outcome
from millrace.streams.operators.base import Tally
from millrace.streams.operators.record import Origin, OutcomeRecord, RejectRecord, reject

_JOINED = Fate.JOINED.value  # the one that is written for almost every event
_REASONS = {
    Fate.DUPLICATE: RejectReason.DUPLICATE_LABEL,
    Fate.LATE_CORRECTION: RejectReason.LATE_CORRECTION,
    Fate.LATE: RejectReason.LATE_LABEL,
    Fate.ORPHAN: RejectReason.ORPHAN_LABEL,
    Fate.UNKNOWN_CLASS: RejectReason.UNKNOWN_CLASS,
}


class Outcomes:
    """Writes down what became of events and labels.

    Parameters
    ----------
    tally
        Where each fate is counted.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def waits(self) -> None:
        """Count a label that came before its event."""
        self._tally["label", Fate.EARLY.value] += 1

    def joined(
        self,
        vector: FeatureVector,
        label: LabelValue,
        label_time_ms: int | None,
        losses: dict[str, float],
        origin: Origin,
    ) -> OutcomeRecord:
        """Return the outcome of an event whose label is known."""
        self._tally["label", _JOINED] += 1
        delay_ms = None if label_time_ms is None else label_time_ms - vector["event_time_ms"]
        return _of_event(vector, _JOINED, label, delay_ms, losses, origin)

    def unlabelled(self, vector: FeatureVector, fate: Fate, origin: Origin) -> OutcomeRecord:
        """Return the outcome of an event that expired, or was evicted, without a label."""
        self._tally["expired", "ttl" if fate is Fate.EXPIRED else "limit"] += 1
        return _of_event(vector, fate.value, None, None, {}, origin)

    def corrected(self, label: Label, origin: Origin) -> OutcomeRecord:
        """Return the outcome of an early label that was replaced by another one."""
        self._tally["label", Fate.CORRECTED.value] += 1
        return _of_label(label, Fate.CORRECTED, origin)

    def unusable(
        self, label: Label, fate: Fate, detail: str, origin: Origin
    ) -> list[RejectRecord | OutcomeRecord]:
        """Return the dead letter and the outcome of a label that no model learns from."""
        reason = _REASONS[fate]
        self._tally["label", fate.value] += 1
        self._tally["rejected_label", reason.value] += 1
        return [reject(origin, reason, detail), _of_label(label, fate, origin)]


def _of_event(
    vector: FeatureVector,
    fate: str,
    label: LabelValue | None,
    delay_ms: int | None,
    losses: dict[str, float],
    origin: Origin,
) -> OutcomeRecord:
    outcome: Outcome = {
        "event_id": vector["event_id"],
        "key": vector["key"],
        "event_time_ms": vector["event_time_ms"],
        "fate": fate,
        "label": label,
        "label_delay_ms": delay_ms,
        "losses": losses,
    }
    return OutcomeRecord(outcome, origin)


def _of_label(label: Label, fate: Fate, origin: Origin) -> OutcomeRecord:
    outcome: Outcome = {
        "event_id": label["event_id"],
        "key": label["key"],
        "event_time_ms": None,
        "fate": fate.value,
        "label": label["label"],
        "label_delay_ms": None,
        "losses": {},
    }
    return OutcomeRecord(outcome, origin)
