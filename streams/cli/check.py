"""`millrace check`: whether a pipeline file is right, and what it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.limits import contradictions
from millrace.models.pipeline.loading import load_pipeline
from millrace.streams.cli.console import output
from millrace.streams.cli.options import chain_option, pass_settings
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import topic_prefix, topics_of

if TYPE_CHECKING:
    from millrace.models.monitoring.detectors import Detector  # imports River


@click.command()
@click.argument("spec", metavar="PIPELINE")
@chain_option
@pass_settings
def check(settings: Settings, spec: str) -> None:
    """Check a pipeline file and print what it describes.

    PIPELINE is path/file.py or package.module, followed by :attribute unless the attribute is
    `pipeline`. No broker is needed. Each model is trained on made-up events, saved and loaded. If
    the definition is wrong, the error is one line and the exit code is 2.
    """
    from millrace.streams.state.dry_run_process import tried

    pipeline = load_pipeline(spec)
    warnings = tried(spec)
    console = output()
    console.print(_summary(pipeline))
    console.print(_fields(pipeline))
    console.print(_topics(pipeline, settings))
    for warning in [*contradictions(pipeline), *warnings]:
        console.print(f"Warning: {warning}", style="yellow")
    console.print(f"{pipeline.name} is a valid pipeline.", style="green")


def _summary(pipeline: Pipeline) -> Table:
    """Return the facts of one line each."""
    from millrace.models.candidates.baselines import baselines

    table = Table(title=f"Pipeline {pipeline.name}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    champion, *challengers = pipeline.models
    key = f", by the field {pipeline.key}" if pipeline.key else ""
    for name, value in {
        "task": f"{pipeline.task}{_learning(pipeline)}",
        "champion": f"{champion}, whose predictions are published",
        "challengers": ", ".join(challengers) or "none",
        "baselines": ", ".join(baselines(pipeline.task)),
        "features": ", ".join(name for each in pipeline.features for name in each.names),
        "scope": f"{pipeline.scope}{key}",
        "drift": _drift(pipeline),
        "labels": f"up to {pipeline.pending.limit:,} events wait for theirs, each for"
        f" {str(pipeline.pending.ttl).removesuffix(', 0:00:00')}",
    }.items():
        table.add_row(name, value)
    for place, seed in pipeline.seeds.items():
        table.add_row("seed", f"{place} = {seed}, made of its name, since it was None")
    return table


def _learning(pipeline: Pipeline) -> str:
    return ", learns without labels" if pipeline.learns_without_labels else ""


def _drift(pipeline: Pipeline) -> str:
    drift = pipeline.drift
    watched = {"loss": drift.loss, "inputs": drift.inputs, "predictions": drift.predictions}
    shown = [f"{name} {_detector(each)}" for name, each in watched.items() if each]
    return f"{', '.join(shown) or 'not watched'}; policy {drift.policy}"


def _detector(detector: Detector | Mapping[str, Detector]) -> str:
    if isinstance(detector, Mapping):
        return f"({', '.join(f'{name} {_detector(each)}' for name, each in detector.items())})"
    return detector if isinstance(detector, str) else getattr(detector, "__name__", "custom")


def _fields(pipeline: Pipeline) -> Table:
    """Return the event's fields, their types and their roles."""
    schema = pipeline.event_schema
    table = Table(title=f"Event {schema.as_written.name}", title_justify="left")
    for column in ("field", "type", "role"):
        table.add_column(column)
    roles = {
        pipeline.event_id: "event id",
        pipeline.key: "key",
        pipeline.event_time: "event time",
        pipeline.label: "label",
    }
    features = {name for each in pipeline.features for name in each.names}
    for name in schema.field_names:
        role = [roles[name]] if name in roles else []
        role += ["feature"] if name in features else []
        table.add_row(name, " or ".join(schema.types_of(name)), ", ".join(role))
    return table


def _topics(pipeline: Pipeline, settings: Settings) -> Table:
    """Return the topics of the chain: who they are for, and what they hold."""
    table = Table(title=f"Topics (chain {settings.chain})", title_justify="left")
    for column in ("topic", "for", "cleanup", "holds"):
        table.add_column(column)
    for topic in topics_of(settings.agents):
        cleanup = "compact" if topic.is_compacted else "delete"
        table.add_row(topic_prefix(pipeline) + topic.name, topic.use, cleanup, topic.holds)
    return table
