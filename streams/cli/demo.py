"""`millrace demo`: a stream with a drift in it, played to a real worker on an embedded broker."""

from __future__ import annotations

import click
from rich.console import Console
from rich.text import Text

from millrace.models.candidates.baselines import baselines
from millrace.models.pipelines.loans import pipeline
from millrace.schemas import MillraceError
from millrace.streams.cli import EXIT_INTERRUPTED
from millrace.streams.cli.options import chain_option
from millrace.streams.demo.accounts import discrepancies
from millrace.streams.demo.display import display
from millrace.streams.demo.player import play
from millrace.streams.demo.script import Plan
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.summary import summary

_NOTES = """\b
Needs nothing installed and nothing started: the broker is inside this process, the worker in one
of its own, and both are gone afterwards. Without a terminal it prints plain lines."""


@click.command(epilog=_NOTES)
@click.option(
    "--events",
    type=click.IntRange(min=100),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Loan applications to play.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    default=450,
    show_default=True,
    metavar="N",
    help="Of them per second.",
)
@chain_option
def demo(events: int, rate: float, chain: str | None) -> int:
    """See it work: a live stream with a drift in it.

    Loan applications are predicted as they come, and learned when it is known what became of
    them. Half-way the rule changes. Watch the drift being found, and the model being replaced.
    """
    console = Console(highlight=False)
    plan = Plan(events=events, rate=rate)
    state = DemoState(plan, pipeline, [*pipeline.models, *baselines(pipeline.task)])
    try:
        with display(state, console) as shown:
            play(state, shown, chain or "default")
    except KeyboardInterrupt:
        _print(summary(state, interrupted=True), console)
        return EXIT_INTERRUPTED
    _print(summary(state), console)
    found = discrepancies(state)
    if found:
        raise MillraceError(f"the demo requires accounts that add up; got {'; '.join(found)}")
    return 0


def _print(lines: list[str], console: Console) -> None:
    for line in lines:
        is_heading = line and not line.startswith(" ")
        console.print(Text(line, style="bold" if is_heading else ""), soft_wrap=True)
