"""The live view, drawn into a string."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console
from rich.screen import Screen

from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.view import View


def draw(state: DemoState, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(Screen(View(state)), end="")
    return [line.rstrip() for line in capture.get().split("\n")]


def line_with(text: str, lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if text in line)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_it_fits(
    finished: DemoState,
    alert: Callable[..., Alert],
    prediction: Callable[..., Prediction],
    width: int,
    height: int,
) -> None:
    """With more alerts and predictions than there is room for, the last line is a prediction."""
    for number in range(30):
        finished.add_alert(alert(str(number)))
        finished.add_prediction(prediction(str(number)))
    lines = draw(finished, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    newest = line_with("newest predictions", lines) + 1
    assert "application      29" in lines[newest]
    assert "application      28" in lines[newest + 1]


def test_nothing_moves(
    state: DemoState, finished: DemoState, prediction: Callable[..., Prediction]
) -> None:
    """Empty or full, every part has its place."""
    empty = DemoState(state.plan, state.pipeline, state.curves)
    finished.add_prediction(prediction())
    for part in ("events/s", "hoeffding_tree", "newest alerts", "newest predictions"):
        assert line_with(part, draw(empty)) == line_with(part, draw(finished))


def test_the_numbers_stand_below_their_names(finished: DemoState) -> None:
    """Right-aligned, so that they do not jump when they grow."""
    lines = draw(finished)
    names, numbers = lines[line_with("events/s", lines) :][:2]
    for name, number in {"predicted": "1,000", "learned": "1,000", "rejected": "5"}.items():
        end = names.index(name) + len(name)
        assert numbers[:end].endswith(f" {number}")


def test_the_champion_is_marked_and_the_dip_drawn(finished: DemoState) -> None:
    """The row of the champion shows both accuracies and the curve, the mark is at its middle."""
    lines = draw(finished)
    row = lines[line_with("hoeffding_tree ★", lines)]
    assert "97.0 %" in row
    assert "48.5 %" in row
    mark = lines[line_with("▲ drift", lines)].index("▲")
    assert row[mark] == "█"
    assert row[mark + 1] in "▂▃"


def test_the_drift_is_marked_only_once_it_is_there(state: DemoState) -> None:
    """Before, the view does not give it away."""
    state.count_sent(Kind.EVENT)
    assert not any("▲" in line for line in draw(state))


def test_an_alert_is_one_line(finished: DemoState) -> None:
    """Source, detector, evidence, action, and its distance from the drift."""
    lines = draw(finished)
    shown = lines[line_with("newest alerts", lines) + 1].split()
    assert shown == [
        *("loss:hoeffding_tree", "ADWIN", "0.04", "→", "0.49", "replace", "+40", "events")
    ]


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_its_line(state: DemoState, phase: Phase) -> None:
    """Below the progress bar it says what is going on, within the width."""
    state.enter(phase)
    line = draw(state)[2]
    assert line.endswith(".")
    assert len(line) <= 80
