"""`millrace worker`: run a pipeline's agents until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread
from typing import Any

import click

from millrace.streams.cli.options import (
    broker_options,
    chain_option,
    pipeline_option,
    require_pipeline,
)
from millrace.streams.settings import Guarantee, read_settings
from millrace.streams.worker.run import run_worker
from millrace.streams.worker.supervisor import run_workers

_EXAMPLES = """\b
Examples:
  millrace worker --pipeline pipeline.py --broker localhost:9092
  millrace worker -p shop.fraud:pipeline -b kafka-1:9093 \\
      --kafka security.protocol=SASL_SSL --kafka sasl.mechanisms=PLAIN
  millrace worker -p pipeline.py -b kafka-1:9092 --processes 4

/metrics, /healthz and /readyz are on --web-host and --web-port, those of further processes on
the ports that follow. Every other setting is an
environment variable, MILLRACE_FLUSH_SECONDS for example. Secrets belong there, too."""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@broker_options
@chain_option
@click.option(
    "--guarantee",
    "processing_guarantee",
    type=click.Choice([each.value for each in Guarantee]),
    help="What a crash may do to outputs. [default: exactly_once]",
)
@click.option("--outputs", type=click.Choice(["avro", "json"]), help="Form of the public topics.")
@click.option("--partitions", type=int, help="Of topics that do not exist yet. [default: 4]")
@click.option(
    "--processes",
    type=int,
    help="Workers to run here, each a process that is kept going. [default: 1]",
)
@click.option("--web-host", help="[default: 127.0.0.1]")
@click.option("--web-port", type=int, help="Of the first process. [default: 6066]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@click.option("--stop-with-stdin", "is_child", is_flag=True, hidden=True)
@click.option("--process", type=int, hidden=True)
def worker(is_child: bool, process: int | None, **given: Any) -> int:
    """Run a pipeline until it is told to stop.

    Creates the pipeline's topics where they are missing. Start as many workers as there are
    partitions, on any number of machines: they share the work. --processes starts several here,
    and starts those that die again. SIGTERM and Ctrl-C stop one in order: what it has begun is
    committed, its state is saved, and another takes over at once.
    """
    if is_child:
        Thread(target=stop_with_stdin, daemon=True).start()
    settings = read_settings(**given)
    require_pipeline(settings, "worker")
    return run_workers(settings) if settings.processes > 1 else run_worker(settings, process)


def stop_with_stdin() -> None:
    """Stop when standard input ends, as it does when whoever started this process is gone."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
