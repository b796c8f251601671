"""Tables of the results in Markdown, for the terminal and the documentation.

`python -m bench.tables` prints what is in bench/results. Figures are medians over the rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd

from bench import results
from bench.contestants import BARE
from bench.results import ratios
from bench.session import FOREST, LOGISTIC, TREE

TARGETS = (
    ("full", BARE, TREE, 0.65),
    ("full", BARE, LOGISTIC, 0.50),
    ("full", BARE, FOREST, 0.95),
    ("default", "faust", LOGISTIC, 25),
    ("full", "bytewax", TREE, 1.1),
    ("full", "bytewax", LOGISTIC, 1.0),
    ("full", "quix", TREE, 2),
    ("full", "quix", LOGISTIC, 2),
)
"""Events/s of the first contestant divided by those of the second, with a model: at least this."""

_ABOUT = ["contestant", "model", "round", "workers", "partitions", "keys", "share", "error"]


def text(runs: pd.DataFrame, part: str) -> str:
    """Return a part's heading and tables, the last one of what could not be measured."""
    about, good = runs[runs["part"] == part], results.of_part(runs, part)
    if about.empty:
        return ""
    first, machine = about.iloc[0], about.iloc[0]["machine"]
    heading = (
        f"{part}: {first['broker']}, {first['data']} data, {machine['cpus']} CPUs"
        f" ({machine['architecture']}), Python {machine['python']}\n"
    )
    tables = [] if good.empty else [TABLES[part](good)]
    if tables and part == "throughput":
        tables.append(targets(good))
    failed = about.dropna(subset="error").reindex(columns=_ABOUT)
    tables.append(failed.dropna(axis="columns", how="all"))
    return "\n".join([heading, *(markdown(each) for each in tables if not each.empty)])


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    rows = [[*table.columns], ["---"] * table.shape[1], *table.map(_cell).to_numpy().tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(value: object) -> str:
    """Return text as it is, and a number with at least three significant digits."""
    if not isinstance(value, int | float):
        return str(value)
    if pd.isna(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def spread(values: pd.Series[float]) -> str:
    """Return the median and, if they differ, the smallest and the largest value."""
    median, least, most = map(_cell, values.quantile([0.5, 0, 1]))
    return median if least == most else f"{median} ({least} to {most})"


def targets(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the targets that were measured, as ratios within a round."""
    rows = []
    for above, below, model, least in TARGETS:
        wanted = (runs["contestant"] == above) & (runs["model"] == model)
        found = ratios(runs, runs["contestant"] == below, "ratio_to_bare")[wanted]
        if found.notna().any():
            rows.append((f"{above} / {below}, {model}", spread(found), least))
    return pd.DataFrame(rows, columns=["ratio in a round", "measured", "target"])


def _rates(runs: pd.DataFrame, by: str, ratio: pd.Series[float]) -> pd.DataFrame:
    figures = {
        "events/s": ("events_per_second", "median"),
        "ratio": ("ratio", spread),
        "CPU s per million": ("cpu_seconds_per_million", "median"),
        "peak MB": ("peak_mb", "median"),
    }
    runs = runs.assign(ratio=ratio, peak_mb=runs["peak_rss_bytes"].astype(float) / 1e6)
    return runs.groupby(["model", by], sort=False).agg(**figures).reset_index()


def _to_first(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Compare runs that differ in one column with those of its smallest value."""
    return _rates(runs, by, ratios(runs, runs[by] == runs[by].min(), "events_per_second"))


def _to_at_least_once(runs: pd.DataFrame) -> pd.DataFrame:
    runs = runs[runs["contestant"] != BARE]
    chains = runs["contestant"].str.removesuffix("-eos")
    in_chain = runs.assign(model=runs["model"] + chains)  # compared within a model and a chain
    ratio = ratios(in_chain, runs["contestant"] == chains, "events_per_second")
    return _rates(runs, "contestant", ratio)


def _stages(runs: pd.DataFrame) -> pd.DataFrame:
    """Return microseconds per event, and the ratio to the bare loop."""
    stages = [*runs.filter(like="microseconds"), "ratio_to_bare"]
    return runs.groupby("model", sort=False)[stages].median().T.reset_index(names="stage")


_LATENCY = ["contestant", "share", "rate", "p50_seconds", "p99_seconds", "p999_seconds", "unseen"]
TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "throughput": lambda runs: _rates(runs, "contestant", runs["ratio_to_bare"]),
    "stages": _stages,
    "guarantee": _to_at_least_once,
    "latency": lambda runs: runs.dropna(subset="share")[_LATENCY],
    "workers": lambda runs: _to_first(runs, "workers"),
    "partitions": lambda runs: _to_first(runs, "partitions"),
    "keys": lambda runs: _to_first(runs, "keys"),
    "restore": lambda runs: runs[["keys", "restore_seconds", "ready_seconds"]],
}


def main(folder: Path = results.FOLDER) -> None:
    runs = results.read(folder)
    click.echo("\n".join(text(runs, part) for part in TABLES))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
