"""`millrace demo`: a stream with a drift in it, sent to a real worker on an embedded broker."""

from __future__ import annotations

import click
from rich.console import Group

from millrace.schemas import MillraceError
from millrace.streams.cli import EXIT_INTERRUPTED
from millrace.streams.cli.console import DataConsole
from millrace.streams.cli.options import chain_option, pass_settings
from millrace.streams.settings import Settings

_NOTES = """\b
Nothing needs to be installed or started: the broker is part of this process, the worker runs in a
process of its own, and both are stopped at the end. Without a terminal it prints plain lines."""


@click.command(epilog=_NOTES)
@click.option(
    "--events",
    type=click.IntRange(min=100),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Loan applications to send.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    default=450,
    show_default=True,
    metavar="N",
    help="Loan applications per second.",
)
@click.option(
    "--page",
    "has_page",
    is_flag=True,
    help="Serve the page beside it, and open it where there is a display; until Ctrl-C.",
)
@click.option(
    "--page-port",
    type=click.IntRange(1, 65_535),
    default=6067,
    show_default=True,
    metavar="PORT",
    help="Port of the page.",
)
@chain_option
@pass_settings
def demo(settings: Settings, events: int, rate: float, has_page: bool, page_port: int) -> int:
    """See it work: a live stream with a drift in it.

    Each loan application is predicted when it comes, and learned from once its outcome is known.
    Half-way, the rule for granting loans changes: watch how the drift is detected and the model
    replaced.
    """
    from millrace.streams.demo.accounts import discrepancies
    from millrace.streams.demo.display import display
    from millrace.streams.demo.player import play
    from millrace.streams.demo.script import Plan
    from millrace.streams.demo.state import DemoState
    from millrace.streams.demo.summary import WIDTH, summary

    console = DataConsole()
    state = DemoState(Plan(events=events, rate=rate))
    try:
        with display(state, console) as show:
            play(state, show, settings.chain, page_port=page_port if has_page else None)
    except KeyboardInterrupt:
        console.print(Group(*summary(state, interrupted=True)), width=WIDTH)
        return EXIT_INTERRUPTED
    console.print(Group(*summary(state)), width=WIDTH)
    found = discrepancies(state)
    if found:
        raise MillraceError(f"the demo's counts do not add up: {'; '.join(found)}")
    return 0
