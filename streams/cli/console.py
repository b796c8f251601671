"""What commands print with: tables to standard output, progress to standard error."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from millrace.streams.escaping import printable

_WIDTH = 110


class DataConsole(Console):
    """A console that shows every text as it is: nothing in it is markup, an emoji or a control.

    What a text shall look like is said with styles, never in the text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it is shown; cells, titles and lines all come through here."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Let the command line end: nobody reads its output any more."""
        raise BrokenPipeError


def output() -> Console:
    """Return standard output, wide enough for tables if it is not a terminal."""
    console = DataConsole()
    return console if console.is_terminal else DataConsole(width=_WIDTH)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Return a bar that disappears when it is done, and is not shown without a terminal.

    Parameters
    ----------
    columns
        After description and bar; by default how many of how many, and the time that is left.
    """
    console = DataConsole(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
