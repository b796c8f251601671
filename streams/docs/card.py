"""What a model card says, as text: `card_html` and `card_markdown` give it a form.

Purpose, data contract, candidates, limits and history of a pipeline, from what its topics say. It
says what is not known as plainly as what is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from millrace.models.candidates.baselines import baselines
from millrace.models.identity.reference import Reference
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.contest import Standing
from millrace.schemas import EventSchema
from millrace.schemas.records import Alert, Audit, Fate, MetricValues, ReasonChange
from millrace.streams.docs.facts import certainty_said, span
from millrace.streams.docs.limits import limits
from millrace.streams.docs.told import as_utc, points, share
from millrace.streams.tools.card import Known
from millrace.streams.tools.evaluations import in_order, role_of

PREDICTS = {
    Task.BINARY: "which of two classes each event is of",
    Task.MULTICLASS: "which of several classes each event is of",
    Task.REGRESSION: "a number for each event",
    Task.ANOMALY: "how odd each event is",
}
"""What a task is, behind "Predicts"."""

_MOST_SHOWN = 30  # of a history
_FATES = {
    Fate.JOINED: "got a label",
    Fate.EXPIRED: "waited too long for one",
    Fate.EVICTED: "were pushed out by newer ones",
    Fate.REMOVED: "were deleted",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under the names of columns; without names, the first column has them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Points:
    """Sentences, each a point of a list."""

    sentences: Sequence[str]


Part: TypeAlias = str | Table | Points
"""A paragraph, a table or a list."""


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes
    ----------
    name
        Of the pipeline.
    lead
        What it is for, in a sentence or two.
    sections
        Title to what stands under it.
    made
        When and from what it was made.
    """

    name: str
    lead: str
    sections: Mapping[str, Sequence[Part]]
    made: str


def card(known: Known, now_ms: int) -> Card:
    """Return the card of a pipeline at a time."""
    schema = EventSchema(known.description["schema"], known.description["label"])
    sections = {
        "Purpose": _purpose(known, schema),
        "Data contract": _contract(known, schema),
        "Candidates": _candidates(known),
        "Limits": [Points([*limits(known)])],
        "History": _history(known),
    }
    source = "the topics" if known.reference else "the topics, and the definition from a file"
    return Card(
        name=known.description["name"],
        lead=_lead(known),
        sections={title: [*parts] for title, parts in sections.items()},
        made=f"Made by Millrace from {source} on {as_utc(now_ms)}.",
    )


def _lead(known: Known) -> str:
    description = known.description
    label = f" ({description['label']})" if description["label"] else ""
    serves = known.followed.promoter.contest.champion or description["models"][0]["name"]
    return f"Predicts {PREDICTS[Task(description['task'])]}{label}. {serves} serves."


def _purpose(known: Known, schema: EventSchema) -> Iterator[Part]:
    written = schema.as_written
    doc = str(written.schema.get("doc", "")).strip()
    yield doc or "The schema of the events does not say what they are: give it a doc."
    docs = {str(each["name"]): str(each.get("doc", "")) for each in written.fields}
    label = known.description["label"]
    if label and docs.get(label):
        yield f"What is predicted, {label}: {docs[label]}"


def _contract(known: Known, schema: EventSchema) -> Iterator[Part]:
    description = known.description
    roles = _roles(description)
    features = {read for each in description["features"] for read in each["reads"] or ()}
    docs = {str(each["name"]): str(each.get("doc", "")) for each in schema.as_written.fields}
    rows = [
        (
            name,
            " or ".join(schema.types_of(name)),
            ", ".join([*roles.get(name, []), *(["feature"] if name in features else [])]),
            docs.get(name, ""),
        )
        for name in schema.paths
    ]
    yield Table(("field", "type", "role", "what it is"), rows)
    yield Table((), [(name, text) for name, text in _facts(description).items() if text])
    made = [
        (each["name"], _listed(each["reads"]) or "code of its own")
        for each in description["features"]
        if each["reads"] != [each["name"]]
    ]
    if made:
        yield "Features that are made of fields:"
        yield Table(("feature", "reads"), made)


