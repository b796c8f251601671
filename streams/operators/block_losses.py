"""What candidates lost by the events of blocks: enough to test which of two is better.

A loss is bounded, so that no single event decides. Where it is not by itself, as that of numbers,
five times the mean loss of the best candidate in earlier blocks counts as 1. It is of earlier
blocks: a bound that looked at its own block would make the test invalid.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from millrace.models.candidates.incumbents import incumbent_of
from millrace.schemas.records import BlockLosses
from millrace.streams.operators.block_state import Block
from millrace.streams.operators.block_sums import Losses, SideBySide
from millrace.streams.operators.joined import Joined

_KEPT, _TIMES_LOSS = 0.9, 5.0

Events: TypeAlias = tuple[Block, Sequence[int]]
"""A block, and where in a slice those of its events are that have met their labels."""


class LossesOfSlice:
    """What was lost in a slice, to be added to its blocks.

    Parameters
    ----------
    events
        Where the events of each block are.
    joined
        All of the slice that have met their labels.
    losses
        Candidate to what it lost by each of these.
    always_asked
        Candidates that are asked about each event of a block. Others may have come on the way.
    """

    def __init__(
        self,
        events: Sequence[Events],
        joined: Sequence[Joined],
        losses: Mapping[str, Losses],
        always_asked: Callable[[Block], Collection[str]],
    ) -> None:
        self._numbers = {name: number for number, name in enumerate(losses)}
        self._blocks = [block for block, _ in events]
        of_blocks = [places for _, places in events]
        self._side_by_side = SideBySide([*losses.values()], of_blocks)
        for at, (block, places) in enumerate(events):
            for name in losses.keys() - always_asked(block):
                is_asked = [name in joined[place].predicted for place in places]
                self._side_by_side.is_asked[self._numbers[name], at, : len(places)] = is_asked

    def add(self) -> None:
        """Add losses as they are."""
        events, missing = (each.tolist() for each in self._side_by_side.counts())
        self._sums: list[tuple[int, int, BlockLosses]] = []
        loss = np.zeros((len(self._numbers), len(self._blocks)))
        for name, number in self._numbers.items():
            for at, block in enumerate(self._blocks):
                if count := events[number][at]:
                    losses = _losses_of(name, block)
                    losses["events"] += count
                    losses["missing"] += missing[number][at]
                    loss[number, at] = losses["loss"]
                    self._sums.append((number, at, losses))
        added = self._side_by_side.added(loss).tolist()
        for number, at, losses in self._sums:
            losses["loss"] = added[number][at]

    def compare(self) -> None:
        """Add losses as they are bounded, and their differences, where the bound is known."""
        bounds = [block["loss_bound"] for block in self._blocks]
        compared = [each for each in self._sums if bounds[each[1]] is not None]
        if not compared:
            return
        shape = len(self._numbers), len(self._blocks)
        before, rivals = np.zeros((3, *shape)), np.zeros(shape, dtype=np.intp)
        for number, at, losses in compared:
            rivals[number, at] = self._numbers[losses["rival"]]
            before[:, number, at] = (
                losses["bounded_loss"],
                losses["difference"],
                losses["squared_difference"],
            )
        known = np.array([each or 1.0 for each in bounds])
        own, differences, squares = self._side_by_side.compared(before, rivals, known).tolist()
        for number, at, losses in compared:
            losses["bounded_loss"] = own[number][at]
            losses["difference"] = differences[number][at]
            losses["squared_difference"] = squares[number][at]


def bound_by(scale: float | None) -> float | None:
    """Return the loss that counts as 1, by about how large losses are; None where it is unknown."""
    return _TIMES_LOSS * scale if scale else None


def scale_with(block: Block, scale: float | None) -> float | None:
    """Return about how large losses are, once a block has been published."""
    mean = _least_mean(block)
    if mean is None or scale is None:
        return scale if mean is None else mean
    return _KEPT * scale + (1 - _KEPT) * mean


def _least_mean(block: Block) -> float | None:
    """Return the mean loss of the candidate that lost least; None where none made a prediction."""
    means = [
        each["loss"] / count
        for each in block["candidates"].values()
        if (count := each["events"] - each["missing"])
    ]
    return min(means, default=None)


def _losses_of(name: str, block: Block) -> BlockLosses:
    """Return the losses of a candidate, which are kept in the order of the names."""
    known = block["candidates"]
    if name not in known:
        incumbent = incumbent_of(name)
        rival = block["champion"] if incumbent == name else incumbent
        nothing = BlockLosses(
            rival=rival,
            events=0,
            missing=0,
            loss=0.0,
            bounded_loss=0.0,
            difference=0.0,
            squared_difference=0.0,
        )
        block["candidates"] = known = dict(sorted({**known, name: nothing}.items()))
    return known[name]
