"""What is left to read when the demo is over: for somebody who has never heard of Millrace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap

from millrace.schemas.records import Alert
from millrace.streams.demo.accounts import discrepancies, listed
from millrace.streams.demo.curve import column, sparkline
from millrace.streams.demo.script import Kind
from millrace.streams.demo.state import DemoState
from millrace.streams.demo.wording import evidence, milliseconds, percent

WIDTH = 80
_INDENT = "  "
_CURVE_WIDTH = 26


def summary(state: DemoState, interrupted: bool = False) -> list[str]:
    """Return the summary as lines; those that begin a section are not indented.

    Parameters
    ----------
    state
        At the end.
    interrupted
        Whether that end came early: then nothing is expected to add up.
    """
    return [
        _title(state, interrupted),
        "",
        "The stream",
        *_stream(state, interrupted),
        "",
        "The drift",
        *_drift(state),
        "",
        *_table(state),
        "",
        f"The alerts, on the topic {state.pipeline.name}.alerts",
        *_alerts(state),
        "",
        "Try next",
        *_next_steps(),
    ]


def _title(state: DemoState, interrupted: bool) -> str:
    end = "interrupted after" if interrupted else "done in"
    return f"Millrace demo: {end} {state.seconds:.0f} s"


def _stream(state: DemoState, interrupted: bool) -> Iterator[str]:
    rejected = sum(state.rejected_events.values())
    yield (
        f"  {state.events_sent:>7,} events sent, {state.sent[Kind.BAD]} of them bad on purpose:"
        f" {state.predictions:,} predicted, {rejected:,} rejected"
    )
    if rejected:
        yield f"{'':10}({listed(state.rejected_events)})"
    yield (
        f"  {state.labels_sent:>7,} labels sent, each {state.plan.label_delay:,} events after its"
        f" own: {state.learned:,} learned"
    )
    yield from _paragraph(_balance(state, interrupted))
    yield from _paragraph(
        f"Latency from produced to predicted: {milliseconds(state.latency_p50_seconds)} in the"
        f" median, {milliseconds(state.latency_p99_seconds)} at the 99th percentile."
    )


def _balance(state: DemoState, interrupted: bool) -> str:
    if interrupted:
        return "What was still on its way at the interruption is not counted."
    found = discrepancies(state)
    if found:
        return f"This does not add up: {'; '.join(found)}."
    return (
        "Nothing was lost: every event was predicted or rejected, every label was learned."
        f" The rejected ones are on the topic {state.pipeline.name}.rejects, with their reason."
    )


def _drift(state: DemoState) -> Iterator[str]:
    if not state.has_drifted:
        yield from _paragraph("It was still to come.")
        return
    champion = state.pipeline.champion
    course = state.course(champion)
    yield from _paragraph(
        f"At application {state.plan.drift_at:,} the rule for granting a loan changed, from income"
        " to age. Nobody told the worker."
    )
    if course.before is None or course.bottom is None:
        return
    text = (
        f"{champion}, the model that serves, was right in {percent(course.before).strip()} of the"
        f" last {state.pipeline.rolling_window} labels before, in"
        f" {percent(course.bottom).strip()} at the bottom of the dip, and in"
        f" {percent(course.end).strip()} at the end."
    )
    if course.is_hit:
        text += _recovery(course.recovered_after)
    yield from _paragraph(text)


def _recovery(recovered_after: int | None) -> str:
    if recovered_after is None:
        return " It has not come back to where it was: there were too few events for that."
    return f" It was back where it had been {recovered_after:,} labels after the drift."


def _table(state: DemoState) -> Iterator[str]:
    learned = max(
        (each.readings[-1].learned for each in state.curves.values() if each.last), default=0
    )
    total = max(state.plan.events, learned)
    heading = f"Accuracy over the last {state.pipeline.rolling_window}"
    yield f"{heading:29}before  bottom     end"
    for name, curve in state.curves.items():
        course = state.course(name)
        numbers = "  ".join(percent(each) for each in course[:3])
        drawn = sparkline(curve.readings, total, _CURVE_WIDTH).rstrip()
        yield f"  {name + role(state, name):27}{numbers}  {drawn}".rstrip()
    if state.has_drifted:
        at = column(state.plan.drift_at, total, _CURVE_WIDTH)
        yield " " * (53 + at) + "▲ drift"


def role(state: DemoState, name: str) -> str:
    """Return what a candidate is, where it is not simply one of the challengers."""
    if name == state.pipeline.champion:
        return " (serves)"
    return "" if name in state.pipeline.models else " (baseline)"


def _alerts(state: DemoState) -> Iterator[str]:
    served = f"loss:{state.pipeline.champion}"
    late = [each for each in state.alerts if state.events_after_drift(each) >= 0]
    first = next((each for each in late if each["source"] == served), None)
    if first is not None:
        yield from _paragraph(_found(state, first))
    rest = [each for each in state.alerts if each is not first]
    if rest:
        by_source = Counter(_at(state, each) for each in rest)
        more = "more" if first is not None else "raised"
        yield from _paragraph(f"{len(rest)} {more}: {', '.join(by_source)}.")
    if not state.alerts:
        yield from _paragraph("None was raised.")


def _found(state: DemoState, alert: Alert) -> str:
    said = (
        f"{alert['source']} was raised {state.events_after_drift(alert):,} events after the drift:"
        f" {alert['detector']} saw the error go {evidence(alert)}."
    )
    if alert["action"] == "replace":
        said += (
            " The policy is `replace`: a fresh model learned beside it from the next"
            f" {state.pipeline.drift.replacement_after:,} labels, to take over if it did better."
        )
    return said


def _at(state: DemoState, alert: Alert) -> str:
    after = state.events_after_drift(alert)
    when = f"{after:,} after the drift" if after >= 0 else f"{-after:,} before it"
    return f"{alert['source']} {when}"


def _next_steps() -> Iterator[str]:
    steps = {
        "millrace replay Phishing": "a data set that comes with River, and a report on it",
        "millrace check pipeline.py": "a pipeline of your own: README.md shows how to write one",
        "millrace worker --pipeline pipeline.py --broker localhost:9092": "on your own Kafka",
    }
    for command, what in steps.items():
        yield f"  {command}"
        yield f"      {what}"


def _paragraph(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
