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


def main(folder: Path) -> None:
    plt.switch_backend("Agg")
    runs = results.read(folder)
    for draw in (throughput, latency):
        found = results.of_part(runs, draw.__name__)
        if not found.empty:
            draw(found, folder / f"{draw.__name__}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
