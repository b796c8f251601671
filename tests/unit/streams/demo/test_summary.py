"""The summary at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console, Group

from millrace.schemas.records import Alert
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.summary import WIDTH, summary


def lines_of(state: DemoState, interrupted: bool = False) -> list[str]:
    console = Console(width=WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(Group(*summary(state, interrupted)))
    return capture.get().splitlines()


def text_of(state: DemoState, interrupted: bool = False) -> str:
    return " ".join(" ".join(lines_of(state, interrupted)).split())


def test_it_accounts_for_every_record(finished: DemoState) -> None:
    """Events, predictions, rejects with reasons and labels are there, and that nothing was lost."""
    text = text_of(finished)
    assert "Millrace demo: finished in 61 s" in text
    assert "1,005 events sent, 5 of them invalid on purpose: 1,000 predicted, 5 rejected" in text
    assert "(2 malformed, 1 missing_field, 1 missing_id, 1 not_finite)." in text
    assert "1,000 labels sent, each 100 events after its event: 1,000 learned." in text
    assert "Nothing was lost" in text
    assert "on the topic loans.rejects" in text


def test_discrepancies_are_in_it(finished: DemoState) -> None:
    """Then it does not say that nothing was lost."""
    finished.learned = 999
    assert "This does not add up: 1,000 labels sent but 999" in text_of(finished)
    assert "Nothing was lost" not in text_of(finished)


def test_it_has_the_latency(finished: DemoState) -> None:
    """Median and 99th percentile, from produced to predicted."""
    finished.median_seconds, finished.p99_seconds = 0.012, 0.34
    assert "median 12 ms, 99th percentile 340 ms." in text_of(finished)


def test_it_tells_the_effect_of_the_drift(finished: DemoState) -> None:
    """Accuracy of the champion before, at its lowest and at the end, and the recovery."""
    text = text_of(finished)
    assert "At application 500 the rule for granting loans changed" in text
    assert "hoeffding_tree (★, the champion) over the last 500 labels was 96.0 % before" in text
    assert "49.0 % at its lowest and 97.0 % at the end." in text
    assert "It had recovered 400 labels after the drift." in text


@pytest.mark.parametrize(("readings", "text"), [(3, "It has not recovered yet"), (2, "not told.")])
def test_what_is_not_known_is_not_told(finished: DemoState, readings: int, text: str) -> None:
    """A short demo ends before the recovery, or before the first label after the drift."""
    del finished.curves["hoeffding_tree"][readings:]
    assert text in text_of(finished)
    assert "It had recovered" not in text_of(finished)
    assert ("at its lowest" in text_of(finished)) == (readings == 3)


def test_candidates_are_compared(finished: DemoState) -> None:
    """The row of the champion has its accuracy before, at its lowest and at the end."""
    row = next(line for line in lines_of(finished) if line.startswith("hoeffding_tree ★"))
    assert row.split()[2:8] == ["96.0", "%", "49.0", "%", "97.0", "%"]


def test_alerts_are_listed_and_replacement_explained(
    finished: DemoState, alert: Callable[..., Alert]
) -> None:
    """All of them in their order; the explanation only if a model was to be replaced."""
    finished.alerts.insert(0, alert("20", source="input:car", action="alert"))
    text = text_of(finished)
    assert "Alerts on the topic loans.alerts" in text
    assert text.index("input:car ADWIN 0.04 → 0.49 alert -480 events") < text.index(
        "loss:hoeffding_tree ADWIN 0.04 → 0.49 replace +40 events"
    )
    assert "Action `replace`:" in text
    assert "After 250 labels the two are compared" in text
    del finished.alerts[1]
    assert "Action `replace`:" not in text_of(finished)


def test_a_demo_without_alerts_says_so(finished: DemoState) -> None:
    """An empty section would look like an error."""
    finished.alerts.clear()
    lines = lines_of(finished)
    heading = next(i for i, line in enumerate(lines) if line.startswith("Alerts"))
    assert lines[heading + 1] == "None."


def test_an_interrupted_demo_is_summed_up_so_far(state: DemoState) -> None:
    """It does not say whether anything was lost."""
    state.count_sent(Kind.EVENT)
    text = text_of(state, interrupted=True)
    assert "Millrace demo: interrupted after 0 s" in text
    assert "1 events sent, 0 of them invalid on purpose: 0 predicted, 0 rejected." in text
    assert "in flight at the interruption" in text
    assert "The drift had not happened yet." in text
    assert "lost" not in text
    assert "add up" not in text


def test_next_steps_are_commands(finished: DemoState) -> None:
    """Three of them, ready to be copied."""
    steps = [line.split() for line in lines_of(finished) if line.startswith("millrace ")]
    assert [step[1] for step in steps] == ["replay", "check", "worker"]


def test_it_fits_a_terminal(finished: DemoState) -> None:
    """No line is wider than 80 columns, however large the numbers."""
    finished.sent[Kind.EVENT] = finished.sent[Kind.LABEL] = 9_999_999
    assert max(map(len, lines_of(finished))) <= 80
