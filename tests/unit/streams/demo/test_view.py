"""The live view, drawn into a string."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console
from rich.screen import Screen

from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState, Phase
from millrace.streams.demo.view import view


def draw(state: DemoState, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(Screen(view(state, width)), end="")
    return [line.rstrip() for line in capture.get().split("\n")]


def line_with(text: str, lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if text in line)


@pytest.mark.parametrize(
    ("width", "height", "alerts", "predictions"), [(80, 24, 4, 2), (110, 40, 14, 8)]
)
def test_it_fills_the_terminal(
    finished: DemoState,
    alert: Callable[..., Alert],
    prediction: Callable[..., Prediction],
    width: int,
    height: int,
    alerts: int,
    predictions: int,
) -> None:
    """Alerts and predictions share what the other parts leave, the newest of each at the top."""
    for number in range(30):
        finished.alerts.append(alert(str(1_500 + number)))
        finished.newest_predictions.append(prediction(str(number)))
    lines = draw(finished, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    first = line_with("newest of 31 on loans.alerts", lines) + 1
    last = line_with("newest on loans.predictions", lines)
    shown = lines[first : last - 1]
    assert [line.split()[-2] for line in shown] == [f"+{1_029 - n:,}" for n in range(alerts)]
    assert lines[last - 1] == ""
    assert [line.split()[1] for line in lines[last + 1 :]] == [
        str(29 - n) for n in range(predictions)
    ]


def test_nothing_moves(
    state: DemoState, finished: DemoState, prediction: Callable[..., Prediction]
) -> None:
    """Empty or full, every part has its place."""
    finished.newest_predictions.append(prediction())
    for part in ("events/s", "hoeffding_tree ★", "loans.alerts", "loans.predictions"):
        assert line_with(part, draw(state)) == line_with(part, draw(finished))


def test_the_bar_shows_how_much_is_sent(state: DemoState) -> None:
    """Half of the bar, for half of the events; seconds are shown once they are known."""
    assert draw(state)[0].endswith("loan applications")
    for _ in range(500):
        state.count_sent(Kind.EVENT)
    state.seconds = 7.4
    title, bar = draw(state)[:2]
    assert title.endswith(" 7 s")
    assert bar.endswith("500 of 1,000 events")
    assert bar.split()[0] == "━" * 27


def test_numbers_are_below_their_names(finished: DemoState) -> None:
    """Right-aligned, so that they do not jump when they grow."""
    lines = draw(finished)
    names, numbers = lines[line_with("events/s", lines) :][:2]
    for name, number in {"predicted": "1,000", "learned": "1,000", "rejected": "5"}.items():
        end = names.index(name) + len(name)
        assert numbers[:end].endswith(f" {number}")


def test_accuracy_is_recent_and_overall(finished: DemoState) -> None:
    """The row of the champion has both numbers and its curve."""
    lines = draw(finished)
    row = lines[line_with("hoeffding_tree ★", lines)]
    assert row.split()[2:6] == ["97.0", "%", "48.5", "%"]
    assert row.endswith("█")
    assert "last 500   overall" in lines[line_with("over time", lines)]


@pytest.mark.parametrize(
    ("value", "probability", "shown"),
    [
        (True, 0.984, ["granted", "98.4", "%"]),
        (False, 0.8, ["refused", "80.0", "%"]),
        (None, None, ["undecided", "-"]),
    ],
)
def test_a_prediction_is_a_row(
    state: DemoState,
    prediction: Callable[..., Prediction],
    value: bool | None,
    probability: float | None,
    shown: list[str],
) -> None:
    """Its event, what is predicted, how probable that is, by which version of which model."""
    state.newest_predictions.append(prediction("7007", value, probability))
    lines = draw(state)
    row = lines[line_with("newest on loans.predictions", lines) + 1]
    assert row.split() == ["application", "7,007", *shown, "hoeffding_tree", "1,234"]


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_its_line(state: DemoState, phase: Phase) -> None:
    """What is going on is below the progress bar."""
    state.enter(phase)
    assert draw(state)[2] == f" {phase.value}"
