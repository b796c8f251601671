"""What a pipeline loses where it decides who serves: commands are applied as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, cast

from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.promoter import Promoter
from millrace.models.selection.promotion import Promotion
from millrace.schemas.records import Evaluation
from millrace.streams.operators.record import Origin, RawRecord, Record
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.replay.encoding import Encoder, Row
from tests.study.streams import BEGIN_MS
from tests.unit.streams.operators.commanding import Control, folded, make_task

PROMOTION = Promotion()
_AGENT = "+".join(each for each in OPERATORS if each != "drift")
_SLICE = 50  # records; a decision is applied at the end of its slice


class Switch(NamedTuple):
    """A change of the champion."""

    labels: int
    champion: str


class Block(NamedTuple):
    """Bounded losses of a block of events, as they would be if each model had served."""

    labels: int
    champion: str
    losses: dict[str, float]


@dataclass(frozen=True)
class Served:
    """A stream, and who served.

    Attributes
    ----------
    blocks
        In order, without those whose losses are not bounded yet.
    switches
        After how many labels who was to serve.
    """

    blocks: list[Block]
    switches: list[Switch]

    @property
    def labels(self) -> int:
        return sum(each.labels for each in self.blocks)

    @property
    def losses(self) -> Counter[str]:
        """Sum of the losses of each candidate."""
        totals: Counter[str] = Counter()
        for each in self.blocks:
            totals.update(each.losses)
        return totals

    @property
    def best(self) -> str:
        """The single candidate that lost least: with hindsight."""
        losses = self.losses
        return min(losses, key=losses.__getitem__)

    @property
    def decided(self) -> int | None:
        """After how many labels it was decided who serves, for good; None where it was not.

        That is when the best single candidate began to serve, or one that is not worse than that
        by more than the margin.
        """
        losses, slack = self.losses, PROMOTION.margin * self.labels
        good = {name for name in losses if losses[name] <= losses[self.best] + slack}
        labels, decided = 0, 0
        for each in self.blocks:
            labels += each.labels
            if each.champion not in good:
                decided = labels
        return None if decided == labels else decided

    def lost(self) -> float:
        """Return the sum of the losses of those that served."""
        return sum(each.losses[each.champion] for each in self.blocks)

    def excess(self, after: int = 0) -> float:
        """Return how much more was lost than by the best single candidate, after some labels."""
        best, labels, excess = self.best, 0, 0.0
        for each in self.blocks:
            labels += each.labels
            if labels > after:
                excess += each.losses[each.champion] - each.losses[best]
        return excess


def serve(pipeline: Pipeline, rows: Iterable[Row]) -> Served:
    """Let a pipeline serve rows that have their labels, and change its champion as is decided."""
    pipeline = replace(pipeline, promotion=PROMOTION)
    control, task = Control(pipeline, "events"), make_task(pipeline, _AGENT)
    promoter = Promoter(["no_change", "prior", "mean"])
    served, labels = Served([], []), 0
    records = _records(pipeline, rows)
    while part := [*islice(records, _SLICE)]:
        for made in folded(task, part):
            if made.topic != "evaluations":
                continue
            block = cast(Evaluation, made.value)
            decision = promoter.add(block)
            if block["loss_bound"] is not None:
                served.blocks.append(_block(block, control))
                labels += served.blocks[-1].labels
            if decision is not None and decision.champion == control.in_force.champion:
                served.switches.append(Switch(labels, decision.model))
                folded(task, [control.accept("promote", model=decision.model)])
    return served


def _block(block: Evaluation, control: Control) -> Block:
    losses = {
        name: each["bounded_loss"]
        for name, each in block["candidates"].items()
        if name in control.in_force.models
    }
    champion = block["champion"]
    return Block(block["candidates"][champion]["events"], champion, losses)


def _records(pipeline: Pipeline, rows: Iterable[Row]) -> Iterator[Record]:
    encoder = Encoder(pipeline, partitions=1)
    for number, row in enumerate(rows):
        produced = encoder.event(row)
        yield RawRecord.of(Origin("events", 0, number, BEGIN_MS, produced.key, produced.value))
