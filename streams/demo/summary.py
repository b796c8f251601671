"""The summary at the end of a demo, for readers who have never heard of Millrace."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from millrace.models.pipelines.loans import pipeline
from millrace.streams.demo.accounts import discrepancies, listed
from millrace.streams.demo.curve import Course, course
from millrace.streams.demo.script import PREFIX, Kind
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.tables import accuracy_table, alert_table, milliseconds, percent

WIDTH = 80
_NEXT_STEPS = """\
millrace replay Phishing
    a data set that comes with River, and a report on it
millrace check pipeline.py
    a pipeline of your own: README.md shows how to write one
millrace worker --pipeline pipeline.py --broker localhost:9092
    on your own Kafka"""


def summary(state: DemoState, interrupted: bool = False) -> Iterator[RenderableType]:
    """Yield the parts of the summary, for 80 columns.

    Parameters
    ----------
    state
        At the end.
    interrupted
        Whether the demo was stopped early: then nothing is expected to add up.
    """
    outcome = "interrupted after" if interrupted else "finished in"
    yield Text(f"Millrace demo: {outcome} {state.seconds:.0f} s", "bold")
    yield _heading("The stream")
    yield from _stream(state, interrupted)
    yield _heading("The drift")
    yield from _drift(state)
    yield _heading(f"Alerts on the topic {PREFIX}alerts")
    yield from _alerts(state)
    yield _heading("Try next")
    yield Text(_NEXT_STEPS)


def _heading(text: str) -> RenderableType:
    return Padding(Rule(Text(text, "bold"), align="left", style="dim"), (1, 0, 0, 0))


def _stream(state: DemoState, interrupted: bool) -> Iterator[str]:
    reasons = f" ({listed(state.rejected_events)})" if state.rejected else ""
    yield (
        f"{state.events_sent:,} events sent, {state.sent[Kind.INVALID]} of them invalid on"
        f" purpose: {state.predicted:,} predicted, {state.rejected:,} rejected{reasons}."
    )
    yield (
        f"{state.sent[Kind.LABEL]:,} labels sent, each {state.plan.label_delay:,} events after its"
        f" event: {state.learned:,} learned."
    )
    yield _balance(state, interrupted)
    yield (
        f"Latency from produced to predicted: median {milliseconds(state.median_seconds)}, 99th"
        f" percentile {milliseconds(state.p99_seconds)}."
    )


def _balance(state: DemoState, interrupted: bool) -> str:
    if interrupted:
        return "Records that were in flight at the interruption are not counted."
    found = discrepancies(state)
    if found:
        return f"This does not add up: {'; '.join(found)}."
    return (
        "Nothing was lost: every event was predicted or rejected, and every label was learned."
        f" The rejected events are on the topic {PREFIX}rejects, with the reasons."
    )


def _drift(state: DemoState) -> Iterator[RenderableType]:
    courses = {name: course(each, state.plan.drift_at) for name, each in state.curves.items()}
    accuracy = {
        "before": lambda name: courses[name].before,
        "lowest": lambda name: courses[name].lowest,
        "end": lambda name: courses[name].end,
    }
    if state.has_drifted:
        yield (
            f"At application {state.plan.drift_at:,} the rule for granting loans changed from"
            " income to age. The worker was not told."
        )
        yield from _effect(courses[pipeline.champion])
    else:
        yield "The drift had not happened yet."
    yield f"\nAccuracy over the last {pipeline.rolling_window} labels:"
    yield accuracy_table(state, accuracy, WIDTH)


def _effect(champion: Course) -> Iterator[str]:
    if champion.lowest is None:
        return
    yield (
        f"The accuracy of {pipeline.champion} (★, the champion) over the last"
        f" {pipeline.rolling_window} labels was {percent(champion.before)} before the drift,"
        f" {percent(champion.lowest)} at its lowest and {percent(champion.end)} at the end."
    )
    if champion.recovered_after is None:
        yield "It has not recovered yet: there were too few events after the drift."
    else:
        yield f"It had recovered {champion.recovered_after:,} labels after the drift."


def _alerts(state: DemoState) -> Iterator[RenderableType]:
    if not state.alerts:
        yield "None."
        return
    yield alert_table(state, "source", state.alerts)
    if any(alert["action"] == "replace" for alert in state.alerts):
        yield (
            "Action `replace`: a challenger, which is a fresh model, learns beside the model that"
            f" drifted. After {pipeline.drift.replacement_after // 2:,} labels the two are"
            " compared, and it takes the place once it is proven better."
        )
