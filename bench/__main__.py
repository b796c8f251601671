"""`python -m bench`: choose what to measure, measure it, and show the results."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from bench import data, results, tables
from bench.broker import open_broker
from bench.contestants import CONTESTANTS
from bench.parts import DEFAULT, NEED_KAFKA, PARTS
from bench.parts.growth import AXES
from bench.process import REPOSITORY, interpreter
from bench.session import LOGISTIC, MODELS, Session

_EPILOG = "\b\nParts:\n" + "\n".join(
    f"  {name:11} {part.__doc__}{' (default)' if name in DEFAULT else ''}"
    for name, part in PARTS.items()
)
_COUNT = click.IntRange(1)
_SHARE = click.FloatRange(0, 1, min_open=True)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_CHECKOUT = click.Path(exists=True, file_okay=False, path_type=Path)
_SHARES, _KEYS = (0.25, 0.5, 0.75), (1_000, 10_000, 100_000)


@click.command(epilog=_EPILOG, context_settings={"max_content_width": 100, "show_default": True})
@click.argument("parts", nargs=-1, type=click.Choice([*PARTS, "all"]))
@click.option("--rounds", default=3, help="Number of rounds.")
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS))
@click.option("--contestant", "contestants", multiple=True, type=click.Choice([*CONTESTANTS]))
@click.option("--events", type=click.IntRange(100), help="Events in a run, by default by model.")
@click.option("--limit-seconds", default=30.0, help="Time limit of a run.")
@click.option("--load-seconds", default=6.0, help="Duration of a load (latency).")
@click.option("--share", "shares", multiple=True, type=_SHARE, default=_SHARES, help="Loads.")
@click.option("--keys", multiple=True, type=_COUNT, default=_KEYS, help="Numbers of keys.")
@click.option("--label-delay", type=_COUNT, default=500, help="Events between event and label.")
@click.option("--axis", "axes", multiple=True, type=click.Choice([*AXES]), help="What grows.")
@click.option("--largest", type=_COUNT, default=1_000_000, help="Largest size of what grows.")
@click.option("--baseline-checkout", type=_CHECKOUT, help="Run Millrace's code of there, too.")
@click.option("--broker", default="auto", help="auto, embedded, or bootstrap servers.")
@click.option("--results", "folder", type=_FOLDER, default=results.FOLDER, show_default=False)
@click.option("--plot/--no-plot", "is_drawn", default=True, help="Draw the results as PNG.")
def main(parts: tuple[str, ...], folder: Path, broker: str, is_drawn: bool, **options: Any) -> None:
    """Compare Millrace with its peers, on one broker, with the same events and models.

    Without PARTS, those marked as default are measured. --model, --contestant, --share (of the
    maximum rate, for latency), --keys (for keys and restore) and --axis may be repeated. Results
    are written to bench/results, or to --results. With --baseline-checkout, each contestant of
    Millrace has its turn with the code of that checkout, too (`full-before`).
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops what was started
    with open_broker(broker) as opened:
        if opened.is_real:
            _warm_up(Session(broker=opened, **options))
        for name in PARTS if "all" in parts else parts or DEFAULT:
            if name in NEED_KAFKA and not opened.is_real:
                click.echo(f"{name}: not measured, it needs a real Kafka")
                continue
            session = Session(broker=opened, **options)
            PARTS[name](session)
            results.save(folder, name, opened.kind, data.name(), session.results)
            click.echo(f"\n{tables.text(results.read(folder), name)}")
    if is_drawn:
        _draw(folder.resolve())


def _warm_up(session: Session) -> None:
    """Keep a broker that may have just been started busy until its JVM has compiled hot paths."""
    for name in ("handwritten", "full-eos"):
        command, job = CONTESTANTS[name], session.job(LOGISTIC)
        session.attempt({"warm-up": name}, session.throughput, command, job)


def _draw(folder: Path) -> None:
    try:
        plot = [interpreter("plot"), "-m", "bench.plot", str(folder)]
        subprocess.run(plot, cwd=REPOSITORY, check=True)
    except subprocess.CalledProcessError as error:
        raise click.ClickException(f"the plots were not drawn: {error}") from None


if __name__ == "__main__":
    main()
