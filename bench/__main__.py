"""`python -m bench`: choose what to measure, measure it, show it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import results, table
from bench.broker import open_broker
from bench.contestants import CONTESTANTS
from bench.parts import PARTS
from bench.session import MODELS, Choice, Result, Session, Step
from bench.venvs import REPOSITORY, UnavailableError, interpreter
from millrace.schemas import MillraceError

_TERMINATED = 143
_FAILURES = (RuntimeError, OSError, KafkaException, MillraceError)
_DEFAULT = [name for name, part in PARTS.items() if part.is_default]
_EPILOG = "\b\nParts:\n" + "\n".join(
    f"  {name:11} {part.what}{' (default)' if part.is_default else ''}"
    for name, part in PARTS.items()
)


@click.command(epilog=_EPILOG, context_settings={"max_content_width": 100})
@click.argument("parts", nargs=-1, type=click.Choice([*PARTS, "all"]))
@click.option("--rounds", default=3, show_default=True, help="How often everything has its turn.")
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Only this one.")
@click.option(
    "--contestant", "contestants", multiple=True, type=click.Choice([*CONTESTANTS]), help="Only it."
)
@click.option("--events", type=click.IntRange(100), help="In a run. [default: by model]")
@click.option("--limit-seconds", default=30.0, show_default=True, help="Of a run, at the most.")
@click.option("--load-seconds", default=6.0, show_default=True, help="Of each load (latency).")
@click.option(
    "--share",
    "shares",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    default=(0.25, 0.5, 0.75),
    show_default=True,
    help="Loads, as shares of the most that a contestant takes (latency).",
)
@click.option(
    "--keys",
    multiple=True,
    type=click.IntRange(1),
    default=(1_000, 10_000, 100_000),
    show_default=True,
    help="Sizes of the keyed state (keys, restore).",
)
@click.option(
    "--broker", default="auto", show_default=True, help="auto, embedded, or bootstrap servers."
)
@click.option(
    "--results",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=results.FOLDER,
    help="Where the figures go. [default: bench/results]",
)
@click.option("--plot/--no-plot", "is_drawn", default=True, help="Draw results as PNG, too.")
@click.option("--append", is_flag=True, help="Add to the rounds that are there.")
def main(
    parts: tuple[str, ...], folder: Path, broker: str, append: bool, is_drawn: bool, **given: Any
) -> None:
    """Measure Millrace beside its peers, on one broker, with the same data and models.

    Without PARTS, those marked as default, which is what `make bench` does.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # and stop what was started
    console = Console()
    names = [*PARTS] if "all" in parts else [*parts] or _DEFAULT
    choice = Choice(**given)
    with open_broker(broker) as opened:
        session = Session(opened, choice)
        console.print(f"On {opened.kind}, with {session.stream.name} data.")
        for name in names:
            if PARTS[name].needs_kafka and not opened.is_real:
                console.print(f"{name}: not measured, it requires a real Kafka")
                continue
            runs = _measure(console, name, PARTS[name].steps(session))
            results.save(folder, name, opened.kind, session.stream.name, runs, append)
            table.show(console, results.read(folder, name) or {})
    if is_drawn:
        _plot(console, folder)


def _measure(console: Console, part: str, steps: list[Step]) -> list[Result]:
    """Take every step; one that fails is a result, too, and does not stop the others."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    runs = []
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task(part, total=len(steps))
        for step in steps:
            said = " ".join(str(value) for value in step.about.values())
            progress.update(bar, description=f"{part}: {said}")
            try:
                found = step.run()
            except _FAILURES as error:
                found = {"error": str(error) or type(error).__name__}
                console.print(f"{said}: {found['error']}", style="red", markup=False)
            else:
                console.print(f"{said}: {_in_short(found)}", style="dim", markup=False)
            runs.append({**step.about, **found})
            progress.advance(bar)
    return runs


def _in_short(found: Result) -> str:
    """Return the figures of a step in one line."""
    shown = {name: value for name, value in found.items() if isinstance(value, int | float)}
    return ", ".join(f"{name} {value:,.4g}" for name, value in shown.items())


def _plot(console: Console, folder: Path) -> None:
    try:
        python = interpreter("plot")
    except UnavailableError as error:
        console.print(f"No plot: {error}", style="red", markup=False)
        return
    subprocess.run([python, "-P", str(REPOSITORY / "bench" / "plot.py"), str(folder)], check=True)


if __name__ == "__main__":
    main()
