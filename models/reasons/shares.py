"""What features add lately, and what they added before that: what changed at a drift.

The contributions of many predictions are added up, feature by feature. A feature's share is what it
adds in size, of all that is added: from 0 to 1, on whichever scale the reasons are. Where the label
is known, it is told besides how much of it was right: what pointed to the label, less what pointed
away from it, from -1 to 1. That falls at once where a rule ends; shares change as a model learns
the new one.

Sums are of blocks of ten positions of a log. What was lately are the three newest blocks that were
complete at a position; what was before are the nine before them. So the answer for a position is
the same wherever a log is cut, and however far it has been read since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import isfinite
from typing import NamedTuple, Self

from millrace.models.reasons.reasons import Reasons, Scale
from millrace.models.sealed import Fields
from millrace.schemas.records import LabelValue

POSITIONS = 10
"""Of a block."""

_RECENT = 3  # blocks
_BEFORE = 9


class ShareChange(NamedTuple):
    """A feature's share before and after, and how much of it was right, where that is known."""

    name: str
    before: float
    after: float
    right_before: float | None
    right_after: float | None


@dataclass(slots=True)
class _Block:
    number: int
    model: str
    sizes: dict[str, float] = field(default_factory=dict)
    right: dict[str, float] = field(default_factory=dict)


class ReasonShares:
    """Adds up contributions, and says of which features they have changed most.

    Attributes
    ----------
    position
        The one after the last that has been added.

    Examples
    --------
    >>> shares = ReasonShares()
    >>> for at in range(300):
    ...     shares.add(at, "own", {"size": -3.0, "age": 1.0}, sign=-1 if at < 270 else 1)
    >>> shares.changes(300, "own", 1)
    [ShareChange(name='size', before=0.75, after=0.75, right_before=0.75, right_after=-0.75)]
    """

    def __init__(self) -> None:
        self.position = 0
        self._blocks: list[_Block] = []

    def to_fields(self) -> dict[str, object]:
        blocks = [[each.number, each.model, each.sizes, each.right] for each in self._blocks]
        return {"position": self.position, "blocks": blocks}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        shares = cls()
        shares.position = fields["position"]
        shares._blocks = [_Block(*each) for each in fields["blocks"]]
        return shares

    def add(
        self, position: int, model: str, contributions: Mapping[str, float], sign: int = 0
    ) -> None:
        """Add what was contributed to a prediction of a model; positions come in order.

        Parameters
        ----------
        sign
            Of contributions that point to the label; 0 where that is not known.
        """
        self.position = position + 1
        number, blocks = position // POSITIONS, self._blocks
        block = blocks[-1] if blocks else None
        if block is None or block.number != number or block.model != model:
            block = _Block(number, model)
            blocks.append(block)
        sizes, right = block.sizes, block.right
        for name, each in contributions.items():
            sizes[name] = sizes.get(name, 0.0) + abs(each)
            if sign:
                right[name] = right.get(name, 0.0) + sign * each

    def changes(self, position: int, model: str, k: int) -> list[ShareChange]:
        """Return the `k` features that differ most, at a position.

        By how much of them was right, where that is known, else by their shares. There are none
        before a model has contributed for a while.
        """
        complete = [each for each in self._blocks if each.number < position // POSITIONS]
        newest = reversed(complete[-_RECENT - _BEFORE :])
        own = [*takewhile(lambda each: each.model == model, newest)]
        before, after = own[_RECENT:], own[:_RECENT]
        sizes, right = _shares(before, after, _sizes), _shares(before, after, _right)
        if sizes is None or right is None:
            return []
        knows = any(each.right for each in own)
        found = [
            ShareChange(name, *each, *(right.get(name, (0.0, 0.0)) if knows else (None, None)))
            for name, each in sizes.items()
        ]
        found.sort(key=lambda each: (-_difference(each), each.name))
        return [each for each in found[:k] if _difference(each)]

    def forget(self) -> None:
        """Forget what no later position is told by."""
        complete = sum(each.number < (self.position - 1) // POSITIONS for each in self._blocks)
        del self._blocks[: max(0, complete - _RECENT - _BEFORE)]


def sign_of_right(reasons: Reasons, label: LabelValue | None) -> int:
    """Return the sign of contributions that point to the label; 0 if none does.

    Examples
    --------
    >>> sign_of_right(Reasons(Scale.TARGET, 10.0, {}), 4.0)
    -1
    >>> sign_of_right(Reasons(Scale.PROBABILITY, 0.5, {}, of="red"), "red")
    1
    """
    if label is None:
        return 0
    if reasons.scale is not Scale.TARGET:
        return 1 if label == reasons.of else -1
    if isinstance(label, str):
        return 0
    return (label > reasons.base) - (label < reasons.base)


def _sizes(block: _Block) -> Mapping[str, float]:
    return block.sizes


def _right(block: _Block) -> Mapping[str, float]:
    return block.right


def _shares(
    before: Sequence[_Block], after: Sequence[_Block], part: Callable[[_Block], Mapping[str, float]]
) -> dict[str, tuple[float, float]] | None:
    """Return each feature's share before and after; None where one of the two has none."""
    found: dict[str, list[float]] = {}
    for at, blocks in enumerate((before, after)):
        total = sum(size for block in blocks for size in block.sizes.values())
        if not total or not isfinite(total):
            return None
        for block in blocks:
            for name, each in part(block).items():
                found.setdefault(name, [0.0, 0.0])[at] += each
        for sums in found.values():
            sums[at] /= total
    return {name: (was, is_now) for name, (was, is_now) in found.items()}


def _difference(change: ShareChange) -> float:
    if change.right_before is None or change.right_after is None:
        return abs(change.after - change.before)
    return abs(change.right_after - change.right_before)
