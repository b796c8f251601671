"""`millrace replay`: a table as a stream, and a report of how a pipeline did on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas import MillraceError, SettingsError
from millrace.streams.cli.console import output, progress_bar
from millrace.streams.cli.options import (
    broker_option,
    chain_option,
    kafka_option,
    pass_settings,
    pipeline_option,
)
from millrace.streams.formats.json import to_json
from millrace.streams.settings import EMBEDDED, Settings

if TYPE_CHECKING:
    from millrace.streams.replay.report import Report
    from millrace.streams.replay.source import Source

_EXAMPLES = """\b
Examples:
  millrace replay Phishing
  millrace replay data.csv --label y --model hoeffding_tree --keep my_pipeline
  millrace replay data.parquet --pipeline pipeline.py --label-delay 500
  millrace replay Phishing --embedded --chain full --report report.json

The metrics are prequential: every prediction is compared with its label before the models learn
from it. On one partition they equal those of River's progressive_val_score."""

_OPTIONS = {
    "label": "--label",
    "model": "--model",
    "task": "--task",
    "event_id": "--id",
    "event_time": "--time",
    "exclude": "--exclude",
    "numeric": "--numeric",
}
"""Name of what is chosen for a table to the option that chooses it."""


@click.command(epilog=_EXAMPLES)
@click.argument("source")
@pipeline_option
@click.option("--label", metavar="COLUMN", help="Column to predict, without --pipeline.")
@click.option("--model", metavar="NAME", help="Model of the catalogue, without --pipeline.")
@click.option(
    "--task",
    type=click.Choice([each.value for each in Task]),
    help="Task, without --pipeline. By default it follows from the values of the label.",
)
@click.option("--positive", metavar="VALUE", help="Of a label's two values, the one that is true.")
@click.option("--id", "event_id", metavar="COLUMN", help="Column that identifies a row.")
@click.option("--time", "event_time", metavar="COLUMN", help="Column of the time of a row.")
@click.option(
    "--exclude", multiple=True, metavar="COLUMN", help="Column that no model sees. May be repeated."
)
@click.option(
    "--numeric",
    multiple=True,
    metavar="COLUMN",
    help="Read a column of text as numbers; what is none is missing. May be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N rows.")
@click.option(
    "--label-delay",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Send each label N events after its event, not inside it.",
)
@click.option("--embedded", is_flag=True, help="Run a worker, with an embedded broker.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Events per second, to measure a worker's latency. By default as fast as possible.",
)
@chain_option
@broker_option("Bootstrap servers of Kafka: run a worker there.")
@kafka_option
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
@pass_settings
def replay(
    settings: Settings,
    /,
    source: str,
    limit: int | None,
    label_delay: int,
    embedded: bool,
    rate: float | None,
    report: Path | None,
    keep: Path | None,
    **choices: Any,
) -> None:
    """Stream a table through a pipeline and report how it did.

    SOURCE is a CSV or Parquet file, or one of the data sets that come with River (Phishing,
    ImageSegments, TrumpApproval and others). Give a pipeline, or --label and --model to make one
    from the table: what follows from the table is shown first, with the option that changes it.

    The pipeline runs in this process, with the same results as in a worker. With --embedded,
    --chain or --broker it runs in a worker, in a process of its own, with Kafka between.
    """
    has_worker = embedded or settings.broker != EMBEDDED or "chain" in settings.model_fields_set
    _check_options(report, rate, has_worker)
    if settings.pipeline:
        load_pipeline(settings.pipeline)  # before the table, which may be large
    with TemporaryDirectory(prefix="millrace-") as scratch:
        subject = _subject(source, limit, settings.pipeline, choices, keep, Path(scratch))
        if has_worker:
            made = _through_worker(subject, settings, label_delay, rate)
        else:
            made = _in_memory(subject, label_delay)
    if report is not None:
        report.write_text(to_json(made, indent=2) + "\n")
    _print(made, subject.pipeline, settings)


