"""The record of `evaluations` that tells at once that the champion has failed.

It has no events: how candidates compare is not known yet. Prediction makes one for the first event
for which the champion makes no prediction, and learning for the first example that it cannot learn
from, where another candidate can.
"""

from __future__ import annotations

from millrace.schemas.records import Evaluation, PromotionTerms
from millrace.streams.operators.record import EvaluationRecord, Origin

NO_BLOCK = -1
"""Number of a report that is of no block."""


def failure_report(
    origin: Origin,
    time_ms: int,
    *,
    definition: str,
    champion: str,
    command: int,
    terms: PromotionTerms,
    number: int = NO_BLOCK,
    late_labels: int = 0,
    failures: int = 1,
) -> EvaluationRecord:
    """Return the report of a failure.

    Parameters
    ----------
    origin
        The record at which it happened.
    time_ms
        Event time.
    definition, champion, command, terms
        What was in force; see the schema `Evaluation`.
    number
        Of the block that was being filled.
    late_labels, failures
        Since the last record of the partition.
    """
    value: Evaluation = {
        "partition": origin.partition,
        "number": number,
        "definition": definition,
        "champion": champion,
        "command": command,
        "first_time_ms": time_ms,
        "last_time_ms": time_ms,
        "events": 0,
        "late_labels": late_labels,
        "failures": failures,
        "loss_bound": None,
        "drifted": [],
        "terms": terms,
        "candidates": {},
        "groups": {},
        "metrics": {},
        "certainty": None,
    }
    return EvaluationRecord(value, origin)
