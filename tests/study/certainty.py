"""How often intervals and sets hold, and how large they are: `python -m tests.study.certainty`.

Each method moves a threshold along the scores of River models, with feedback at once, in blocks of
a hundred events, and 1,000 events late. No method sees a label before that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from statistics import fmean
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.study.residuals import CLASSES, NUMBERS, Stream, stream
from tests.study.rivals import (
    AdaptiveConformal,
    Own,
    PublishedDescent,
    PublishedPI,
    Rival,
    RollingQuantile,
)

COVERAGE = 0.9
_WINDOW = 200


class Feedback(NamedTuple):
    """When scores are known: so many events later, and in blocks of so many events."""

    late: int
    block: int


FEEDBACK = {
    "at once": Feedback(0, 1),
    "blocks of 100": Feedback(0, 100),
    "1,000 late": Feedback(1_000, 1),
}
METHODS: dict[str, Callable[[Stream], Rival]] = {
    "rolling quantile": lambda _: RollingQuantile(COVERAGE),
    "ACI": lambda _: AdaptiveConformal(COVERAGE),
    "SF-OGD as published": lambda _: PublishedDescent(COVERAGE),
    "PI as published": lambda _: PublishedPI(COVERAGE),
    "sf_ogd": lambda stream: Own("sf_ogd", COVERAGE, stream.largest),
    "pi": lambda stream: Own("pi", COVERAGE, stream.largest),
}


class Found(NamedTuple):
    """What one method gave on one stream.

    Attributes
    ----------
    coverage
        Of all events that had a threshold.
    worst
        Of the worst 200 events in a row.
    size
        Mean width of intervals, or mean number of classes.
    """

    coverage: float
    worst: float
    size: float


class Row(NamedTuple):
    """A method on several streams of a kind: means, and the extremes of coverage."""

    stream: str
    feedback: str
    method: str
    coverage: float
    least: float
    most: float
    worst: float
    size: float


def serve(scores: Sequence[float], rival: Rival, feedback: Feedback) -> list[float | None]:
    """Return the threshold that is in force at each event."""
    served: list[float | None] = []
    learned = 0
    for number in range(len(scores)):
        known = max(number - feedback.late, 0) // feedback.block * feedback.block
        for event in range(learned, known):
            rival.learn(scores[event], served[event])
        learned = max(known, learned)
        served.append(rival.threshold)
    return served


def measure(of: Stream, served: Sequence[float | None]) -> Found:
    """Return what was covered by the thresholds that were served."""
    known = [
        (number, threshold) for number, threshold in enumerate(served) if threshold is not None
    ]
    hits = [of.scores[number] <= threshold for number, threshold in known]
    sums = [0, *accumulate(hits)]
    worst = min(after - before for before, after in zip(sums, sums[_WINDOW:], strict=False))
    if of.shares:
        sizes = [
            sum(1.0 - share <= threshold for share in of.shares[number].values())
            for number, threshold in known
        ]
    else:
        sizes = [2.0 * max(threshold, 0.0) for _, threshold in known]
    return Found(fmean(hits), worst / _WINDOW, fmean(sizes))


def rows(
    names: Sequence[str], seeds: int, events: int, methods: Sequence[str] = tuple(METHODS)
) -> Iterator[Row]:
    """Yield a row for each stream, each kind of feedback, and each method."""
    for name in names:
        streams = [stream(name, events, seed) for seed in range(seeds)]
        for feedback, when in FEEDBACK.items():
            for method in methods:
                make = METHODS[method]
                found = [measure(each, serve(each.scores, make(each), when)) for each in streams]
                shares = [each.coverage for each in found]
                yield Row(
                    *(name, feedback, method),
                    *(fmean(shares), min(shares), max(shares)),
                    min(each.worst for each in found),
                    fmean(each.size for each in found),
                )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.study.certainty", description=__doc__)
    parser.add_argument("--streams", nargs="+", default=[*NUMBERS, *CLASSES])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--seeds", type=int, default=5, help="streams of each kind")
    parser.add_argument("--events", type=int, default=10_000)
    options = parser.parse_args()
    table = Table(
        title=f"Coverage {COVERAGE:.0%} wanted, {options.events:,} events", title_justify="left"
    )
    heads = ("stream", "feedback", "method", "coverage", "from", "to", "worst 200", "size")
    for head in heads:
        table.add_column(head)
    for row in rows(options.streams, options.seeds, options.events, options.methods):
        shares = (f"{each:.3f}" for each in row[3:7])
        table.add_row(*row[:3], *shares, f"{row.size:.2f}", end_section=row.method == "pi")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
