"""What candidates lost by the events of blocks: enough to test which of two is better.

A loss is bounded, so that no single event decides. Where it is not by itself, as that of numbers,
five times the mean loss of the best candidate in earlier blocks counts as 1. It is of earlier
blocks: a bound that looked at its own block would make the test invalid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from operator import ne
from typing import NamedTuple, cast

import numpy as np

from millrace.models.candidates.incumbents import incumbent_of
from millrace.schemas.records import BlockLosses
from millrace.streams.operators.block_state import Block
from millrace.streams.operators.block_sums import Losses, SideBySide
from millrace.streams.operators.joined import Joined

_KEPT, _TIMES_LOSS = 0.9, 5.0


class Met(NamedTuple):
    """Events of a block that have met their labels in a slice.

    Attributes
    ----------
    block
        The block.
    places
        Where they are among all of the slice that have met their labels.
    sometimes
        Candidates that were asked about some of them, or none: they came, or went, on the way.
    """

    block: Block
    places: Sequence[int]
    sometimes: Collection[str]


def add_whole(met: Sequence[Met], losses: Mapping[str, Losses]) -> bool:
    """Do what `LossesOfSlice` does, at a fifth of the cost, where each loss is 0 or 1.

    Such sums are exact, in whichever order.

    Returns
    -------
    bool
        Whether it was done: each candidate must have made a prediction for each event.
    """
    if any(each.sometimes for each in met) or not all(map(_is_known, losses.values())):
        return False
    for block, places, _ in met:
        columns = {name: _at(places, column) for name, column in losses.items()}
        totals = {name: sum(column) for name, column in columns.items()}
        of_block = _with_candidates(block, columns.keys())
        for name, own in columns.items():
            lost = of_block[name]
            rival, total = lost["rival"], totals[name]
            lost["events"] += len(own)
            lost["loss"] += total
            lost["bounded_loss"] += total
            if rival != name:
                lost["difference"] += totals[rival] - total
                lost["squared_difference"] += sum(map(ne, own, columns[rival]))
    return True


class LossesOfSlice:
    """What was lost in a slice, to be added to its blocks.

    Parameters
    ----------
    met
        The events.
    joined
        All of the slice that have met their labels.
    losses
        Candidate to what it lost by each of these.
    """

    def __init__(
        self, met: Sequence[Met], joined: Sequence[Joined], losses: Mapping[str, Losses]
    ) -> None:
        self._numbers = {name: number for number, name in enumerate(losses)}
        self._blocks = [each.block for each in met]
        self._losses = SideBySide([*losses.values()], [each.places for each in met])
        for at, (_, places, sometimes) in enumerate(met):
            for name in sometimes:
                is_asked = [name in joined[place].predicted for place in places]
                self._losses.is_asked[self._numbers[name], at, : len(places)] = is_asked
        self._sums: list[tuple[int, int, BlockLosses]] = []  # by number of candidate and of block

    def add(self) -> None:
        """Add losses as they are."""
        events, missing = (each.tolist() for each in self._losses.counts())
        before = np.zeros((len(self._numbers), len(self._blocks)))
        for at, block in enumerate(self._blocks):
            asked = {name: number for name, number in self._numbers.items() if events[number][at]}
            of_block = _with_candidates(block, asked.keys())
            for name, number in asked.items():
                lost = of_block[name]
                lost["events"] += events[number][at]
                lost["missing"] += missing[number][at]
                before[number, at] = lost["loss"]
                self._sums.append((number, at, lost))
        after = self._losses.added(before).tolist()
        for number, at, lost in self._sums:
            lost["loss"] = after[number][at]

    def compare(self) -> None:
        """Add losses as they are bounded, and their differences, where the bound is known."""
        bounds = [block["loss_bound"] for block in self._blocks]
        compared = [each for each in self._sums if bounds[each[1]] is not None]
        if not compared:
            return
        shape = len(self._numbers), len(self._blocks)
        before, rivals = np.zeros((3, *shape)), np.zeros(shape, dtype=np.intp)
        for number, at, lost in compared:
            rivals[number, at] = self._numbers[lost["rival"]]
            sums = lost["bounded_loss"], lost["difference"], lost["squared_difference"]
            before[:, number, at] = sums
        known = np.array([1.0 if each is None else each for each in bounds])
        own, differences, squares = self._losses.compared(before, rivals, known).tolist()
        for number, at, lost in compared:
            lost["bounded_loss"] = own[number][at]
            lost["difference"] = differences[number][at]
            lost["squared_difference"] = squares[number][at]


def bound_by(scale: float | None) -> float | None:
    """Return the loss that counts as 1, by about how large losses are; None where it is unknown."""
    return _TIMES_LOSS * scale if scale else None


def scale_with(block: Block, scale: float | None) -> float | None:
    """Return about how large losses are, once a block has been published."""
    mean = _least_mean(block)
    if mean is None or scale is None:
        return scale if mean is None else mean
    return _KEPT * scale + (1 - _KEPT) * mean


def _is_known(losses: Losses) -> bool:
    """Whether there is a loss for each event, by what is faster than to look for None."""
    try:
        sum(cast(Sequence[float], losses))
    except TypeError:
        return False
    return True


def _at(places: Sequence[int], column: Losses) -> Sequence[float]:
    """Return the losses at places of a column, which has them all."""
    known = cast(Sequence[float], column)
    if isinstance(places, range):
        return known[places.start : places.stop]
    return [known[place] for place in places]


def _least_mean(block: Block) -> float | None:
    """Return the mean loss of the candidate that lost least; None where none made a prediction."""
    means = [
        each["loss"] / count
        for each in block["candidates"].values()
        if (count := each["events"] - each["missing"])
    ]
    return min(means, default=None)


def _with_candidates(block: Block, names: Set[str]) -> dict[str, BlockLosses]:
    """Return the losses by candidate, with those of these names, in the order of the names."""
    known = block["candidates"]
    if new := names - known.keys():
        nothing = {name: _nothing_lost(name, block["champion"]) for name in new}
        block["candidates"] = known = dict(sorted({**known, **nothing}.items()))
    return known


def rival_of(name: str, champion: str) -> str:
    """Return who a candidate is compared with.

    A challenger is compared with its incumbent, and any other candidate with the champion.
    """
    incumbent = incumbent_of(name)
    return champion if incumbent == name else incumbent


def _nothing_lost(name: str, champion: str) -> BlockLosses:
    """Return the losses of a candidate before the first event."""
    return {
        "rival": rival_of(name, champion),
        "events": 0,
        "missing": 0,
        "loss": 0.0,
        "bounded_loss": 0.0,
        "difference": 0.0,
        "squared_difference": 0.0,
    }
