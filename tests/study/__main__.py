"""Count false promotions, the labels that a promotion takes, and what is lost: `make study`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypeVar

from rich.console import Console
from rich.table import Table

from bench.process import REPOSITORY, interpreter
from tests.study import parts
from tests.study.pairs import EQUAL
from tests.study.parts import Days, Equals, NeverWorse, Power
from tests.study.served import PROMOTION

Results: TypeAlias = dict[str, list[dict[str, Any]]]

_T = TypeVar("_T")
PARTS = ("equals", "power", "days", "never-worse")


def main() -> int:
    options = _arguments()
    console = Console(width=190)
    equals: list[Equals] = []
    power: list[Power] = []
    worse: list[NeverWorse] = []
    with ProcessPoolExecutor(options.processes) as pool:
        if "equals" in options.parts:
            found = parts.equals(options.models, options.pairs, options.events, pool.map)
            equals += _told(console, found)
            console.print(_of_equals(equals, options.events))
        if "power" in options.parts:
            power += _told(console, parts.power(options.pairs, options.events, pool.map))
            console.print(_of_power(power))
        if "days" in options.parts:
            rhythms = _told(console, parts.days(options.pairs, 2 * options.events, pool.map))
            console.print(_of_days([*rhythms], 2 * options.events))
    if "never-worse" in options.parts:
        worse += _told(console, parts.never_worse(options.data, options.label))
        console.print(_of_never_worse(worse))
    results = _with_earlier(options.json, equals, power)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.plot:
        _plot(results, options.plot)
    return _verdict(console, equals, worse)


def _told(console: Console, rows: Iterable[_T]) -> Iterator[_T]:
    """Yield rows, and show each as it comes: it takes long."""
    for each in rows:
        console.print(str(each), style="dim", highlight=False)
        yield each


def _with_earlier(file: Path | None, equals: list[Equals], power: list[Power]) -> Results:
    """Return what the plot is drawn of; what was not run now is kept from the file."""
    results: Results = json.loads(file.read_text()) if file and file.exists() else {}
    now = {each.models for each in equals}
    earlier = [each for each in results.get("equals", []) if each["models"] not in now]
    results["equals"] = [*earlier, *map(asdict, equals)]
    results["power"] = [*map(asdict, power)] or results.get("power", [])
    return results


def _verdict(console: Console, equals: list[Equals], worse: list[NeverWorse]) -> int:
    promoted = sum(each.promoted for each in equals)
    compared = sum(each.compared for each in equals)
    wrong = [each for each in worse if not each.holds]
    if equals:
        console.print(
            f"{promoted} of {compared} equal models promoted; allowed are {PROMOTION.alpha:.0%}"
        )
    if worse:
        console.print(f"{len(wrong)} of {len(worse)} real runs lost more than is allowed")
    return 1 if wrong or promoted > PROMOTION.alpha * compared else 0


def _of_equals(rows: list[Equals], events: int) -> Table:
    table = _table(
        f"Equal models, {events:,} events each",
        ("models", "events", "labels", "compared", "proven", "promoted"),
    )
    for each in rows:
        counts = map(str, (each.compared, each.proven, each.promoted))
        table.add_row(each.models, each.dependence, each.labels, *counts)
    return table


def _of_power(rows: list[Power]) -> Table:
    heads = ("points", "situation", "promoted", "labels: half", "90 %", "proof: half", "90 %")
    table = _table("Labels until what is better serves", (*heads, "z-test: half", "90 %"))
    for each in rows:
        share = f"{each.promoted} of {each.runs}"
        counts = map(_count, (*each.needed, *each.proof, *each.hindsight))
        table.add_row(f"{100 * each.gain:.0f}", each.situation, share, *counts)
    return table


def _of_days(rows: list[Days], events: int) -> Table:
    heads = ("events in a day", "share", "runs", "switches", "excess loss", "of the worst run")
    table = _table(f"10 points better for a part of each day, else worse: {events:,} events", heads)
    for each in rows:
        counts = f"{each.switches:.1f}", f"{each.excess:,.0f}", f"{each.most:,.0f}"
        table.add_row(f"{each.events:,}", f"{each.share:.0%}", str(each.runs), *counts)
    return table


def _of_never_worse(rows: list[NeverWorse]) -> Table:
    heads = ("stream", "serves first", "best", "labels", "switches", "loss of first", "of best")
    more = ("as served", "decided at", "excess until", "after", "allowed")
    table = _table("Real streams, sums of bounded losses", (*heads, *more))
    for each in rows:
        decided = "never" if each.decided is None else f"{each.decided:,}"
        losses = (each.first_loss, each.best_loss, each.lost)
        table.add_row(
            *(each.stream, each.first, each.best, f"{each.labels:,}", str(each.switches)),
            *(f"{value:,.1f}" for value in losses),
            *(decided, f"{each.before:,.1f}", f"{each.after:,.1f}", f"{each.allowed:,.1f}"),
            style=None if each.holds else "bold red",
        )
    return table


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _count(labels: float) -> str:
    return "-" if labels == inf else f"{labels:,.0f}"


def _plot(results: Results, target: Path) -> None:
    """Draw in the benchmark's environment for plots, which has matplotlib."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "study.json")
        source.write_text(json.dumps(results))
        command = [interpreter("plot"), "-m", "tests.study.plot", str(source), str(target)]
        subprocess.run(command, cwd=REPOSITORY, check=True)


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.study", description=__doc__)
    add: Callable[..., Any] = parser.add_argument
    add("--parts", nargs="*", choices=PARTS, default=PARTS, help="by default all")
    add("--pairs", type=int, default=20, help="of each kind on each stream; a fifth of forests")
    add("--events", type=int, default=20_000)
    add("--processes", type=int, default=2)
    add("--models", nargs="+", choices=[*EQUAL], default=[*EQUAL])
    add("--data", metavar="FILE", help="serve this table instead of River's data sets")
    add("--label", metavar="COLUMN", help="of the table; by default its last column")
    add(
        "--json",
        type=_absolute,
        metavar="FILE",
        help="keep what the plot is drawn of, of several runs",
    )
    add("--plot", type=_absolute, metavar="FILE.svg", help="draw the first two parts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
