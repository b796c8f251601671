"""`millrace worker`: run a pipeline until SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread
from typing import get_args

import click

from millrace.streams.cli.options import (
    broker_option,
    chain_option,
    kafka_option,
    pass_settings,
    pipeline_option,
    setting,
)
from millrace.streams.formats import FORMATS
from millrace.streams.settings import Deploy, Guarantee, LogFormat, LogLevel, Settings

_EXAMPLES = """\b
Examples:
  millrace worker --pipeline pipeline.py --broker localhost:9092
  millrace worker -p shop.fraud:pipeline -b kafka-1:9093 \\
      --kafka security.protocol=SASL_SSL --kafka sasl.mechanisms=PLAIN
  millrace worker -p pipeline.py -b kafka-1:9092 --processes 4

Every other setting is an environment variable, for example MILLRACE_FLUSH_SECONDS. Set secrets
there, too: other users can read the options of a command."""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@broker_option()
@kafka_option
@chain_option
@setting("processing_guarantee", "--guarantee", choices=Guarantee)
@setting("outputs", choices=FORMATS)
@setting("partitions", metavar="N")
@setting("processes", metavar="N")
@setting("deploy", choices=Deploy)
@setting("web_host", metavar="HOST")
@setting("web_port", metavar="PORT")
@setting("log_level", choices=get_args(LogLevel))
@setting("log_format", choices=get_args(LogFormat))
@click.option("--stop-with-stdin", "is_child", is_flag=True, hidden=True)
@click.option("--fold", type=(int, int, int), hidden=True)
@pass_settings
def worker(settings: Settings, is_child: bool, fold: tuple[int, int, int] | None) -> int:
    """Run a pipeline until SIGTERM or Ctrl-C.

    Creates the pipeline's topics if they are missing, and serves /metrics, /livez, /readyz and
    /healthz. The pipeline runs in a process of its own, which is restarted if it ends; --processes
    starts several. Workers share the partitions: start as many as there are, on any number of
    machines.

    A worker that is stopped commits what it has processed and saves its state, so that another one
    takes over at once.
    """
    if is_child:
        Thread(target=stop_with_stdin, daemon=True).start()
    settings.require_pipeline()
    if fold is not None:
        from millrace.streams.worker.fold import run_fold

        return run_fold(settings, *fold)
    from millrace.streams.worker.supervisor import run_worker

    return run_worker(settings)


def stop_with_stdin() -> None:
    """Stop when standard input ends: the process that started this one has ended."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
