"""A challenger that is better for a part of each day and worse for the rest, by as much."""

from __future__ import annotations

import random
from collections.abc import Iterator
from operator import sub
from typing import NamedTuple

from millrace.models.selection.promoter import Promoter
from millrace.schemas.records import BlockLosses, Evaluation
from tests.study.served import PROMOTION, Block, Served, Switch
from tests.study.streams import BEGIN_MS

_BLOCK = 100
_ERROR = 0.2
_GAIN = 0.1
_FIRST, _SECOND = "steady", "by day"


class Rhythm(NamedTuple):
    """How a day goes.

    Attributes
    ----------
    events
        Of a day.
    share
        Of them, at which the challenger errs 10 points less; at the others it errs 10 points more.
    """

    events: int
    share: float


RHYTHMS = tuple(Rhythm(events, share) for events in (5_000, 10_000, 20_000) for share in (0.5, 0.3))


def serve(rhythm: Rhythm, events: int, seed: int) -> Served:
    """Let the two compete for some days; a decision is in force from the next block on."""
    promoter, served = Promoter([]), Served([], [])
    champion, labels = _FIRST, 0
    for number, losses in enumerate(_losses(rhythm, events, seed)):
        decision = promoter.add(_evaluation(number, champion, losses))
        sums = {name: sum(each) for name, each in losses.items()}
        served.blocks.append(Block(_BLOCK, champion, sums))
        labels += _BLOCK
        if decision is not None:
            champion = decision.model
            served.switches.append(Switch(labels, champion))
    return served


def _losses(rhythm: Rhythm, events: int, seed: int) -> Iterator[dict[str, list[float]]]:
    rng = random.Random(seed)
    for begin in range(0, events, _BLOCK):
        is_early = begin % rhythm.events < rhythm.share * rhythm.events
        ahead, behind = _ERROR - _GAIN / 2, _ERROR + _GAIN / 2
        errors = {_FIRST: behind, _SECOND: ahead} if is_early else {_FIRST: ahead, _SECOND: behind}
        yield {
            name: [float(rng.random() < error) for _ in range(_BLOCK)]
            for name, error in errors.items()
        }


def _evaluation(number: int, champion: str, losses: dict[str, list[float]]) -> Evaluation:
    candidates: dict[str, BlockLosses] = {}
    for name, own in losses.items():
        total, differences = sum(own), [*map(sub, losses[champion], own)]
        candidates[name] = BlockLosses(
            rival=champion,
            events=_BLOCK,
            missing=0,
            loss=total,
            bounded_loss=total,
            difference=sum(differences),
            squared_difference=sum(map(abs, differences)),
        )
    return Evaluation(
        partition=0,
        number=number,
        definition="",
        champion=champion,
        command=0,
        first_time_ms=BEGIN_MS,
        last_time_ms=BEGIN_MS,
        events=_BLOCK,
        late_labels=0,
        failures=0,
        loss_bound=1.0,
        drifted=[],
        terms=PROMOTION.terms("zero_one"),
        candidates=candidates,
        groups={},
        metrics={},
        certainty=None,
    )
