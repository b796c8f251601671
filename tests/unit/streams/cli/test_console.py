"""Tables are wide enough, and progress is shown on terminals only."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from millrace.streams.cli.console import output, progress_bar


def test_tables_in_a_file_are_110_wide(monkeypatch):
    """A terminal has its own width."""
    monkeypatch.setenv("COLUMNS", "70")
    assert output().width == 110
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert output().width == 70


@pytest.mark.parametrize(("is_terminal", "is_disabled"), [(True, False), (False, True)])
def test_progress_is_shown_on_a_terminal(monkeypatch, is_terminal, is_disabled):
    """And disappears when it is done, from standard error."""
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    bar = progress_bar()
    assert (bar.disable, bar.live.transient, bar.console.stderr) == (is_disabled, True, True)
    assert len(bar.columns) == 4


ODD = [
    "[/red]",
    "[link=http://x]y[/link]",
    "[bold]b",
    ":smile:",
    "\\[a]",
    "a\x1b[2Jb",
    "\u202ec\x9b",
]
SHOWN = ["[/red]", "[link=http://x]y[/link]", "[bold]b", ":smile:", "\\[a]"]
SHOWN += ["a\\x1b[2Jb", "\\u202ec\\x9b"]


@pytest.mark.parametrize(("text", "shown"), [*zip(ODD, SHOWN, strict=True)])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_data_is_never_markup(monkeypatch, capsys, text, shown, is_terminal):
    """In lines, cells, titles, headings and captions; on a terminal, too."""
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    table.add_row(Text("own"))
    console = output()
    console.print(table)
    console.print(text, style="bold")
    printed = capsys.readouterr().out
    assert printed.count(shown) == 5
    assert "\x1b[2J" not in printed
    assert not {"\x9b", "\u202e", "\x07"} & {*printed}


def test_a_progress_bar_has_no_markup(monkeypatch):
    """Its description may be a name that somebody chose."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    bar = progress_bar()
    bar.console.file = io.StringIO()
    bar.add_task("[/red] a", total=1)
    bar.console.print(bar.make_tasks_table(bar.tasks))
    assert "[/red] a" in bar.console.file.getvalue()
