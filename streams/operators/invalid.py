"""Alerts of models that make no valid prediction.

The source is `invalid:<candidate>`, a value of which is 1 for an invalid prediction and 0 for a
valid one; the position is the number of invalid ones so far.
"""

from __future__ import annotations

from millrace.models.monitoring.drift import DriftPolicy
from millrace.schemas.records import Alert, FeatureVector
from millrace.streams.operators.record import AlertRecord, Origin

VALIDITY = "validity"
"""What such alerts name as their detector."""


def invalid_alert(
    candidate: str,
    version: int,
    count: int,
    vector: FeatureVector,
    origin: Origin,
    action: DriftPolicy = DriftPolicy.ALERT,
) -> AlertRecord:
    """Return the alert of a candidate's invalid predictions, the last one for this event.

    Parameters
    ----------
    candidate, version
        The model, and how many examples it has learned from.
    count
        Invalid predictions so far.
    vector, origin
        The event.
    action
        What happens to the model.
    """
    alert = Alert(
        source=f"invalid:{candidate}",
        detector=VALIDITY,
        event_id=vector["event_id"],
        event_time_ms=vector["event_time_ms"],
        position=count,
        mean_before=0.0,
        mean_after=1.0,
        action=action.value,
        model=candidate,
        model_version=version,
        detail="",
        reasons=[],
    )
    return AlertRecord(alert, origin)
