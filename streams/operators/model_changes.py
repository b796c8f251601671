"""What `audit` says of a model that a rule of the pipeline has changed.

A policy puts an untrained model in a candidate's place (`reset`), or lets a challenger compete for
it (`challenged`). The trial ends with the challenger in that place (`replaced`), or not (`kept`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.model_set import ModelSet
from millrace.models.monitoring.drift_monitor import Evidence
from millrace.models.selection.trial import Verdict
from millrace.streams.operators.audit import Cause, audited
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.record import AuditRecord

Found = Mapping[str, object]
"""What a decision rests on: name to value."""

_TRIAL = "rule:drift.replacement_after"
_ENDED = {
    Verdict.WON: "the challenger is proven better",
    Verdict.LOST: "the challenger is proven worse, or has not been proven better for long",
    Verdict.UNDECIDED: "the challenger raised an exception when it learned",
}


def after_drift(evidence: Evidence, joined: Joined) -> tuple[Cause, Found]:
    """Return why a policy acts on a loss that has risen, and the evidence."""
    why = f"the mean loss rose from {evidence.mean_before:.4g} to {evidence.mean_after:.4g}"
    found = asdict(evidence)
    del found["is_last"]
    return Cause("rule:drift.policy", why, joined.met), found


def after_invalid(failures: int, joined: Joined) -> tuple[Cause, Found]:
    """Return why a policy acts on a candidate that fails again and again, and the evidence."""
    why = "it made no valid prediction, or did not learn, ten times in a row"
    return Cause("rule:on_invalid_prediction", why, joined.met), {"failures": failures}


def change_of(
    name: str, models: ModelSet, rival: Challenger | None, cause: Cause, found: Found
) -> AuditRecord:
    """Return the record of what a policy has done to a candidate.

    Parameters
    ----------
    name
        The candidate.
    models
        As they are now.
    rival
        The challenger that the candidate had before.
    cause, found
        Why, and by which evidence.
    """
    action, after = "reset", "untrained"
    before: str | None = "trained"
    challenger = models.challengers.get(name)
    if challenger is not None and challenger is not rival:
        action, before, after = "challenged", rival.name if rival else None, challenger.name
    evidence = _as_text({"version": models.version, **found})
    return audited(cause, _subject(name), action, before=before, after=after, evidence=evidence)


def end_of_trial(challenger: Challenger, joined: Joined, found: Found) -> AuditRecord:
    """Return the record of a challenger that competes no more."""
    name, verdict = challenger.incumbent, challenger.verdict
    is_replaced = verdict is Verdict.WON
    return audited(
        Cause(_TRIAL, _ENDED[verdict], joined.met),
        _subject(name),
        "replaced" if is_replaced else "kept",
        before=name,
        after=challenger.name if is_replaced else name,
        evidence=_as_text({"challenger": challenger.name, **challenger.evidence, **found}),
    )


def _subject(name: str) -> str:
    return f"models[{name!r}]"


def _as_text(found: Found) -> dict[str, str]:
    return {name: str(value) for name, value in found.items()}
