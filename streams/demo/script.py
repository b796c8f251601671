"""What the demo sends: events and labels as a data team would produce them, and a few invalid ones.

Every second event and every second label is JSON, the others are Avro: `ingest` takes both.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas import RejectReason, shipped
from millrace.streams.topology.topics import topic_prefix

PREFIX = topic_prefix(pipeline)
"""What the names of the demo's topics begin with."""

_MAX_LABEL_DELAY = 300

_Row: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is sent, and how fast.

    Parameters
    ----------
    events
        Loan applications; invalid records are sent in addition.
    rate
        Loan applications per second.
    """

    events: int
    rate: float

    @property
    def drift_at(self) -> int:
        """Index of the first application that is granted by the new rule."""
        return self.events // 2

    @property
    def label_delay(self) -> int:
        """Events between an event and its label."""
        return min(_MAX_LABEL_DELAY, self.events // 10)


class Kind(Enum):
    """What a record is; an invalid one is sent to the topic of the events."""

    EVENT = auto()
    LABEL = auto()
    INVALID = auto()


class Outgoing(NamedTuple):
    """A record to produce."""

    kind: Kind
    value: bytes


INVALID: tuple[tuple[RejectReason, Callable[[_Row], bytes]], ...] = (
    (RejectReason.MALFORMED, lambda _: b"\x17 this is not a loan application"),
    (RejectReason.MISSING_FIELD, lambda row: _json(_without("salary", row))),
    (RejectReason.NOT_FINITE, lambda row: _avro({**row, "salary": math.nan})),
    (RejectReason.MISSING_ID, lambda row: _json({**row, "application_id": ""})),
    (RejectReason.MALFORMED, lambda row: _avro(row)[:-12]),
)
"""How each invalid record is made from a valid application, and why it must be rejected."""

EXPECTED_REJECTS: Mapping[str, int] = Counter(reason.value for reason, _ in INVALID)


def script(plan: Plan) -> Iterator[Outgoing]:
    """Yield every record in the order in which it is produced.

    The label of event i comes right before event i + `label_delay`, the last labels after all
    events. Invalid records are spread evenly, and none is near the drift.

    Records are made in a thread, where no KeyboardInterrupt is raised: River's generator calls
    `eval`, and after one that passed through `eval`, CPython ends the process with SIGINT at exit.
    """
    records = _records(plan)
    with ThreadPoolExecutor(1) as thread:
        yield from iter(lambda: thread.submit(next, records, None).result(), None)


def _records(plan: Plan) -> Iterator[Outgoing]:
    parts = 2 * len(INVALID) + 2
    invalid = {(2 * i + 1) * plan.events // parts: make for i, (_, make) in enumerate(INVALID)}
    labels: deque[Outgoing] = deque()
    for index, row in enumerate(applications(plan.events, drift_at=plan.drift_at)):
        if len(labels) == plan.label_delay:
            yield labels.popleft()
        yield _event(index, row)
        labels.append(_label(index, row))
        if index in invalid:
            yield Outgoing(Kind.INVALID, invalid[index](row))
    yield from labels


def _event(index: int, row: _Row) -> Outgoing:
    value = _json(_without("granted", row)) if index % 2 else _avro(row)
    return Outgoing(Kind.EVENT, value)


def _label(index: int, row: _Row) -> Outgoing:
    label = {"event_id": row["application_id"], "label": row["granted"]}
    value = _json(label) if index % 2 else shipped("label").encode(label)
    return Outgoing(Kind.LABEL, value)


def _without(field: str, row: _Row) -> _Row:
    return {name: value for name, value in row.items() if name != field}


def _json(document: _Row) -> bytes:
    return json.dumps(document).encode()


def _avro(row: _Row) -> bytes:
    return pipeline.event_schema.accepted.encode({**row, "granted": None})
