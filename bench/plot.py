"""Draws results as PNG: `python -m bench.plot bench/results`.

Runs in the environment of requirements-plot.txt, so it imports only pandas and matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from bench import results

_OURS, _THEIRS = "#1f6f8b", "#b8b8b8"
_COUNTED = ("candidates", "features")  # grow by some, the others tenfold
_MILLRACE = ("full", "default", "split")


def throughput(runs: pd.DataFrame, target: Path) -> None:
    """Draw each contestant's median ratio to the bare loop, with its spread, by model."""
    runs = runs[~runs["contestant"].str.endswith("-before")]
    count = runs["model"].nunique()
    size = (4.2 * count, 3.8)
    figure, axes = plt.subplots(1, count, figsize=size, squeeze=False, layout="constrained")
    for axis, (model, group) in zip(axes[0], runs.groupby("model", sort=False), strict=True):
        ratios = group[group["contestant"] != "bare"].groupby("contestant")["ratio_to_bare"]
        found = ratios.agg(["median", "min", "max"]).sort_values("median")
        errors = [found["median"] - found["min"], found["max"] - found["median"]]
        colours = [_OURS if name.startswith(_MILLRACE) else _THEIRS for name in found.index]
        axis.barh(found.index, found["median"], xerr=errors, color=colours, capsize=3)
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axis.set(title=str(model).replace("_", " "), xlabel="events/s, bare River loop = 1")
    figure.savefig(target, dpi=120)


def latency(runs: pd.DataFrame, target: Path) -> None:
    """Draw p50 and p99 over the load, for each contestant."""
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    contestants = runs.dropna(subset="share").groupby("contestant", sort=False)
    for number, (name, loads) in enumerate(contestants):
        for quantile, style in (("p50", "o-"), ("p99", "o--")):
            waits, label = loads[f"{quantile}_seconds"] * 1000, f"{name}, {quantile}"
            axis.plot(loads["share"] * 100, waits, style, color=f"C{number}", label=label)
    axis.set(xlabel="load, % of the contestant's maximum", ylabel="ms", yscale="log")
    axis.legend(fontsize=7, handlelength=4)
    figure.savefig(target, dpi=120)


def growth(runs: pd.DataFrame, target: Path) -> None:
    """Draw cost, memory and pause over each axis; memory grows with what is kept."""
    figures = {"CPU µs per event": 1.0, "peak MB": 1e-6, "longest pause, ms": 1e3}
    columns = ("cpu_seconds_per_million", "peak_rss_bytes", "longest_pause_seconds")
    names = [*runs["axis"].unique()]
    size = (2.6 * len(names), 2.2 * len(figures))
    figure, rows = plt.subplots(
        len(figures), len(names), figsize=size, squeeze=False, sharex="col", layout="constrained"
    )
    for axes, (figure_name, unit), column in zip(rows, figures.items(), columns, strict=True):
        for axis, name in zip(axes, names, strict=True):
            for contestant, of in runs[runs["axis"] == name].groupby("contestant", sort=False):
                medians = of.groupby("size")[column].median() * unit
                axis.plot(medians.index, medians, "o-", label=contestant)
            axis.set(
                ylim=(0, 1.1 * axis.get_ylim()[1]), xscale="linear" if name in _COUNTED else "log"
            )
        axes[0].set_ylabel(figure_name)
    for axis, name in zip(rows[-1], names, strict=True):
        axis.set_xlabel(name)
    rows[0][-1].legend(fontsize=7)
    figure.savefig(target, dpi=120)


def main(folder: Path) -> None:
    plt.switch_backend("Agg")
    runs = results.read(folder)
    for draw in (throughput, latency, growth):
        found = results.of_part(runs, draw.__name__)
        if not found.empty:
            draw(found, folder / f"{draw.__name__}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
