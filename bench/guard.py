"""The guard against getting slower: ratios of results, held against a baseline that is committed.

`python -m bench.guard` compares bench/results with bench/baseline.json and ends with 1 where a
median has fallen below its baseline by more than the tolerance; `--accept` makes what is measured
the baseline. Ratios of one round, not times: a slow machine is slow for both sides of them.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import click

from bench import results
from bench.contestants import BARE
from bench.session import Result

BASELINE = Path(__file__).with_name("baseline.json")
_GUARDED = ("handwritten", "full", "default", "split")


def medians(runs: list[Result]) -> dict[str, float]:
    """Return the median ratio to the bare loop of each of ours, by model.

    Examples
    --------
    >>> runs = [{"contestant": "full", "model": "m", "ratio_to_bare": r} for r in (0.1, 0.4, 0.3)]
    >>> medians(runs)
    {'full / bare, m': 0.3}
    """
    found: dict[str, list[float]] = {}
    for run in results.good(runs):
        if run["contestant"] in _GUARDED:
            name = f"{run['contestant']} / {BARE}, {run['model']}"
            found.setdefault(name, []).append(run["ratio_to_bare"])
    return {name: statistics.median(values) for name, values in sorted(found.items())}


def fallen(
    measured: dict[str, float], baseline: dict[str, float], tolerance: float
) -> dict[str, tuple[float, float]]:
    """Return the ratios that are too far below their baseline, or not measured: (now, then).

    Examples
    --------
    >>> fallen({"a": 0.7, "b": 0.9}, {"a": 1.0, "b": 1.0, "c": 1.0}, tolerance=0.2)
    {'a': (0.7, 1.0), 'c': (0.0, 1.0)}
    """
    return {
        name: (measured.get(name, 0.0), then)
        for name, then in baseline.items()
        if measured.get(name, 0.0) < then * (1 - tolerance)
    }


@click.command()
@click.option(
    "--results",
    "folder",
    type=click.Path(path_type=Path),
    default=results.FOLDER,
    show_default=False,
)
@click.option("--baseline", type=click.Path(path_type=Path), default=BASELINE, show_default=False)
@click.option("--tolerance", default=0.25, show_default=True, help="Share that may be lost.")
@click.option("--accept", is_flag=True, help="Make what is measured the baseline.")
def main(folder: Path, baseline: Path, tolerance: float, accept: bool) -> None:
    """Hold the throughput that was measured against the baseline."""
    document = results.read(folder, "throughput")
    if document is None:
        raise click.ClickException(f"the guard requires {folder}/throughput.json: make bench")
    measured = medians(document["runs"])
    if accept:
        baseline.write_text(json.dumps(measured, indent=1) + "\n")
        click.echo(f"{len(measured)} ratios are the baseline now")
        return
    if not baseline.exists():
        raise click.ClickException(f"the guard requires {baseline}: --accept makes it")
    lost = fallen(measured, json.loads(baseline.read_text()), tolerance)
    for name, (now, then) in lost.items():
        click.echo(f"{name}: {now:.3f}, and was {then:.3f}", err=True)
    if lost:
        raise click.ClickException(f"{len(lost)} ratios are more than {tolerance:.0%} lower")
    click.echo(f"{len(measured)} ratios hold")


if __name__ == "__main__":
    main()