def _roles(description: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for parameter in ("event_id", "key", "event_time", "label"):
        for field in _all(description[parameter]):
            found.setdefault(field, []).append(parameter.replace("_", " "))
    return found


def _facts(description: Mapping[str, Any]) -> dict[str, str]:
    pending, default = description["pending"], description.get("label_default")
    waits = f"up to {pending['limit']:,} events wait for theirs, each for {span(pending['ttl'])}"
    if default:
        waits = f"an event without one for {span(default['after'])} gets {default['label']!r}"
    drift, promotion = description["drift"], description.get("promotion")
    watched = ", ".join(each["name"].removeprefix("drift.") for each in drift["detectors"])
    task, certainty = Task(description["task"]), description.get("certainty")
    return {
        "event id": _listed(description["event_id"]),
        "key": _listed(description["key"]) or "none",
        "event time": _listed(description["event_time"]) or "Kafka's timestamp",
        "label": _listed(description["label"]) or "comes on the topic labels",
        "classes": _listed(description["classes"]),
        "labels": waits,
        "one model for": {"global": "all events", "partition": "each partition"}.get(
            description["scope"], "each key"
        ),
        "topics of others": _listed(
            each["topic"] for each in [*description["events"], *description["labels"]]
        ),
        "drift": f"watches {watched or 'nothing'}; policy {drift['policy']}",
        "promotion": promotion["policy"] if promotion else "by command alone",
        "reasons": f"{description['reasons']} a prediction" if description.get("reasons") else "",
        "certainty": certainty_said(task, certainty) if certainty else "",
    }


def _candidates(known: Known) -> Iterator[Part]:
    promoter = known.followed.promoter
    contest = promoter.contest
    if not contest.blocks:
        yield "No block of a hundred events has all its labels yet: nothing is known of them."
        yield Table(("candidate",), [(each["name"],) for each in known.description["models"]])
        return
    names = [*baselines(Task(known.description["task"]))]
    yield (
        f"{contest.champion} serves; {promoter.labels:,} labels since"
        f" {as_utc(contest.since_ms or 0)}. Each event was predicted before its label was known."
        f" Loss: {contest.terms['metric']}. Differences are in points of the loss, with the"
        " interval that holds at any time with 95 %."
    )
    rows = [
        _row(each, role_of(each.name, contest.champion, names)) for each in in_order(contest, names)
    ]
    yield Table(("model", "role", "labels", "mean loss", "better by, in points"), rows)
    if (coverage := known.followed.coverage.as_data()) is not None:
        yield (
            f"Certainty: {coverage['share']:.1%} of {coverage['labels']:,} labels were inside the"
            f" interval or set of their prediction, {coverage['newest_share']:.1%} of the newest;"
            f" {coverage['wanted']:.1%} are wanted. Mean width, or number of classes, of the"
            f" newest: {coverage['newest_mean_size']:.4g}."
        )
    yield from _metrics(known)


def _row(standing: Standing, role: str) -> tuple[str, ...]:
    mean = "-" if standing.mean_loss is None else f"{standing.mean_loss:.4g}"
    better = "" if role == "champion" else points(standing.evidence)
    return standing.name, role, f"{standing.labels:,}", mean, better


def _metrics(known: Known) -> Iterator[Part]:
    blocks = known.followed.metrics.values()
    if not blocks:
        return
    block = max(blocks, key=lambda each: each["last_time_ms"])
    names = [*dict.fromkeys(name for each in block["metrics"].values() for name in each)]
    where = f" of partition {block['partition']}" if len(blocks) > 1 else ""
    yield f"Metrics of all labels{where}, and of the newest, on {as_utc(block['last_time_ms'])}:"
    rows = [
        (model, *(_metric(values.get(name)) for name in names))
        for model, values in block["metrics"].items()
    ]
    yield Table(("model", *names), rows)


def _metric(values: MetricValues | None) -> str:
    if values is None or values["cumulative"] is None:
        return "-"
    newest = "" if values["rolling"] is None else f" ({values['rolling']:.4g})"
    return f"{values['cumulative']:.4g}{newest}"


def _history(known: Known) -> Iterator[Part]:
    if known.deployed:
        yield "Definitions that were in force:"
        rows = [
            (
                str(each.number),
                as_utc(each.time_ms),
                Reference.of(each.definition).shortened,
                each.who,
                each.why,
            )
            for each in reversed(known.deployed)
        ]
        yield from _newest(("command", "since", "definition", "who", "why"), rows)
    changes = [_change(each) for each in reversed(known.changes)]
    if changes:
        yield "What was changed, by whom and why:"
        yield from _newest(("when", "what", "who", "why"), changes)
    drifts = [each for each in known.alerts if each["detector"] not in ("bounds", "e_process")]
    if drifts:
        yield f"Alerts: {_by_source(drifts)}."
        found = [_drift(each) for each in reversed(drifts)]
        yield from _newest(("when", "of", "mean", "action", "reasons"), found)
    else:
        yield "No drift was found."
    if known.ends:
        total = sum(known.ends.values())
        ends = (f"{share(n, total)} {_FATES[Fate(fate)]}" for fate, n in known.ends.most_common())
        yield f"Of the newest {total:,} events that ended, {', '.join(ends)}."


def _newest(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Part]:
    yield Table(columns, rows[:_MOST_SHOWN])
    if len(rows) > _MOST_SHOWN:
        yield f"and {len(rows) - _MOST_SHOWN:,} before these."


def _change(entry: Audit) -> tuple[str, ...]:
    before, after = entry["before"], entry["after"]
    moved = f": {before or '-'} to {after or '-'}" if before or after else ""
    what = f"{entry['subject']} {entry['action']}{moved}"
    return as_utc(entry["time_ms"]), what, entry["who"], entry["why"]


def _by_source(alerts: Sequence[Alert]) -> str:
    found = Counter(each["source"] for each in alerts)
    return ", ".join(f"{name} {count:,}" for name, count in found.most_common(10))


def _drift(alert: Alert) -> tuple[str, ...]:
    means = f"{alert['mean_before']:.4g} to {alert['mean_after']:.4g}"
    reasons = "; ".join(
        f"{each['feature']} {each['before']:.0%} to {each['after']:.0%}{_right(each)}"
        for each in alert["reasons"]
    )
    return as_utc(alert["event_time_ms"]), alert["source"], means, alert["action"], reasons


def _right(change: ReasonChange) -> str:
    before, after = change["right_before"], change["right_after"]
    return "" if before is None or after is None else f" (right: {before:.0%} to {after:.0%})"


def _all(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _listed(values: Any) -> str:
    return ", ".join(_all(values) if isinstance(values, str | None) else map(str, values))
