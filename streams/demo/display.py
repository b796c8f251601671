"""Where a demo is shown while it runs: a live view on a terminal, plain lines anywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.view import View
from millrace.streams.demo.wording import evidence, milliseconds, percent

_LINE_SECONDS = 5.0


class Display(Protocol):
    """Shows a state; a context while it does."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self) -> None:
        """Show the state as it is now."""


class LiveView:
    """Draws the whole state, on a screen of its own that is gone afterwards."""

    def __init__(self, state: DemoState, console: Console) -> None:
        self._live = Live(
            View(state), console=console, screen=True, auto_refresh=False, transient=True
        )

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self) -> None:
        self._live.refresh()


class PlainLines:
    """Prints a line every five seconds, and one for each phase and each alert."""

    def __init__(self, state: DemoState, console: Console) -> None:
        self._state = state
        self._console = console
        self._phases = 0
        self._alerts = 0
        self._printed_at = 0.0

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def update(self) -> None:
        state = self._state
        for phase in state.phases[self._phases :]:
            self._print(_PHASES[phase].format(events=state.plan.events))
        self._phases = len(state.phases)
        for alert in state.alerts[self._alerts :]:
            after = state.events_after_drift(alert)
            self._print(
                f"alert: {alert['source']} {evidence(alert)} by {alert['detector']},"
                f" action {alert['action']}, {after:+,} events from the drift"
            )
        self._alerts = len(state.alerts)
        if state.seconds - self._printed_at >= _LINE_SECONDS and state.learned:
            self._printed_at = state.seconds
            self._print(_progress(state))

    def _print(self, line: str) -> None:
        self._console.print(
            f"{self._state.seconds:4.0f} s  {line}", soft_wrap=True, highlight=False, markup=False
        )


_PHASES = {
    Phase.STARTING: "starting a broker and a worker",
    Phase.BEFORE_DRIFT: "playing {events:,} loan applications, granted by income",
    Phase.AFTER_DRIFT: "drift: loans are granted by age from now on",
    Phase.FINISHING: "all sent, waiting for the last labels to be learned",
    Phase.STOPPING: "stopping the worker",
}


def display(state: DemoState, console: Console) -> Display:
    """Return what suits the console."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(state, console)
    return PlainLines(state, console)


def _progress(state: DemoState) -> str:
    champion = state.pipeline.champion
    return (
        f"{state.sent[Kind.EVENT]:,} events sent, {state.predictions:,} predicted,"
        f" {state.learned:,} learned; {champion} right in"
        f" {percent(state.curves[champion].last).strip()} of the last"
        f" {state.pipeline.rolling_window}; latency p50 {milliseconds(state.latency_p50_seconds)},"
        f" p99 {milliseconds(state.latency_p99_seconds)}"
    )
