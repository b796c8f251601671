"""Where the demo is shown."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from millrace.schemas.records import Alert
from millrace.streams.demo.display import display
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.observability.scraping import Samples


@pytest.fixture
def output() -> StringIO:
    return StringIO()


@pytest.fixture
def console(output: StringIO) -> Console:
    return Console(file=output, width=80)


def test_a_terminal_gets_a_screen_of_its_own(state: DemoState, output: StringIO) -> None:
    """It is entered, drawn on whenever the state is shown, and left again."""
    console = Console(file=output, force_terminal=True, width=80, height=24, _environ={})
    with display(state, console) as show:
        state.enter(Phase.FINISHING)
        assert Phase.FINISHING.value not in output.getvalue()
        show()
        assert Phase.FINISHING.value in output.getvalue()
    assert output.getvalue().startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in output.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_anything_else_gets_plain_lines(
    state: DemoState, output: StringIO, is_terminal: bool
) -> None:
    """Neither a dumb terminal nor a pipe gets escape codes."""
    console = Console(file=output, force_terminal=is_terminal, _environ={"TERM": "dumb"})
    with display(state, console) as show:
        show()
    assert output.getvalue() == f"   0 s  {Phase.STARTING.value}\n"


def test_each_phase_is_printed_once(state: DemoState, console: Console, output: StringIO) -> None:
    """Phases that pass between two updates are printed, too."""
    with display(state, console) as show:
        show()
        show()
        state.enter(Phase.AFTER_DRIFT)
        state.enter(Phase.FINISHING)
        show()
        show()
    phases = (Phase.STARTING, Phase.AFTER_DRIFT, Phase.FINISHING)
    assert output.getvalue().splitlines() == [f"   0 s  {phase.value}" for phase in phases]


def test_each_alert_is_printed_once(
    state: DemoState, console: Console, output: StringIO, alert: Callable[..., Alert]
) -> None:
    """An alert is one line, however narrow the console."""
    line = (
        "   0 s  Alert: loss:hoeffding_tree  ADWIN 0.04 → 0.49  replace  +40 events after the drift"
    )
    state.alerts.append(alert())
    with display(state, console) as show:
        show()
        show()
        assert output.getvalue().splitlines()[1:] == [line]
        state.alerts.append(alert())
        show()
    assert output.getvalue().splitlines()[1:] == [line, line]


def test_progress_is_printed_every_five_seconds(
    state: DemoState, console: Console, output: StringIO, samples: Callable[..., Samples]
) -> None:
    """A line has the counts and the accuracy of the champion, once labels have been learned."""
    with display(state, console) as show:
        for tenths in range(160):
            learned = 5 if tenths >= 50 else 0
            state.observe(samples(10 * tenths, learned, {"hoeffding_tree": 0.9}), tenths / 10)
            show()
    progress = output.getvalue().splitlines()[1:]
    assert [line[:6] for line in progress] == ["   5 s", "  10 s", "  15 s"]
    assert progress[0] == (
        "   5 s  events/s 100, predicted 500, learned 5, unlabelled 0, rejected 0,"
        " latency p50 -, p99 -, accuracy of hoeffding_tree 90.0 %"
    )
