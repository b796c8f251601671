"""`python -m tests.chaos`: run the proof and print what it found; exit code 1 if anything."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dev.java import KafkaUnavailableError
from dev.kafka import KafkaBroker, free_port
from tests.chaos.broken import KINDS as BROKEN
from tests.chaos.faults import KINDS
from tests.chaos.runner import Plan, Report, Run


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    plan = Plan(
        **{name: value for name, value in vars(options).items() if name != "kinds"},
        kinds=tuple(options.kinds.split(",")),
    )
    directory = Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
    broker = KafkaBroker(directory / "kafka", free_port())
    say = Console(highlight=False, width=110).print
    say(f"seed {plan.seed}, Kafka at {broker.bootstrap}, logs in {directory}")
    try:
        broker.start()
        report = Run(plan, directory, broker, say).run()
    except KafkaUnavailableError as error:
        say(str(error))
        return 2
    finally:
        broker.stop()
    show(report)
    return 0 if report.is_good else 1


def show(report: Report) -> None:
    """Print the report as tables, and what is wrong in full."""
    console = Console(highlight=False, width=110)
    harm = Table(title=f"Faults in {report.seconds:.0f} s", title_justify="left")
    harm.add_column("kind")
    harm.add_column("number", justify="right")
    for kind, count in sorted(report.faults.items()):
        harm.add_row(kind, str(count))
    harm.add_row("all", str(sum(report.faults.values())), style="bold")
    harm.add_row("of them into another's recovery", str(report.overlapping))
    console.print(harm)
    times = report.recoveries_seconds
    if times:
        console.print(
            f"Seconds from kill -9 to the first new prediction, in the last partition to have one:"
            f" minimum {min(times):.1f}, median {report.median_recovery_seconds:.1f},"
            f" maximum {max(times):.1f}, of {len(times)}"
            f" (must be under {report.plan.recovery_seconds:.0f})"
        )
    counts = Table(title="Counts", title_justify="left")
    counts.add_column("what")
    counts.add_column("number", justify="right")
    for what, count in sorted(report.findings.counts.items()):
        counts.add_row(what, f"{count:,}")
    console.print(counts)
    found = Table(title="Differences", title_justify="left")
    found.add_column("check")
    found.add_column("number", justify="right")
    for check, count in report.findings.differences.items():
        found.add_row(check, str(count))
    found.add_row("all", str(report.findings.total), style="bold")
    console.print(found)
    for line in [*report.problems, *report.findings.lines]:
        console.print(line, markup=False, soft_wrap=True)
    number = f"{sum(report.faults.values())} faults, seed {report.plan.seed}"
    verdict = "the same as an undisturbed run" if report.is_good else "NOT AS IT SHOULD BE"
    console.print(f"{number}: {verdict}", style="bold green" if report.is_good else "bold red")


def _arguments() -> argparse.Namespace:
    default = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--faults", type=int, default=default.faults)
    parser.add_argument("--minutes", type=float, default=default.minutes, help="upper limit")
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--events-per-second", type=float, default=default.events_per_second)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of faults: a round of them")
    parser.add_argument("--scope", choices=("partition", "key"), default=default.scope)
    parser.add_argument("--chain", default=default.chain)
    parser.add_argument("--broken", choices=BROKEN, default="")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
