"""Draw the results: `python bench/plot.py bench/results` writes one PNG for each part it knows.

Runs in the environment of requirements-plot.txt, so it imports matplotlib and nothing of ours.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

_OURS, _THEIRS = "#1f6f8b", "#b8b8b8"
_MILLRACE = ("full", "default", "split")
Runs = list[dict[str, Any]]


def throughput(runs: Runs, target: Path) -> None:
    """Draw each contestant's ratio to the bare loop, with its spread, model by model."""
    models = list(dict.fromkeys(run["model"] for run in runs))
    figure, axes = plt.subplots(
        1, len(models), figsize=(4.2 * len(models), 3.2), squeeze=False, layout="constrained"
    )
    for axis, model in zip(axes[0], models, strict=True):
        found: dict[str, list[float]] = {}
        for run in runs:
            if run["model"] == model and "ratio_to_bare" in run:
                found.setdefault(run["contestant"], []).append(run["ratio_to_bare"])
        names = sorted(found, key=lambda name: statistics.median(found[name]))
        middle = [statistics.median(found[name]) for name in names]
        low = [m - min(found[name]) for m, name in zip(middle, names, strict=True)]
        high = [max(found[name]) - m for m, name in zip(middle, names, strict=True)]
        colours = [_OURS if name.startswith(_MILLRACE) else _THEIRS for name in names]
        axis.barh(names, middle, xerr=[low, high], color=colours, capsize=3)
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axis.set_title(model.replace("_", " "))
        axis.set_xlabel("events/s, bare River loop = 1")
    figure.savefig(target, dpi=120)


def latency(runs: Runs, target: Path) -> None:
    """Draw latency over load, p50 and p99, for each contestant."""
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for number, name in enumerate(dict.fromkeys(run["contestant"] for run in runs)):
        loads = [r for r in runs if r["contestant"] == name and "p50_seconds" in r]
        shares = [run["share"] * 100 for run in loads]
        for figure_name, style in (("p50", "-"), ("p99", "--")):
            waits = [run[f"{figure_name}_seconds"] * 1000 for run in loads]
            label = f"{name}, {figure_name}"
            axis.plot(shares, waits, style, marker="o", color=f"C{number}", label=label)
    axis.set(xlabel="load, % of the contestant's maximum", ylabel="ms", yscale="log")
    axis.legend(fontsize=7)
    figure.savefig(target, dpi=120)


_PLOTS: dict[str, Callable[[Runs, Path], None]] = {"throughput": throughput, "latency": latency}


def main(folder: Path) -> None:
    for part, draw in _PLOTS.items():
        path = folder / f"{part}.json"
        if path.exists():
            runs = [run for run in json.loads(path.read_text())["runs"] if "error" not in run]
            if runs:
                draw(runs, folder / f"{part}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
