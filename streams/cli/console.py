"""What commands print with: tables to standard output, progress to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

_WIDTH = 110


def output() -> Console:
    """Return standard output, wide enough for tables if it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Return a bar that disappears when it is done, and is not shown without a terminal.

    Parameters
    ----------
    columns
        After description and bar; by default how many of how many, and the time that is left.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
