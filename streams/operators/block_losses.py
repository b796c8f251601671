"""What candidates lost by the events of a block, as sums: enough to test which of two is better.

A sum goes on from where it was, value by value, so that it is the same wherever a slice is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import mul, ne, sub
from typing import TypeAlias, cast

from millrace.schemas.records import BlockLosses

_WORST = 1.0


def nothing_lost(rival: str) -> BlockLosses:
    """Return the losses of a candidate, compared with its rival, before the first event."""
    return {
        "rival": rival,
        "events": 0,
        "missing": 0,
        "loss": 0.0,
        "bounded_loss": 0.0,
        "difference": 0.0,
        "squared_difference": 0.0,
    }


Losses: TypeAlias = Sequence[float | None]
"""Losses of a candidate by events; None where it made no prediction."""


def add(losses: BlockLosses, own: Losses) -> None:
    """Add losses of a candidate."""
    missing = own.count(None)
    losses["events"] += len(own)
    losses["missing"] += missing
    known = [each for each in own if each is not None] if missing else cast(Sequence[float], own)
    losses["loss"] = _sum(losses["loss"], known)


def add_whole(losses: BlockLosses, own: Sequence[float], rival: Sequence[float]) -> None:
    """Do what `add` and `compare` do, at a fifth of the cost, where each loss is 0 or 1.

    Such sums are exact, in whichever order.
    """
    total = sum(own)
    losses["events"] += len(own)
    losses["loss"] += total
    losses["bounded_loss"] += total
    if own is not rival:
        losses["difference"] += sum(rival) - total
        losses["squared_difference"] += sum(map(ne, own, rival))


def compare(losses: BlockLosses, own: Losses, rival: Losses, bound: float) -> None:
    """Add losses again, bounded, and compare them with those of the rival.

    Parameters
    ----------
    bound
        The loss that counts as 1. It is a function of what came before the block.

    Examples
    --------
    >>> losses = nothing_lost("tree")
    >>> compare(losses, own=[0.0, 2.0, None], rival=[1.0, 9.0, 0.5], bound=4.0)
    >>> losses["bounded_loss"], losses["difference"], losses["squared_difference"]
    (1.5, -0.125, 1.078125)
    """
    of_own = _bounded(own, bound)
    losses["bounded_loss"] = _sum(losses["bounded_loss"], of_own)
    if own is rival:
        return
    differences = [*map(sub, _bounded(rival, bound), of_own)]
    losses["difference"] = _sum(losses["difference"], differences)
    squares = map(mul, differences, differences)
    losses["squared_difference"] = _sum(losses["squared_difference"], squares)


def _bounded(losses: Losses, bound: float) -> Sequence[float]:
    if bound == _WORST and None not in losses:
        return cast(Sequence[float], losses)  # which are bounded as they are
    return [_WORST if each is None or each >= bound else each / bound for each in losses]


def _sum(carried: float, values: Iterable[float]) -> float:
    """Return a sum that goes on: `sum` rounds in another way in later releases of Python."""
    return deque(accumulate(values, initial=carried), maxlen=1)[0]
