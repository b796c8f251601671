"""Outputs of one topic, brought together to be written together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, TypeAlias

from millrace.streams.operators.columns import Columns, Made
from millrace.streams.operators.record import Origin, Record

Batch: TypeAlias = Columns | list[Record]


def batches(made: Iterable[Made]) -> list[Batch]:
    """Return outputs topic by topic, in order on each."""
    by_topic: defaultdict[str, list[Batch]] = defaultdict(list)
    for (topic, kind), run in groupby(made, attrgetter("topic", "__class__")):
        those: list[Any] = by_topic[topic]
        if issubclass(kind, Columns):
            those += run
        elif those and isinstance(those[-1], list):
            those[-1] += run
        else:
            those.append([*run])
    return [*chain.from_iterable(by_topic.values())]


def origins_of(batch: Batch) -> Sequence[Origin]:
    """Return what each output goes back to."""
    return batch.origins if isinstance(batch, Columns) else [each.origin for each in batch]


def partitions_of(batch: Batch) -> list[int]:
    """Return the partition that each output goes to."""
    if isinstance(batch, Columns):
        return [each.partition for each in batch.origins]
    return [each.origin.partition if each.partition is None else each.partition for each in batch]