class _Subject(NamedTuple):
    """A table, the pipeline that it is streamed through, and where that can be loaded from."""

    table: Source
    pipeline: Pipeline
    spec: str


def _subject(
    source: str,
    limit: int | None,
    pipeline: str,
    choices: dict[str, Any],
    keep: Path | None,
    scratch: Path,
) -> _Subject:
    """Read a table; load its pipeline, or make one, and show what was made of the table."""
    from millrace.streams.replay.description import print_inferred, print_notes
    from millrace.streams.replay.fitting import fitted
    from millrace.streams.replay.source import define, read_source  # imports pandas

    table = read_source(source, limit)
    given = [_OPTIONS[name] for name, value in choices.items() if value and name != "positive"]
    if pipeline and given:
        raise SettingsError(
            f"--pipeline has its own {', '.join(given)}: leave out one or the other"
        )
    spec = pipeline or ("" if given else table.shipped)
    if spec:
        if keep is not None:
            raise SettingsError("--keep must be used with --label and --model; got a pipeline")
        loaded = load_pipeline(spec)
        table, positive = fitted(table, loaded, choices["positive"])
        is_true = [f"{loaded.label} is true where it is {positive!r}."] if positive else []
        print_notes([*table.notes, *is_true], output())
        return _Subject(table, loaded, spec)
    try:
        found = define(table, **choices)
    except MillraceError:
        print_notes(table.notes, output())  # a column may have been left out, for example
        raise
    print_inferred(table, found, output())
    table = replace(table, frame=found.frame)
    return _Subject(table, found.pipeline, found.write_definition(keep or scratch))


def _check_options(report: Path | None, rate: float | None, has_worker: bool) -> None:
    if report is not None and not report.parent.is_dir():
        raise SettingsError(f"--report must be in a folder that exists; got {str(report)!r}")
    if rate is not None and not has_worker:
        raise SettingsError("--rate must be used with --embedded, --chain or --broker")


def _in_memory(subject: _Subject, label_delay: int) -> Report:
    from millrace.streams.replay.run import replay_in_memory

    table, pipeline, _ = subject
    with _progress("events", len(table.frame)) as (advance, _):
        return replay_in_memory(table, pipeline, label_delay, on_progress=advance)


def _through_worker(
    subject: _Subject, settings: Settings, label_delay: int, rate: float | None
) -> Report:
    from millrace.streams.replay.run import Pace, own_name, replay_through_worker

    source, pipeline, spec = subject
    if settings.broker != EMBEDDED and (pipeline.events or pipeline.labels):
        raise SettingsError(
            f"--broker must be left out where the pipeline reads topics of its own, which are not"
            f" in the table; got {settings.broker!r}. Use --embedded"
        )
    default = pipeline.name if settings.broker == EMBEDDED else own_name(pipeline)
    pipeline = pipeline.with_name(settings.pipeline_name or default)
    changes = {"pipeline": spec, "pipeline_name": pipeline.name}
    logs = {"log_level": "warning", "log_format": "json"}
    time = {"tick_seconds": 0}  # it passes by the rows alone
    with _progress("starting the worker", len(source.frame)) as (advance, rename):
        return replay_through_worker(
            source,
            pipeline,
            settings.model_copy(update=changes | logs | time),
            Pace(label_delay=label_delay, rate=rate),
            on_ready=lambda: rename("events"),
            on_progress=advance,
        )


def _print(report: Report, pipeline: Pipeline, settings: Settings) -> None:
    from millrace.streams.replay.summary import print_report

    console = output()
    print_report(report, pipeline, console)
    if settings.broker != EMBEDDED:
        console.print(f"The topics {report['pipeline']}.* remain on {settings.broker}.")


@contextmanager
def _progress(
    description: str, total: int
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """Show a bar; yield what advances and renames it."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=total)
        yield (
            lambda done: bar.update(task, completed=done),
            lambda text: bar.reset(task, description=text),
        )
