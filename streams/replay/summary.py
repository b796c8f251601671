"""A replay's report, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.served import Served
from millrace.streams.replay.report import IN_MEMORY, Report, beaten_by
from millrace.streams.topology.chain import parse_chain

_MOST_REASONS = 5


def print_report(report: Report, pipeline: Pipeline, console: Console) -> None:
    """Print the metrics of the candidates, the counts, and warnings."""
    heading = f"{report['pipeline']} ({report['task']}), prequential over all examples"
    console.print(heading, style="bold")
    console.print(_quality(report, pipeline))
    for line in _facts(report, pipeline):
        console.print(line, soft_wrap=True)
    for warning in _warnings(report, pipeline):
        console.print(f"Warning: {warning}", style="yellow", soft_wrap=True)


def _quality(report: Report, pipeline: Pipeline) -> Table:
    """Return the candidates and baselines as rows, the champion first, metrics as columns."""
    by_candidate, champions = report["metrics"], report["served"]["champions"]
    champion = champions[-1]["name"] if champions else pipeline.champion
    metrics = [*dict.fromkeys(name for each in by_candidate.values() for name in each)]
    partitions = report["metrics_combined_from_partitions"]
    table = Table(
        caption=f"means over {partitions} partitions, weighted by examples"
        if partitions > 1
        else None
    )
    table.add_column("model")
    for name in metrics:
        table.add_column(name, justify="right")
    first = [name for name in pipeline.models if name in by_candidate]
    for name in [*first, *(each for each in by_candidate if each not in first)]:
        role = " (champion)" if name == champion else ""
        role = " (baseline)" if name not in pipeline.models else role
        values = [_number(by_candidate[name].get(metric)) for metric in metrics]
        table.add_row(name + role, *values, style=None if name in pipeline.models else "dim")
    return table


def _served(served: Served, pipeline: Pipeline) -> Iterator[str]:
    """Yield what promotion gained, if there was one."""
    if len(served["champions"]) < 2:
        return
    order = ", then ".join(f"{e['name']} for {e['labels']:,} labels" for e in served["champions"])
    yield f"served: {order}"
    alone = [
        f"{_number(loss)} with {name} alone"
        for name, loss in served["candidates"].items()
        if name in pipeline.models
    ]
    yield f"mean {served['metric']}: {_number(served['loss'])} as served, {', '.join(alone)}"


def _facts(report: Report, pipeline: Pipeline) -> Iterator[str]:
    rejects = report["rejects"]
    yield (
        f"{report['events']:,} events: {report['predictions']:,} predicted,"
        f" {report['rejected']:,} rejected{_reasons(rejects['event'])}"
    )
    yield (
        f"{report['labels']:,} labels: {report['learned']:,} learned,"
        f" {sum(rejects['label'].values()):,} rejected{_reasons(rejects['label'])}"
    )
    for reason, detail in report["first_rejects"].items():
        yield f"  the first {reason}: {detail}"
    alerts = "1 alert" if report["alerts"] == 1 else f"{report['alerts']:,} alerts"
    yield f"{alerts}{_reasons(report['alerts_by_source'])}"
    yield from _served(report["served"], pipeline)
    ran = report["chain"] if report["chain"] == IN_MEMORY else f"chain {report['chain']}"
    yield (
        f"{report['throughput_events_per_second'] or 0:,.0f} events/s in {report['seconds']:.1f} s"
        f" ({ran}, scope {report['scope']})"
    )
    median, worst = report["latency_seconds"]["p50"], report["latency_seconds"]["p99"]
    if median is not None and worst is not None:
        yield (
            f"latency {median * 1000:,.0f} ms (median), {worst * 1000:,.0f} ms (99th percentile):"
            " from produced to predicted, including the time in the queue"
        )


def _warnings(report: Report, pipeline: Pipeline) -> Iterator[str]:
    without = [name for name, metrics in report["metrics"].items() if not metrics]
    if without and report["learned"]:
        yield f"{', '.join(without)} made no prediction that could be evaluated{_why(report)}."
    beaten = beaten_by(report, pipeline)
    if beaten is not None:
        yield f"{beaten}."


def _why(report: Report) -> str:
    if report["chain"] == IN_MEMORY or any(
        "prediction" in each and "learning" in each for each in parse_chain(report["chain"])
    ):
        return ""
    return (
        ": in this chain, prediction uses the models that learning publishes every second"
        " (MILLRACE_PUBLISH_SECONDS). Replay more slowly, with --rate"
    )


def _reasons(counts: dict[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: -item[1])[:_MOST_REASONS]
    return f" ({', '.join(f'{name} {count:,}' for name, count in largest)})" if counts else ""


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if 0 < abs(value) < 0.001 else f"{value:,.4f}"
