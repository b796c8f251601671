"""The command line: one module per command, and here what they share.

A new command is a module with a function of its name, and an entry in `SECTIONS`. The module is
imported when the command runs, and itself imports River, pandas and Faust when it needs them, so
that `--help` and errors in the arguments are fast.

An error that Millrace raises on purpose is one line on standard error, and the exit code is 2.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from millrace.schemas.errors import MillraceError
from millrace.streams.control.commands import COMMANDS as OF_THE_LOG
from millrace.streams.escaping import printable
from millrace.streams.hashes import fix_hashes
from millrace.streams.redaction import redact, redact_tracebacks

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # as the shell has it for a program that SIGPIPE ends

_WITH_MODULES = frozenset({"deploy", "restore", "skip", "snapshot"})

ASKED = {
    name: spec.does
    for name, spec in OF_THE_LOG.items()
    if name not in _WITH_MODULES and not spec.is_routine
}
"""The commands of the log that need no module of their own."""

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Commands": {
        "demo": "See it work: a live stream with a drift in it.",
        "replay": "Stream a table through a pipeline and report how it did.",
        "check": "Check a pipeline file and print what it describes.",
        "worker": "Run a pipeline until SIGTERM or Ctrl-C.",
        "produce": "Send events or labels, one JSON object per line.",
        "consume": "Print a topic, one JSON object per line.",
        "serve": "Send events and labels, and see predictions and models, over HTTP.",
        "docs": "Describe a pipeline's topics: AsyncAPI, and a page for people.",
        "card": "Print the model card of a pipeline: purpose, evidence, limits, history.",
        "schemas": "List the Avro schemas of all records, or write them as .avsc files.",
    },
    "Operate": {
        "topics": "List a pipeline's topics on a broker, or create them.",
        "token": "Make a token for `millrace serve`.",
        "models": "Show every candidate, and whether another one should serve.",
        "state": "Show what the saved models have learned.",
        "audit": "Show who changed what a pipeline does, or check that the trail is whole.",
        "snapshot": OF_THE_LOG["snapshot"].does,
        "restore": OF_THE_LOG["restore"].does,
        "versions": "Show which versions of the state are in the archive.",
        "reproduce": "Make the prediction of an event again, from the log alone.",
        "deploy": "Put a changed definition in force, on running workers.",
        "definitions": "Show which definitions were in force, or compare two.",
        **ASKED,
        "skip": OF_THE_LOG["skip"].does,
    },
}
"""Heading to command to what it does, in the order of the help."""

RUN_MODELS = frozenset({"check", "deploy", "replay", "reproduce", "state", "worker"})
"""The commands in whose processes models run."""

COMMANDS = [name for section in SECTIONS.values() for name in section]

EPILOG = """\b
Examples:
  millrace demo
  millrace replay data.csv --label y --model hoeffding_tree
  millrace check pipeline.py
  millrace worker --pipeline pipeline.py --broker localhost:9092
  millrace produce --pipeline pipeline.py --broker localhost:9092 events.jsonl
  millrace consume loans.predictions --broker localhost:9092 --follow

Options that several commands share can also be set in the environment: MILLRACE_PIPELINE,
MILLRACE_BROKER and so on."""


class _Commands(click.Group):
    """Commands in the order of `SECTIONS`, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        return COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in ASKED:
            from millrace.streams.cli.asking import command_of

            return command_of(cmd_name)
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([*commands.items()])

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments; --help prints here."""
        with _quiet_if_unread():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        with _quiet_if_unread():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@contextmanager
def _quiet_if_unread() -> Iterator[None]:
    """End without a complaint where nobody reads standard output any more."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last flush
        raise click.exceptions.Exit(EXIT_BROKEN_PIPE) from None


@click.group(
    cls=_Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="millrace", prog_name="millrace", message="%(prog)s %(version)s")
def cli() -> None:
    """Online machine learning on Kafka.

    Events come in on one topic, predictions go out on another, and River models learn from every
    label as it arrives.
    """


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:2] and sys.argv[1] in RUN_MODELS:
        fix_hashes()
    redact_tracebacks()
    for stream in (sys.stdout, sys.stderr):  # data may have what the terminal's encoding has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    It is 0 for success, 2 for an error that the user can correct, 130 after Ctrl-C, and 141 where
    nobody reads the output any more.
    """
    # librdkafka logs for the worker; a command reports an error that follows from it.
    logging.getLogger("librdkafka").addHandler(logging.NullHandler())
    try:
        code = cli.main([*arguments], prog_name="millrace", standalone_mode=False)
    except MillraceError as error:
        _complain(f"Error: {' '.join(str(error).split())}")
        return EXIT_ERROR
    except click.ClickException as error:
        _complain(_shown(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _complain(message: str) -> None:
    """Print an error: without secrets, and with what its data has written out."""
    click.echo(printable(redact(message)), err=True)


def _shown(error: click.ClickException) -> str:
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip()
