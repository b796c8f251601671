"""What is left to read at the end."""

from __future__ import annotations

from collections.abc import Callable

from millrace.schemas.records import Alert
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.summary import WIDTH, summary


def text_of(state: DemoState, interrupted: bool = False) -> str:
    return " ".join(" ".join(summary(state, interrupted)).split())


def test_it_accounts_for_every_record(finished: DemoState) -> None:
    """Events, predictions, rejects with reasons, labels and lessons are there, and the verdict."""
    text = text_of(finished)
    assert "1,005 events sent, 5 of them bad on purpose: 1,000 predicted, 5 rejected" in text
    assert "(2 malformed, 1 missing_field, 1 missing_id, 1 not_finite)" in text
    assert "1,000 labels sent, each 100 events after its own: 1,000 learned" in text
    assert "Nothing was lost" in text


def test_it_tells_the_story_of_the_drift(finished: DemoState) -> None:
    """Accuracy before, at the bottom and at the end, and how long it took."""
    text = text_of(finished)
    assert "right in 96.0 % of the last 500 labels before, in 49.0 % at the bottom" in text
    assert "97.0 % at the end. It was back where it had been 400 labels after the drift." in text


def test_a_drift_without_recovery_is_admitted(finished: DemoState) -> None:
    """A short play ends within the dip."""
    del finished.curves["hoeffding_tree"].readings[3:]
    assert "It has not come back" in text_of(finished)


def test_candidates_stand_beside_baselines(finished: DemoState) -> None:
    """One row each, its role beside its name, and a mark below the place of the drift."""
    lines = summary(finished)
    champion = next(line for line in lines if line.startswith("  hoeffding_tree (serves)"))
    assert champion.split()[2:8] == ["96.0", "%", "49.0", "%", "97.0", "%"]
    assert any(line.startswith("  prior (baseline)") for line in lines)
    mark = next(line.index("▲ drift") for line in lines if "▲ drift" in line)
    assert champion[mark] == "█"
    assert champion[mark + 1] in "▂▃"


def test_it_says_which_alert_and_what_followed(
    finished: DemoState, alert: Callable[..., Alert]
) -> None:
    """The champion's first alert after the drift is told in full, the others by name."""
    finished.alerts.insert(0, alert("20", source="input:car"))
    text = text_of(finished)
    assert "loss:hoeffding_tree was raised 40 events after the drift" in text
    assert "ADWIN saw the error go 0.04 → 0.49. The policy is `replace`" in text
    assert "1 more: input:car 480 before it." in text


def test_without_alerts_it_says_so(finished: DemoState) -> None:
    """Silence would be read as an error."""
    finished.alerts.clear()
    assert "None was raised." in text_of(finished)


def test_what_does_not_add_up_is_in_it(finished: DemoState) -> None:
    """The verdict is not a fixed text."""
    finished.learned = 999
    assert "This does not add up: 1,000 labels sent but 999" in text_of(finished)
    assert "Nothing was lost" not in text_of(finished)


def test_an_interrupted_demo_is_summed_up_so_far(state: DemoState) -> None:
    """Whatever is not known yet is left out, and nothing is said to be lost or not."""
    state.count_sent(Kind.EVENT)
    text = text_of(state, interrupted=True)
    assert "Millrace demo: interrupted after 0 s" in text
    assert "It was still to come." in text
    assert "Nothing was lost" not in text
    assert "add up" not in text


def test_next_steps_are_commands(finished: DemoState) -> None:
    """Three of them, ready to be copied, with a data set of River's."""
    steps = [line.strip() for line in summary(finished) if line.startswith("  millrace ")]
    assert [step.split()[1] for step in steps] == ["replay", "check", "worker"]
    assert "README.md" in text_of(finished)


def test_it_fits_a_terminal(finished: DemoState) -> None:
    """No line is wider than 80 columns, however large the numbers."""
    finished.sent[Kind.EVENT] = finished.sent[Kind.LABEL] = 9_999_999
    assert max(map(len, summary(finished))) <= WIDTH
