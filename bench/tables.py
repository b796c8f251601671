"""Tables of the results in Markdown, for the terminal and the documentation.

`python -m bench.tables` prints what is in bench/results. Figures are medians over the rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import click
import pandas as pd

from bench import results
from bench.contestants import BARE, BEFORE, EQUAL
from bench.results import ratios
from bench.session import FOREST, LOGISTIC, TREE

Targets: TypeAlias = Mapping[tuple[str, str], Mapping[str, float]]
Kind: TypeAlias = tuple[str, str]  # what is compared: a figure by time, and one by CPU time

_OF_RUNS: Kind = ("events_per_second", "events_per_cpu_second")
_TO_BARE: Kind = ("ratio_to_bare", "cpu_ratio_to_bare")  # over the same events

_THROUGHPUT: Targets = {
    ("full", BARE): {LOGISTIC: 0.50, TREE: 1.0, FOREST: 1.15},
    ("default", BARE): {LOGISTIC: 0.30, TREE: 0.65, FOREST: 1.1},
    ("full", f"full{BEFORE}"): {LOGISTIC: 2.1, TREE: 2.2},
    ("full", "bytewax"): {LOGISTIC: 1.25, TREE: 1.7},
    ("full", "quix"): {LOGISTIC: 1.7, TREE: 2.2},
    ("full", "handwritten"): {LOGISTIC: 1.45, TREE: 1.6},
    ("full", f"bytewax{EQUAL}"): {LOGISTIC: 3},
    ("full", f"quix{EQUAL}"): {LOGISTIC: 3.5},
    ("default", "faust"): {LOGISTIC: 60},
}
TARGETS: Mapping[str, Targets] = {
    "throughput": _THROUGHPUT,
    "delayed": {("full", BARE): {LOGISTIC: 0.45, TREE: 0.8}},
}
"""By part: events/s of the first contestant divided by those of the second, at least this."""

_ABOUT = [
    "contestant",
    "model",
    "round",
    "workers",
    "partitions",
    "keys",
    "share",
    "axis",
    "size",
    "error",
]


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
    if tables and part in TARGETS:
        tables += [_to_full(good), targets(good, TARGETS[part])]
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


def targets(runs: pd.DataFrame, wanted: Targets) -> pd.DataFrame:
    """Return the targets that were measured, as ratios within a round, by time and CPU time."""
    rows = []
    for (above, below), by_model in wanted.items():
        base = runs["contestant"] == below
        both = [ratios(runs, base, each) for each in _TO_BARE]
        for model, least in by_model.items():
            of = (runs["contestant"] == above) & (runs["model"] == model)
            if both[0][of].notna().any():
                found = [spread(each[of]) for each in both]
                rows.append((f"{above} / {below}, {model}", *found, least))
    return pd.DataFrame(rows, columns=["ratio in a round", "measured", "by CPU time", "target"])


def _rates(
    runs: pd.DataFrame, by: str, base: pd.Series[bool], kind: Kind = _OF_RUNS
) -> pd.DataFrame:
    """Compare runs with those of a base in the same round, by time and by CPU time."""
    runs = runs.assign(
        events_per_cpu_second=1e6 / runs["cpu_seconds_per_million"].astype(float),
        peak_mb=runs["peak_rss_bytes"].astype(float) / 1e6,
    )
    by_time, by_cpu_time = (ratios(runs, base, each) for each in kind)
    figures = {
        "events/s": ("events_per_second", "median"),
        "ratio": ("ratio", spread),
        "CPU s per million": ("cpu_seconds_per_million", "median"),
        "ratio by CPU time": ("cpu_ratio", spread),
        "peak MB": ("peak_mb", "median"),
    }
    runs = runs.assign(ratio=by_time, cpu_ratio=by_cpu_time)
    return runs.groupby(["model", by], sort=False).agg(**figures).reset_index()


def _to_bare(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare contestants of bare work, and Millrace, with the bare loop."""
    runs = runs[~runs["contestant"].str.endswith(EQUAL)]
    return _rates(runs, "contestant", runs["contestant"] == BARE, _TO_BARE)


def _to_full(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare contestants that do the same work as `full` with it."""
    of_equal = runs["contestant"].str.endswith(EQUAL)
    models = runs["model"].isin(runs["model"][of_equal])
    runs = runs[of_equal | ((runs["contestant"] == "full") & models)]
    return _rates(runs, "contestant", runs["contestant"] == "full", _TO_BARE)


def _to_first(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """Compare runs that differ in one column with those of its smallest value."""
    return _rates(runs, by, runs[by] == runs[by].min())


def _to_at_least_once(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare within a model and a chain."""
    runs = runs[runs["contestant"] != BARE]
    chains = runs["contestant"].str.removesuffix("-eos")
    in_chain = runs.assign(model=runs["model"] + ", " + chains)
    return _rates(in_chain, "contestant", runs["contestant"] == chains)


def _stages(runs: pd.DataFrame) -> pd.DataFrame:
    """Return CPU microseconds per event, the ratio to the bare loop, and the most that allows."""
    stages = [*runs.filter(like="microseconds"), "cpu_ratio_to_bare", "most_events_per_second"]
    known = runs.reindex(columns=["model", *stages])
    return known.groupby("model", sort=False).median().T.reset_index(names="stage")


def _envelopes(runs: pd.DataFrame) -> pd.DataFrame:
    """Return CPU microseconds per event in ingest by form, and the rate of the chain to JSON's."""
    figures = runs.filter(regex="microseconds|rate_to_json")
    return figures.median().dropna().to_frame("median").reset_index(names="form")


def _growth(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what an event costs, and what one more of what grows takes, from the smallest on."""
    axis = ["contestant", "axis"]
    figures = pd.DataFrame(
        {
            "CPU us per event": runs["cpu_seconds_per_million"].astype(float),
            "peak MB": runs["peak_rss_bytes"].astype(float) / 1e6,
            "longest pause, ms": runs["longest_pause_seconds"] * 1e3,
        }
    )
    sizes = runs[[*axis, "size"]].join(figures).groupby([*axis, "size"], sort=False)
    table = sizes.median().reset_index()
    more = table.groupby(axis, sort=False)[["size", "CPU us per event", "peak MB"]]
    smallest = more.transform("first")
    bytes_more = (table["peak MB"] - smallest["peak MB"]) * 1e6
    table.insert(4, "ratio", table["CPU us per event"] / smallest["CPU us per event"])
    return table.assign(
        **{"peak bytes for one more": bytes_more / (table["size"] - smallest["size"])}
    )


_LATENCY = ["contestant", "share", "rate", "p50_seconds", "p99_seconds", "p999_seconds", "unseen"]
TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "throughput": _to_bare,
    "delayed": _to_bare,
    "stages": _stages,
    "envelopes": _envelopes,
    "guarantee": _to_at_least_once,
    "latency": lambda runs: runs.dropna(subset="share")[_LATENCY],
    "workers": lambda runs: _to_first(runs, "workers"),
    "partitions": lambda runs: _to_first(runs, "partitions"),
    "keys": lambda runs: _to_first(runs, "keys"),
    "growth": _growth,
    "restore": lambda runs: runs[["keys", "restore_seconds", "ready_seconds"]],
}


def main(folder: Path = results.FOLDER) -> None:
    runs = results.read(folder)
    click.echo("\n".join(text(runs, part) for part in TABLES))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
