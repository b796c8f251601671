"""Tables are wide enough, and progress is shown on terminals only."""

from __future__ import annotations

import pytest

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
