"""`millrace replay`: a file of rows as a stream, and a report of how a pipeline did on it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import SettingsError
from millrace.streams.cli.options import broker_options, chain_option, pipeline_option
from millrace.streams.replay.report import Report, beaten_by
from millrace.streams.replay.run import Pace, own_name
from millrace.streams.replay.run import replay as run_replay
from millrace.streams.replay.source import Source, define, read_source
from millrace.streams.settings import EMBEDDED, Settings, read_settings
from millrace.streams.topology.topics import topic_prefix

_WIDTH = 110
_EXAMPLES = """\b
Examples:
  millrace replay Phishing
  millrace replay data.csv --label y --model hoeffding_tree --keep my_pipeline
  millrace replay data.parquet --pipeline pipeline.py --label-delay 500
  millrace replay Phishing --chain full --report report.json

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
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Events per second, to see the latency of a quiet stream; else as fast as it goes.",
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
    rate: float | None,
    report: Path | None,
    keep: Path | None,
    **given: Any,
) -> None:
    """Stream a table through a pipeline and report how it did.

    SOURCE is a CSV or Parquet file, or one of the data sets that come with River (Phishing,
    ImageSegments, TrumpApproval and others). A real worker runs in a process of its own, with
    Kafka between: one embedded here, or the one of --broker.
    """
    if report is not None and not report.parent.is_dir():
        raise SettingsError(f"--report requires a folder that exists; got {str(report)!r}")
    settings = read_settings(**given, log_level="warning", log_format="json")
    table = read_source(source)
    with TemporaryDirectory(prefix="millrace-") as scratch:
        spec = define(
            table,
            keep or Path(scratch),
            pipeline=settings.pipeline or None,
            label=label,
            model=model,
            task=task,
        )
        if keep is not None and not spec.startswith(str(keep)):
            raise SettingsError("--keep requires --label and --model: there is nothing to keep")
        pipeline = load_pipeline(spec)
        usual = pipeline.name if settings.broker == EMBEDDED else own_name(pipeline)
        pipeline = pipeline.with_name(settings.pipeline_name or usual)
        settings = settings.model_copy(update={"pipeline": spec, "pipeline_name": pipeline.name})
        pace = Pace(label_delay=label_delay, rate=rate)
        made = _with_progress(table.head(limit), pipeline, settings, pace)
    if report is not None:
        report.write_text(json.dumps(made, indent=2) + "\n")
    _print(made, pipeline, settings)


def _with_progress(source: Source, pipeline: Pipeline, settings: Settings, pace: Pace) -> Report:
    """Run the replay, with a bar on standard error where that is a terminal."""
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
        task = bar.add_task("starting the worker", total=len(source.frame))
        return run_replay(
            source,
            pipeline,
            settings,
            pace,
            on_ready=lambda: bar.reset(task, description="events"),
            on_progress=lambda done: bar.update(task, completed=done),
        )


def _print(report: Report, pipeline: Pipeline, settings: Settings) -> None:
    """Print the report for people."""
    console = Console(highlight=False, width=None if Console().is_terminal else _WIDTH)
    heading = f"{report['pipeline']} ({report['task']}), prequential over all examples"
    console.print(heading, style="bold")
    console.print(_quality(report, pipeline))
    for line in _facts(report):
        console.print(line, soft_wrap=True)
    silent = [name for name, metrics in report["metrics"].items() if not metrics]
    if silent and report["learned"]:
        console.print(_why_silent(silent, settings), style="yellow", soft_wrap=True)
    beaten = beaten_by(report, pipeline)
    if beaten is not None:
        console.print(f"Beware: {beaten}. It is not worth serving yet.", style="yellow")
    if settings.broker != EMBEDDED:
        console.print(f"The topics {topic_prefix(pipeline)}* are left on {settings.broker}.")


def _why_silent(silent: list[str], settings: Settings) -> str:
    said = f"Beware: {', '.join(silent)} had nothing to say of any event"
    if any("prediction" in each and "learning" in each for each in settings.agents):
        return f"{said}."
    return (
        f"{said}: prediction follows the models that learning publishes every"
        f" {settings.publish_seconds:g} s (MILLRACE_PUBLISH_SECONDS). Play it slower: --rate."
    )


def _quality(report: Report, pipeline: Pipeline) -> Table:
    """Return the candidates and baselines as rows, the champion first, metrics as columns."""
    by_candidate = report["metrics"]
    metrics = [*dict.fromkeys(name for each in by_candidate.values() for name in each)]
    partitions = report["metrics_combined_from_partitions"]
    table = Table(
        caption=f"means over {partitions} partitions, by examples" if partitions > 1 else None
    )
    table.add_column("model")
    for name in metrics:
        table.add_column(name, justify="right")
    first = [name for name in pipeline.models if name in by_candidate]
    for name in [*first, *(each for each in by_candidate if each not in first)]:
        role = " (champion)" if name == pipeline.champion else ""
        role = " (baseline)" if name not in pipeline.models else role
        values = [_number(by_candidate[name].get(metric)) for metric in metrics]
        table.add_row(name + role, *values, style=None if name in pipeline.models else "dim")
    return table


def _facts(report: Report) -> list[str]:
    latency, rejects = report["latency_seconds"], report["rejects"]
    facts = [
        f"{report['events']:,} events: {report['predictions']:,} predicted,"
        f" {report['rejected']:,} rejected{_reasons(rejects['event'])}",
        f"{report['labels']:,} labels: {report['learned']:,} learned,"
        f" {sum(rejects['label'].values()):,} rejected{_reasons(rejects['label'])}",
        f"{report['alerts']:,} drift alerts{_reasons(report['alerts_by_source'])}",
        f"{report['throughput_events_per_second']:,.0f} events/s in {report['seconds']:.1f} s"
        f" (chain {report['chain']}, scope {report['scope']})",
    ]
    if latency["p50"] is not None:
        facts.append(
            f"latency {latency['p50'] * 1000:,.0f} ms (median), {latency['p99'] * 1000:,.0f} ms"
            " (99th percentile): from produced to predicted, time in the queue included"
        )
    return facts


def _reasons(counts: dict[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: -item[1])[:5]
    return f" ({', '.join(f'{name} {count:,}' for name, count in largest)})" if counts else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}"
