"""Shows a demo while it runs: a live view on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from millrace.models.pipelines.loans import pipeline
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.tables import alert_cells, counts, percent
from millrace.streams.demo.view import view

_LINE_SECONDS = 5.0


@contextmanager
def display(state: DemoState, console: Console) -> Iterator[Callable[[], None]]:
    """Show a state while the context lasts; yield the function that shows it as it is now."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(state, console).update
        return
    with Live(
        get_renderable=lambda: view(state, console.width),
        console=console,
        screen=True,
        auto_refresh=False,
    ) as live:
        yield live.refresh


class PlainLines:
    """Prints a line for each phase and each alert, and one every five seconds."""

    def __init__(self, state: DemoState, console: Console) -> None:
        self._state = state
        self._console = console
        self._phases = 0
        self._alerts = 0
        self._has_page = False
        self._next_seconds = _LINE_SECONDS

    def update(self) -> None:
        """Print what is new."""
        state = self._state
        if state.page and not self._has_page:
            self._has_page = True
            self._print(f"The page: {state.page}")
        for phase in state.phases[self._phases :]:
            self._print(phase.value)
        for alert in state.alerts[self._alerts :]:
            self._print(f"Alert: {'  '.join(alert_cells(state, alert))} after the drift")
        self._phases, self._alerts = len(state.phases), len(state.alerts)
        if state.seconds >= self._next_seconds and state.learned:
            self._next_seconds = state.seconds + _LINE_SECONDS
            numbers = counts(state) | {
                f"accuracy of {pipeline.champion}": percent(state.rolling.get(pipeline.champion))
            }
            self._print(", ".join(f"{name} {number}" for name, number in numbers.items()))

    def _print(self, line: str) -> None:
        self._console.print(f"{self._state.seconds:4.0f} s  {line}", soft_wrap=True)
