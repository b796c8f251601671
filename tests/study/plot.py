"""Draw false promotions and power: `python -m tests.study --plot FILE.svg`.

It runs in the environment of bench/requirements-plot.txt, so it imports nothing of Millrace.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

_OURS, _PROOF, _HINDSIGHT = "#1f6f8b", "#b8b8b8", "#c8553d"
_ALPHA = 0.05
_DECADES = (100, 1_000, 10_000)
_AT_ONCE = "labels at once"

Rows = Iterable[Mapping[str, Any]]


def main(source: Path, target: Path) -> None:
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    plt.rcParams |= {"svg.hashsalt": "study", "font.size": 9}  # the same file each time
    results = json.loads(source.read_text())
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    _draw_equals(left, results["equals"])
    _draw_power(right, [each for each in results["power"] if each["situation"] == _AT_ONCE])
    figure.savefig(target, metadata={"Date": None})


def _draw_equals(axis: Any, rows: Rows) -> None:
    """Draw the share of equal models that were proven better, and of those promoted."""
    sums: dict[str, list[int]] = {}
    for each in rows:
        counts = sums.setdefault(each["models"], [0, 0, 0])
        for at, name in enumerate(("compared", "proven", "promoted")):
            counts[at] += each[name]
    for at, (compared, proven, promoted) in enumerate(sums.values()):
        axis.bar(at - 0.2, 100 * proven / compared, 0.38, color=_PROOF)
        axis.bar(at + 0.2, 100 * promoted / compared, 0.38, color=_OURS)
        for side, count in ((-0.2, proven), (0.2, promoted)):
            place = (at + side, 100 * count / compared)
            axis.annotate(f"{count} of {compared}", place, ha="center", va="bottom", fontsize=7)
    axis.axhline(100 * _ALPHA, color="black", linewidth=0.8, linestyle=":")
    axis.bar(0, 0, color=_PROOF, label="proven so far")
    axis.bar(0, 0, color=_OURS, label="promoted")
    axis.set_xticks(range(len(sums)), [*sums])
    axis.set(title="Models that are equal in law", ylabel="% (dotted: allowed)")
    axis.legend(fontsize=8)


def _draw_power(axis: Any, rows: list[Mapping[str, Any]]) -> None:
    """Draw labels over gain: half of the runs, and nine of ten."""
    lines = (("needed", _OURS, "promoted"), ("proof", _PROOF, "proven so far"))
    for name, colour, label in (*lines, ("hindsight", _HINDSIGHT, "z-test with hindsight")):
        for at, style in enumerate(("o-", "o--")):
            known = [each for each in rows if isfinite(each[name][at])]
            gains, labels = ([100 * each["gain"] for each in known], [e[name][at] for e in known])
            text = label if at == 0 else None
            axis.plot(gains, labels, style, color=colour, label=text, markersize=3)
    axis.set(xscale="log", yscale="log", title="Labels until what is better serves")
    axis.set(xlabel="gain, points", ylabel="half of the runs (dashed: 90 %)")
    ticks = sorted({100 * each["gain"] for each in rows if isfinite(each["hindsight"][0])})
    axis.set_xticks(ticks, [f"{each:.0f}" for each in ticks])
    axis.set_yticks(_DECADES, [f"{each:,}" for each in _DECADES])
    axis.minorticks_off()
    axis.legend(fontsize=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
