"""What is played: events and labels as a data team would produce them, and a few bad records.

Every second event and every second label is JSON, the others are Avro: `ingest` takes either.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas import RejectReason, shipped

_LONGEST_LABEL_DELAY = 300


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is played, and how fast.

    Parameters
    ----------
    events
        Loan applications; bad records come on top.
    rate
        Of them, per second.
    seed
        Of the applicants.
    """

    events: int
    rate: float
    seed: int = 42

    @property
    def drift_at(self) -> int:
        """Index of the first application that is granted by the new rule."""
        return self.events // 2

    @property
    def label_delay(self) -> int:
        """Events between an event and its label."""
        return min(_LONGEST_LABEL_DELAY, self.events // 10)


class Kind(StrEnum):
    EVENT = "event"
    LABEL = "label"
    BAD = "bad record"


class Outgoing(NamedTuple):
    """A record to produce; a bad one goes where events go."""

    kind: Kind
    key: bytes
    value: bytes


BAD: Mapping[str, RejectReason] = {
    "garbage": RejectReason.MALFORMED,
    "a field missing": RejectReason.MISSING_FIELD,
    "not a number": RejectReason.NOT_FINITE,
    "no id": RejectReason.MISSING_ID,
    "Avro cut short": RejectReason.MALFORMED,
}
"""What is wrong with each bad record, and the reason with which it must be rejected."""

EXPECTED_REJECTS: Mapping[str, int] = Counter(reason.value for reason in BAD.values())


def script(plan: Plan) -> Iterator[Outgoing]:
    """Yield every record in the order in which it is produced.

    The label of event i comes right before event i + `label_delay`; those that are left come at
    the end. The bad records are spread evenly, none of them at the drift.
    """
    bad_after = {(2 * i + 1) * plan.events // (2 * len(BAD) + 2): i for i in range(len(BAD))}
    unlabelled: deque[tuple[int, dict[str, Any]]] = deque()
    for index, row in enumerate(applications(plan.events, plan.seed, plan.drift_at)):
        if len(unlabelled) == plan.label_delay:
            yield _label(*unlabelled.popleft())
        yield _event(index, row)
        unlabelled.append((index, row))
        if index in bad_after:
            yield Outgoing(Kind.BAD, b"bad", bad_records(row)[bad_after[index]])
    for each in unlabelled:
        yield _label(*each)


def bad_records(row: Mapping[str, Any]) -> list[bytes]:
    """Return what `BAD` describes, in that order, made from a good application."""
    without_salary = {name: value for name, value in row.items() if name != "salary"}
    return [
        b"\x17 this is not a loan application",
        json.dumps(without_salary).encode(),
        _avro({**row, "salary": math.nan}),
        json.dumps({**row, "application_id": ""}).encode(),
        _avro(row)[:-12],
    ]


def _event(index: int, row: dict[str, Any]) -> Outgoing:
    question = {name: value for name, value in row.items() if name != "granted"}
    value = json.dumps(question).encode() if index % 2 else _avro(question)
    return Outgoing(Kind.EVENT, _key(row), value)


def _label(index: int, row: dict[str, Any]) -> Outgoing:
    answer = {"event_id": row["application_id"], "label": row["granted"]}
    value = json.dumps(answer).encode() if index % 2 else shipped("label").encode(answer)
    return Outgoing(Kind.LABEL, _key(row), value)


def _avro(row: Mapping[str, Any]) -> bytes:
    return pipeline.event_schema.accepted.encode({**row, "granted": None})


def _key(row: Mapping[str, Any]) -> bytes:
    return str(row["application_id"]).encode()
