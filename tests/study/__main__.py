"""Count false proofs, and the labels that a proof takes: `make study`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from millrace.models.selection.contest import ALPHA
from tests.study import streams
from tests.study.pairs import EQUAL, worse_champion
from tests.study.runs import Found, compare
from tests.study.streams import Labels

LABELS = {
    "at once": streams.AT_ONCE,
    "after 1,000 events": streams.DELAYED,
    "one in twenty never": streams.SOME_NEVER,
    "positives early, silence": streams.SILENCE,
}
DEPENDENCE = {"independent": 0.0, "dependent": 0.99}
GAINS = (0.02, 0.05, 0.15)
"""Shares of the champion's answers that are turned over."""


class Case(NamedTuple):
    """Pairs that are equal in law, on one kind of stream."""

    models: str
    dependence: str
    labels: str


def of_equals(case: Case, events: int, seed: int) -> Found:
    """Compare a pair that is equal in law."""
    labels, memory = LABELS[case.labels], DEPENDENCE[case.dependence]
    steps = streams.steps(events, labels, seed, memory)
    return compare(EQUAL[case.models](seed), steps, labels)


def of_unequals(gain: float, labels: Labels, events: int, seed: int) -> Found:
    """Compare a champion of which a share of the answers is turned over."""
    return compare(worse_champion(seed, gain), streams.steps(events, labels, seed), labels)


def main() -> int:
    options = _arguments()
    console = Console(width=110)
    with ProcessPoolExecutor(options.processes) as pool:

        def found(run: Callable[[int], Found], count: int) -> Iterable[Found]:
            return pool.map(run, range(count))

        table = Table(title=f"Equal models, {options.events:,} events each", title_justify="left")
        for column in ("models", "events", "labels", "pairs", "called better"):
            table.add_column(column)
        promoted = pairs = 0
        for case in map(Case._make, product(options.models, DEPENDENCE, LABELS)):
            run = partial(of_equals, case, options.events)
            wrong = sum(each.labels is not None for each in found(run, options.pairs))
            promoted, pairs = promoted + wrong, pairs + options.pairs
            table.add_row(*case, str(options.pairs), str(wrong))
            console.print(f"{', '.join(case)}: {wrong} of {options.pairs}", style="dim")
        console.print(table)
        power = Table(title="Labels until a gain is proven", title_justify="left")
        for column in ("turned over", "gain", "labels come", "runs", "proven", "median labels"):
            power.add_column(column)
        for gain, (name, labels) in product(GAINS, [*LABELS.items()][:2]):
            runs = [*found(partial(of_unequals, gain, labels, options.events), options.pairs)]
            needed = [each.labels for each in runs if each.labels is not None]
            mean = sum(each.difference for each in runs) / len(runs)
            shown = f"{median(needed):,.0f}" if needed else "-"
            power.add_row(
                f"{gain:.0%}", f"{mean:.3f}", name, str(len(runs)), str(len(needed)), shown
            )
        console.print(power)
    console.print(f"{promoted} of {pairs} pairs of equal models; allowed are {ALPHA:.0%}")
    return 1 if promoted > ALPHA * pairs else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.study", description=__doc__)
    parser.add_argument("--pairs", type=int, default=25, help="of each kind, on each stream")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=[*EQUAL], default=[*EQUAL])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
