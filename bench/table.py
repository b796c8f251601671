"""Tables of the results: on the terminal, and as Markdown for the documentation.

`python -m bench.table` prints what is in bench/results as Markdown.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from bench import results
from bench.contestants import BARE, CONTESTANTS
from bench.session import Result
from bench.targets import TARGETS

Document = dict[str, Any]


class Table(NamedTuple):
    """A table, for any output."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def tables(document: Document) -> Iterator[Table]:
    """Return the tables of a part, and one of what could not be measured, if anything."""
    yield from _TABLES[document["part"]](document["runs"])
    failed = {f"{_title(run)}": run["error"] for run in document["runs"] if "error" in run}
    if failed:
        yield Table("Not measured", ["what", "why"], [[*each] for each in failed.items()])


def show(console: Console, document: Document) -> None:
    """Print the tables of a part to a terminal."""
    console.print(f"\n[bold]{heading(document)}[/]")
    for table in tables(document):
        shown = RichTable(*table.columns, title=table.title, title_justify="left")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def heading(document: Document) -> str:
    """Return on what the figures were measured."""
    machine = document["machine"]
    return (
        f"{document['part']}: on {document['broker']}, {document['data']} data,"
        f" {machine['cpus']} CPUs ({machine['architecture']}), Python {machine['python']},"
        f" River {document['versions']['river']}"
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    return f"{table.title}:\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _throughput(runs: list[Result]) -> Iterator[Table]:
    columns = ["contestant", "events/s", "ratio to the bare loop", "CPU s per million", "peak MB"]
    for model in dict.fromkeys(run["model"] for run in runs):
        names = dict.fromkeys(run["contestant"] for run in runs if run["model"] == model)
        rows = []
        for name in sorted(names, key=[BARE, *CONTESTANTS].index):
            found = results.good(runs, model=model, contestant=name)
            if found:
                ratio = "1" if name == BARE else _figures(found, "ratio_to_bare", 3)
                row = [_median(found, "events_per_second"), ratio]
                row += [_median(found, "cpu_seconds_per_million", 1)]
                rows.append([_name(name), *row, _median(found, "peak_rss_bytes", 0, 1e-6)])
        yield Table(model, columns, rows)
    reached = [
        [target.name, results.spread(measured), f"{target.least:g}"]
        for target in TARGETS
        if (measured := target.measured(runs))
    ]
    if reached:
        yield Table("Ratios, round by round", ["ratio", "measured", "target"], reached)


def _stages(runs: list[Result]) -> Iterator[Table]:
    models = [*dict.fromkeys(run["model"] for run in runs)]
    names = [*dict.fromkeys(name for run in results.good(runs) for name in run["microseconds"])]
    figures: list[tuple[str, int, Callable[[Result], float]]] = [
        *((name, 1, lambda run, name=name: run["microseconds"][name]) for name in names),
        ("the bare loop", 1, lambda run: run["bare_microseconds"]),
        ("ratio to it", 2, lambda run: run["ratio_to_bare"]),
    ]
    rows = [
        [
            title,
            *(_median_of(map(figure, results.good(runs, model=each)), digits) for each in models),
        ]
        for title, digits, figure in figures
    ]
    yield Table("Microseconds of an event", ["stage", *models], rows)


def _guarantee(runs: list[Result]) -> Iterator[Table]:
    rows = []
    for model in dict.fromkeys(run["model"] for run in runs):
        for chain in ("full", "default", "split"):
            once, least = {"contestant": f"{chain}-eos"}, {"contestant": chain}
            found = results.ratios(runs, once, least, "events_per_second", model=model)
            if found:
                rates = [
                    _median(results.good(runs, model=model, **each), "events_per_second")
                    for each in (least, once)
                ]
                rows.append([model, chain, *rates, results.spread(found)])
    columns = ["model", "chain", "at least once, events/s", "exactly once, events/s", "ratio"]
    yield Table("Exactly once against at least once", columns, rows)


def _latency(runs: list[Result]) -> Iterator[Table]:
    columns = ["contestant", "load", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "never seen"]
    rows = []
    for run in results.good(runs):
        if run["share"] is None:
            continue
        waits = [f"{run[f'{name}_seconds'] * 1000:,.0f}" for name in ("p50", "p99", "p999")]
        load = [f"{run['share']:.0%}", f"{run['rate']:,.0f}"]
        rows.append([_name(run["contestant"]), *load, *waits, f"{run['unseen']}"])
    yield Table("End-to-end latency under load", columns, rows)


def _workers(runs: list[Result]) -> Iterator[Table]:
    yield from _by(runs, "workers", {"workers": 1})


def _partitions(runs: list[Result]) -> Iterator[Table]:
    yield from _by(runs, "partitions", {"partitions": 1})


def _keys(runs: list[Result]) -> Iterator[Table]:
    yield from _by(runs, "keys", {"keys": min((run["keys"] for run in runs), default=0)})


def _by(runs: list[Result], what: str, base: dict[str, Any]) -> Iterator[Table]:
    for model in dict.fromkeys(run["model"] for run in runs):
        rows = []
        for value in sorted({run[what] for run in runs}):
            found = results.good(runs, model=model, **{what: value})
            ratio = results.ratios(runs, {what: value}, base, "events_per_second", model=model)
            row = [f"{value:,}", _median(found, "events_per_second"), results.spread(ratio)]
            row += [_median(found, "cpu_seconds_per_million", 1)]
            rows.append([*row, _median(found, "peak_rss_bytes", 0, 1e-6)])
        columns = [what, "events/s", "ratio to the first", "CPU s per million", "peak MB"]
        yield Table(model, columns, rows)


def _restore(runs: list[Result]) -> Iterator[Table]:
    rows = [
        [f"{run['keys']:,}", f"{run['restore_seconds']:.2f}", f"{run['ready_seconds']:.2f}"]
        for run in results.good(runs)
    ]
    columns = ["keys", "state read back, s", "start to ready, s"]
    yield Table("A worker starts again", columns, rows)


def _figures(runs: list[Result], figure: str, digits: int = 0) -> str:
    return results.spread([run[figure] for run in runs if run.get(figure) is not None], digits)


def _median(runs: list[Result], figure: str, digits: int = 0, unit: float = 1) -> str:
    return _median_of((run[figure] * unit for run in runs if run.get(figure) is not None), digits)


def _median_of(figures: Iterable[float], digits: int = 0) -> str:
    known = [*figures]
    return f"{statistics.median(known):,.{digits}f}" if known else "-"


def _name(contestant: str) -> str:
    return "bare River loop" if contestant == BARE else CONTESTANTS[contestant].title


def _title(run: Result) -> str:
    about = ("model", "workers", "partitions", "keys", "share")
    who = str(run.get("contestant", "Millrace"))
    return ", ".join([who, *(f"{name} {run[name]}" for name in about if name in run)])


_TABLES: dict[str, Callable[[list[Result]], Iterator[Table]]] = {
    "throughput": _throughput,
    "stages": _stages,
    "guarantee": _guarantee,
    "latency": _latency,
    "workers": _workers,
    "partitions": _partitions,
    "keys": _keys,
    "restore": _restore,
}


def main(folder: Path = results.FOLDER) -> None:
    for part in _TABLES:
        document = results.read(folder, part)
        if document:
            print(f"{heading(document)}.\n")
            print("\n".join(map(markdown, tables(document))))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
