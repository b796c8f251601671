"""Sums of losses are those of one event after the other, to the last bit."""

from __future__ import annotations

import random
from typing import Any

import pytest

from millrace.schemas.records import BlockLosses
from millrace.streams.operators.block_losses import LossesOfSlice, Met, add_whole
from millrace.streams.operators.block_state import Block
from millrace.streams.operators.block_sums import Losses
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.record import Origin

ORIGIN = Origin("features", 0, 0, 0, None, None)
NAMES = ("champion", "challenger", "champion.challenger@7", "prior")


def block_of(bound: float | None) -> Block:
    return {
        "definition": "",
        "champion": "champion",
        "first_chunk": 0,
        "events": 100,
        "waiting": 0,
        "first_time_ms": 0,
        "last_time_ms": 0,
        "closed_ms": None,
        "loss_bound": bound,
        "drifted": [],
        "candidates": {},
    }


def joined_with(names: list[str]) -> Joined:
    predicted: Any = dict.fromkeys(names)
    vector: Any = {}
    return Joined(vector, predicted, True, None, None, ORIGIN, 0, ORIGIN)


def summed(losses: list[tuple[float | None, float | None]], bound: float | None) -> BlockLosses:
    """Add a candidate's losses, and its rival's, one after the other."""
    found: Any = {"events": len(losses), "missing": 0, "loss": 0.0}
    sums = {"bounded_loss": 0.0, "difference": 0.0, "squared_difference": 0.0}
    for own, rival in losses:
        found["missing"] += own is None
        found["loss"] += own or 0.0
        if bound is not None:
            share, of_rival = (
                1.0 if each is None or each >= bound else each / bound for each in (own, rival)
            )
            sums["bounded_loss"] += share
            sums["difference"] += of_rival - share
            sums["squared_difference"] += (of_rival - share) ** 2
    return found | sums  # type: ignore[no-any-return]


def drawn_loss(rng: random.Random, *, is_whole: bool) -> float | None:
    if rng.random() < 0.05:
        return None
    if is_whole:
        return float(rng.random() < 0.3)
    return rng.choice([0.0, rng.random(), rng.gauss(0, 3) ** 2, 1e300, 1e-300])


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_slices_are_one_event_after_the_other(seed: int, is_whole: bool) -> None:
    """Blocks get the same sums from slices, whichever events of which blocks are in each."""
    rng = random.Random(seed)
    bounds = [1.0] if is_whole else [None, 1.0, rng.random() * 5, 1e-200]
    blocks = [block_of(rng.choice(bounds)) for _ in range(3)]
    events: list[list[list[tuple[float | None, float | None]]]]
    events = [[[] for _ in blocks] for _ in NAMES]
    for _ in range(rng.choice([2, 9])):
        size = rng.randint(1, 150)
        losses: dict[str, Losses] = {
            name: [drawn_loss(rng, is_whole=is_whole) for _ in range(size)] for name in NAMES
        }
        asked = [[name for name in NAMES if name != NAMES[2] or rng.random() < 0.6]] * size
        of_blocks = [rng.randrange(3) for _ in range(size)]
        if rng.random() < 0.5:
            of_blocks.sort()
        met = []
        for number, block in enumerate(blocks):
            places = [at for at, each in enumerate(of_blocks) if each == number]
            in_a_row = places == [*range(places[0], places[-1] + 1)] if places else False
            if places:
                row = range(places[0], places[-1] + 1) if in_a_row else places
                met.append(Met(block, row, {NAMES[2]}))
        for at, number in enumerate(of_blocks):
            for candidate, name in enumerate(NAMES):
                rival = NAMES[0]
                if name in asked[at]:
                    events[candidate][number].append((losses[name][at], losses[rival][at]))
        of_slice = LossesOfSlice(met, [joined_with(each) for each in asked], losses)
        of_slice.add()
        of_slice.compare()
    for candidate, name in enumerate(NAMES):
        for number, block in enumerate(blocks):
            if events[candidate][number]:
                expected = summed(events[candidate][number], block["loss_bound"])
                assert block["candidates"][name] == {"rival": NAMES[0], **expected}
            else:
                assert name not in block["candidates"]


@pytest.mark.parametrize("seed", range(5))
def test_losses_of_0_or_1_are_the_same_by_themselves(seed: int) -> None:
    """What is faster gives the same sums, and does nothing where a loss is missing."""
    rng = random.Random(seed)
    one, other = [[block_of(1.0), block_of(1.0)] for _ in range(2)]
    for _ in range(5):
        losses: dict[str, Losses] = {
            name: [float(rng.random() < 0.3) for _ in range(100)] for name in NAMES
        }
        order = rng.sample(range(100), 100)
        places = rng.choice([(range(30), range(30, 100)), (order[:60], order[60:])])
        assert add_whole([Met(*each, ()) for each in zip(one, places, strict=True)], losses)
        of_slice = LossesOfSlice(
            [Met(*each, ()) for each in zip(other, places, strict=True)],
            [joined_with([*NAMES])] * 100,
            losses,
        )
        of_slice.add()
        of_slice.compare()
    assert one == other
    losses["prior"] = [None, *losses["prior"][1:]]
    met = [Met(*each, ()) for each in zip(one, places, strict=True)]
    assert not add_whole(met, losses)
    assert not add_whole([Met(one[0], range(30), {"challenger"})], losses)
    assert one == other
