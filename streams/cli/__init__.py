"""The command line: one module per command, and here what they share.

A new command is a module with a function of its name, and an entry in `SECTIONS`. The module is
imported when the command runs, and itself imports River, pandas and Faust when it needs them, so
that `--help` and errors in the arguments are fast.

An error that Millrace raises on purpose is one line on standard error, and the exit code is 2.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Mapping, Sequence

import click

from millrace.schemas.errors import MillraceError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Commands": {
        "demo": "See it work: a live stream with a drift in it.",
        "replay": "Stream a table through a pipeline and report how it did.",
        "check": "Check a pipeline file and print what it describes.",
        "worker": "Run a pipeline until SIGTERM or Ctrl-C.",
        "produce": "Send events or labels, one JSON object per line.",
        "consume": "Print a topic, one JSON object per line.",
    },
    "Operate": {
        "topics": "List a pipeline's topics on a broker, or create them.",
        "state": "Show what the saved models have learned.",
        "reproduce": "Make the prediction of an event again, from the log alone.",
    },
}
"""Heading to command to what it does, in the order of the help."""

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
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([*commands.items()])


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
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    It is 0 for success, 2 for an error that the user can correct, and 130 after Ctrl-C.
    """
    # librdkafka logs for the worker; a command reports an error that follows from it.
    logging.getLogger("librdkafka").addHandler(logging.NullHandler())
    try:
        code = cli.main([*arguments], prog_name="millrace", standalone_mode=False)
    except MillraceError as error:
        click.echo(f"Error: {' '.join(str(error).split())}", err=True)
        return EXIT_ERROR
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0
