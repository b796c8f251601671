"""Where the demo is shown."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from millrace.schemas.records import Alert
from millrace.streams.demo.display import LiveView, PlainLines, display
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.worker.subprocess import Samples


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


def test_a_terminal_gets_a_screen_of_its_own(state: DemoState) -> None:
    """It is entered, drawn on and left again."""
    console = Console(file=StringIO(), force_terminal=True, width=80, height=24, _environ={})
    shown = display(state, console)
    assert isinstance(shown, LiveView)
    with shown:
        shown.update()
    output = "\n".join(printed(console))
    assert (
        output.index("\x1b[?1049h") < output.index("hoeffding_tree") < output.index("\x1b[?1049l")
    )


def test_anything_else_gets_plain_lines(state: DemoState, console: Console) -> None:
    """Neither a pipe nor a dumb terminal can draw."""
    dumb = Console(file=StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(display(state, console), PlainLines)
    assert isinstance(display(state, dumb), PlainLines)


def test_phases_are_printed_once(state: DemoState, console: Console) -> None:
    """None is left out, however seldom the state is shown, nor repeated, however often."""
    with PlainLines(state, console) as lines:
        lines.update()
        lines.update()
        state.enter(Phase.AFTER_DRIFT)
        state.enter(Phase.FINISHING)
        lines.update()
    assert printed(console) == [
        "   0 s  starting a broker and a worker",
        "   0 s  drift: loans are granted by age from now on",
        "   0 s  all sent, waiting for the last labels to be learned",
    ]


def test_alerts_are_printed_as_they_come(
    state: DemoState, console: Console, alert: Callable[..., Alert]
) -> None:
    """One line each, whatever the width."""
    with PlainLines(state, console) as lines:
        lines.update()
        state.add_alert(alert())
        lines.update()
        lines.update()
    assert printed(console)[1:] == [
        "   0 s  alert: loss:hoeffding_tree 0.04 → 0.49 by ADWIN, action replace,"
        " +40 events from the drift"
    ]


def test_progress_is_printed_every_five_seconds(
    state: DemoState, console: Console, samples: Callable[..., Samples]
) -> None:
    """Often enough to see that it lives, rarely enough for a log."""
    state.count_sent(Kind.EVENT)
    with PlainLines(state, console) as lines:
        for tenths in range(130):
            state.observe(samples(10 * tenths, 5, {"hoeffding_tree": 0.9}), tenths / 10)
            lines.update()
    progress = printed(console)[2:]
    assert [line[:6] for line in progress] == ["   5 s", "  10 s"]
    assert "1 events sent, 500 predicted, 5 learned" in progress[0]
    assert "hoeffding_tree right in 90.0 % of the last 500" in progress[0]
