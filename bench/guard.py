"""Fails if Millrace has become slower: compares results with a baseline that is committed.

`python -m bench.guard` exits with 1 if a median ratio in bench/results is below the one in
bench/baseline.json by more than the tolerance. Ratios compare runs of one round, so a slow machine
slows down both sides of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench import results
from bench.contestants import BARE

BASELINE = Path(__file__).with_name("baseline.json")
_GUARDED = ("handwritten", "full", "default", "split")
_PATH = click.Path(path_type=Path)


def medians(folder: Path) -> dict[str, float]:
    """Return the median ratio of each guarded contestant to the bare loop, by model."""
    runs = results.of_part(results.read(folder), "throughput")
    runs = runs[runs["contestant"].isin(_GUARDED)]
    names = runs["contestant"] + f" / {BARE}, " + runs["model"]
    found = runs.groupby(names)["ratio_to_bare"].median()
    return {str(name): ratio for name, ratio in found.items()}


@click.command()
@click.option("--results", "folder", type=_PATH, default=results.FOLDER, help="A folder.")
@click.option("--baseline", type=_PATH, default=BASELINE, help="A file.")
@click.option("--tolerance", default=0.25, show_default=True, help="Loss to accept, as a share.")
@click.option("--accept", is_flag=True, help="Make the results the new baseline.")
def main(folder: Path, baseline: Path, tolerance: float, accept: bool) -> None:
    """Compare the throughput in the results with the baseline."""
    if not (folder / "throughput.json").exists():
        raise click.ClickException(f"{folder}/throughput.json is missing: run `make bench`")
    measured = medians(folder)
    if accept:
        baseline.write_text(json.dumps(measured, indent=1) + "\n")
    expected = json.loads(baseline.read_text())
    slower = [
        f"{name}: {measured.get(name, 0):.3f}; the baseline is {ratio:.3f}"
        for name, ratio in expected.items()
        if measured.get(name, 0) < ratio * (1 - tolerance)
    ]
    if slower:
        raise click.ClickException("\n".join([f"more than {tolerance:.0%} lower:", *slower]))
    click.echo(f"All {len(expected)} ratios are within {tolerance:.0%} of the baseline.")


if __name__ == "__main__":
    main()
