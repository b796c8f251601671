"""The page about a pipeline, for people: one file of HTML, which loads nothing else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any

from millrace.models.features.base import Feature, is_own
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas import Fate, RejectReason
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.facts import facts, field_facts, source_facts
from millrace.streams.docs.meanings import meanings
from millrace.streams.docs.messages import FRAMES
from millrace.streams.docs.produced import Produced
from millrace.streams.docs.try_it import steps
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import OUTPUTS, Topic, Use, topic_prefix, topics_of

DOCUMENT = "asyncapi.json"
"""Name of the file with the same facts for programs, which the page has a link to."""

_CODE = re.compile(r"`([^`]+)`")
_PREDICTS = {
    Task.BINARY: "which of two classes each event is of",
    Task.MULTICLASS: "which of several classes each event is of",
    Task.REGRESSION: "a number for each event",
    Task.ANOMALY: "how odd each event is",
}


def page(pipeline: Pipeline, settings: Settings) -> str:
    """Return the page about a pipeline as it is deployed."""
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    body = "\n".join(_body(pipeline, settings, Examples(pipeline, settings.topics)))
    return Template(template).substitute(title=html.escape(pipeline.name), body=body)


def _body(pipeline: Pipeline, settings: Settings, examples: Examples) -> Iterator[str]:
    yield f"<h1>{html.escape(pipeline.name)}</h1>"
    yield f'<p class="lead">{_shown(_lead(pipeline))}</p>'
    sections = {
        "Definition": _definition(pipeline),
        "Events": _events(pipeline, examples),
        "Labels": _labels(pipeline, examples),
        "Predictions": [_json(examples.prediction)],
        "Topics": _topics(pipeline, settings),
        "Try it": _try_it(pipeline, settings, examples),
        "Rejects": _rejects(pipeline),
    }
    links = (f'<a href="#{_anchor(title)}">{title}</a>' for title in sections)
    yield f"<nav>{' '.join(links)}</nav>"
    for title, parts in sections.items():
        yield f'<h2 id="{_anchor(title)}">{title}</h2>'
        yield from parts
    made = f"Made by Millrace {version('millrace')} from the definition."
    yield f'<footer>{made} For programs: <a href="{DOCUMENT}">{DOCUMENT}</a></footer>'


def _lead(pipeline: Pipeline) -> str:
    label = f" (`{pipeline.label}`)" if pipeline.label else ""
    doc = str(pipeline.event_schema.as_written.schema.get("doc", ""))
    classes = pipeline.allowed_labels.classes
    listed = f": {', '.join(f'`{each}`' for each in classes)}" if classes else ""
    return f"Predicts {_PREDICTS[Task(pipeline.task)]}{label}{listed}. {doc}".strip()


def _definition(pipeline: Pipeline) -> Iterator[str]:
    yield _table(None, facts(pipeline).items())
    yield "<h3>Features</h3>"
    rows = ((_codes(each.names), _kind(each), _said(each)) for each in pipeline.features)
    yield _table(("feature", "made by", "what it is"), rows)


def _kind(feature: Feature) -> str:
    name = type(feature).__name__
    return name.strip("_").lower() if is_own(feature) else name


def _said(feature: Feature) -> str:
    """Return what the user has said of a feature, in the first line of a docstring."""
    told = getattr(feature, "function", feature if not is_own(feature) else None)
    return (getattr(told, "__doc__", None) or "").strip().partition("\n")[0]


def _events(pipeline: Pipeline, examples: Examples) -> Iterator[str]:
    rows = ((f"`{name}`", type_, role, doc) for name, type_, role, doc in field_facts(pipeline))
    yield _table(("field", "type", "role", "what it is"), rows)
    yield "<h3>An event</h3>"
    yield from _beside(examples.event)
    yield _json(examples.event.value)


def _beside(record: Produced) -> Iterator[str]:
    """Return what a record has beside its value, where the pipeline reads it."""
    said = {} if record.key is None else {"key": record.key}
    said |= {f"header {name}": text for name, text in record.headers.items()}
    if said:
        yield _table(None, ((name, f"`{text}`") for name, text in said.items()))


def _labels(pipeline: Pipeline, examples: Examples) -> Iterator[str]:
    yield f"<p>{_shown(facts(pipeline)['labels'].capitalize())}.</p>"
    yield "<h3>A label</h3>"
    yield _json(examples.label)
    yield _folded("What becomes of labels, and of events without one", meanings(Fate))


def _topics(pipeline: Pipeline, settings: Settings) -> Iterator[str]:
    prefix = topic_prefix(pipeline)
    rows = [
        (f"`{prefix}{each.name}`", each.use, _form(each, settings), each.key, each.holds)
        for each in topics_of(settings.agents_of(pipeline))
        if each.use is not Use.INTERNAL
    ]
    yield _table(("topic", "for", "format", "key", "holds"), rows)
    others = [
        (f"`{settings.topics.get(name, name)}`", says) for name, says in source_facts(pipeline)
    ]
    if others:
        yield "<h3>Topics of others that are read</h3>"
        yield _table(("topic", "what is read"), others)


def _form(topic: Topic, settings: Settings) -> str:
    if topic.name not in OUTPUTS:
        return "JSON or Avro"
    frame = FRAMES.get(settings.outputs)
    return settings.outputs.upper() if frame is None else frame.says


def _try_it(pipeline: Pipeline, settings: Settings, examples: Examples) -> Iterator[str]:
    for title, command in steps(pipeline, settings, examples):
        yield f"<h3>{title}</h3><pre>{html.escape(command)}</pre>"


def _rejects(pipeline: Pipeline) -> Iterator[str]:
    topic = f"{topic_prefix(pipeline)}rejects"
    yield f"<p>A record that cannot be used goes to <code>{topic}</code>, as it came.</p>"
    yield _folded("Reasons", meanings(RejectReason))


def _folded(title: str, rows: Iterable[tuple[str, str]]) -> str:
    table = _table(None, ((f"`{value}`", said) for value, said in rows))
    return f"<details><summary>{title}</summary>{table}</details>"


def _table(columns: Iterable[str] | None, rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in columns or ())
    lines = ("".join(f"<td>{_shown(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>{f"<tr>{head}</tr>" if head else ""}{body}</table></div>'


def _json(record: Any) -> str:
    return f"<pre>{html.escape(json.dumps(record, indent=2, ensure_ascii=False))}</pre>"


def _codes(names: Iterable[str]) -> str:
    return " ".join(f"`{each}`" for each in names)


def _shown(text: str) -> str:
    """Return text as HTML: what is in backticks is code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
