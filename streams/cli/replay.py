"""`millrace replay`: a file of rows as a stream, and a report of how a pipeline did on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from millrace.schemas import SettingsError
from millrace.streams.cli.options import broker_options, chain_option, pipeline_option
from millrace.streams.settings import EMBEDDED, Settings, read_settings

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline
    from millrace.streams.replay.report import Report
    from millrace.streams.replay.source import Source

_WIDTH = 110
_EXAMPLES = """\b
Examples:
  millrace replay Phishing
  millrace replay data.csv --label y --model hoeffding_tree --keep my_pipeline
  millrace replay data.parquet --pipeline pipeline.py --label-delay 500
  millrace replay Phishing --embedded --chain full --report report.json

The metrics are prequential: every prediction is tested against its label before the label is
learned. On one partition they are those of River's progressive_val_score."""


@click.command(epilog=_EXAMPLES)
@click.argument("source")
@pipeline_option
@click.option("--label", metavar="COLUMN", help="What to predict, where no pipeline is given.")
@click.option("--model", metavar="NAME", help="One of the catalogue's, where none is given.")
@click.option(
    "--task",
    type=click.Choice(["binary", "multiclass", "regression", "anomaly"]),
    help="Where none is given, and it is not what the label's values suggest.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Rows to take from the beginning.")
@click.option(
    "--label-delay",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Send each label N events after its event, not inside it.",
)
@click.option("--embedded", is_flag=True, help="Run a real worker, with a broker embedded here.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Events per second, to see a worker's latency; else as fast as it goes.",
)
@chain_option
@broker_options
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.json",
    help="Write the report as JSON, too.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the pipeline that was made from the table.",
)
def replay(
    source: str,
    label: str | None,
    model: str | None,
    task: str | None,
    limit: int | None,
    label_delay: int,
    embedded: bool,
    rate: float | None,
    report: Path | None,
    keep: Path | None,
    **given: Any,
) -> None:
    """Stream a table through a pipeline and report how it did.

    SOURCE is a CSV or Parquet file, or one of the data sets that come with River (Phishing,
    ImageSegments, TrumpApproval and others). The pipeline runs in this process, with the same
    results as a worker. --broker, --embedded or --chain run it in a real worker instead, in a
    process of its own, with Kafka between.
    """
    settings = read_settings(**given, log_level="warning", log_format="json")
    has_worker = embedded or settings.broker != EMBEDDED or given["chain"] is not None
    _check_options(report, rate, has_worker)
    from millrace.models.pipeline.loading import load_pipeline

    if settings.pipeline:
        load_pipeline(settings.pipeline)  # before the table, which may be large
    from millrace.streams.replay.source import define, read_source

    table = read_source(source).head(limit)
    with TemporaryDirectory(prefix="millrace-") as scratch:
        folder = keep or Path(scratch)
        spec = define(
            table, folder, pipeline=settings.pipeline or None, label=label, model=model, task=task
        )
        if keep is not None and not spec.startswith(str(keep)):
            raise SettingsError("--keep needs --label and --model: else there is nothing to keep")
        pipeline = load_pipeline(spec)
        if has_worker:
            made = _through_worker(table, pipeline, spec, settings, label_delay, rate)
        else:
            made = _in_memory(table, pipeline, label_delay)
    if report is not None:
        report.write_text(json.dumps(made, indent=2) + "\n")
    from millrace.streams.replay.summary import print_report

    console = Console(highlight=False, width=None if Console().is_terminal else _WIDTH)
    print_report(made, pipeline, console)
    if settings.broker != EMBEDDED:
        console.print(f"The topics {made['pipeline']}.* are left on {settings.broker}.")


def _check_options(report: Path | None, rate: float | None, has_worker: bool) -> None:
    if report is not None and not report.parent.is_dir():
        raise SettingsError(f"--report must be in a folder that exists; got {str(report)!r}")
    if rate is not None and not has_worker:
        raise SettingsError("--rate needs a worker: add --embedded, --chain or --broker")


def _in_memory(source: Source, pipeline: Pipeline, label_delay: int) -> Report:
    from millrace.streams.replay.run import replay_in_memory

    with _progress("events", len(source.frame)) as (bar, task):
        return replay_in_memory(
            source, pipeline, label_delay, on_progress=lambda done: bar.update(task, completed=done)
        )


def _through_worker(
    source: Source,
    pipeline: Pipeline,
    spec: str,
    settings: Settings,
    label_delay: int,
    rate: float | None,
) -> Report:
    from millrace.streams.replay.run import Pace, own_name, replay_through_worker

    usual = pipeline.name if settings.broker == EMBEDDED else own_name(pipeline)
    pipeline = pipeline.with_name(settings.pipeline_name or usual)
    settings = settings.model_copy(update={"pipeline": spec, "pipeline_name": pipeline.name})
    with _progress("starting the worker", len(source.frame)) as (bar, task):
        return replay_through_worker(
            source,
            pipeline,
            settings,
            Pace(label_delay=label_delay, rate=rate),
            on_ready=lambda: bar.reset(task, description="events"),
            on_progress=lambda done: bar.update(task, completed=done),
        )


@contextmanager
def _progress(description: str, total: int) -> Iterator[tuple[Progress, Any]]:
    """Show a bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        yield bar, bar.add_task(description, total=total)
