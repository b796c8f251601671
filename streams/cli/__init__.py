"""The command line: one module per command, and here what they share.

A command's module is imported when the command runs, so that `--help` does not wait for River
and Faust. Whatever Millrace raises on purpose is one line on standard error and exit code 2.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import click

from millrace.schemas.errors import MillraceError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

COMMANDS = {
    "demo": "See it work: a live stream with a drift in it. Nothing to install or start.",
    "replay": "Stream a file of rows through a pipeline and report how it did.",
    "check": "Check a pipeline file and print what it describes.",
    "topics": "List a pipeline's topics on a broker, or create them.",
    "worker": "Run a pipeline until it is told to stop.",
    "produce": "Send events or labels, one JSON object per line.",
    "consume": "Print a topic, one JSON object per line.",
    "state": "Show what the saved models have learned, and their digests.",
    "reproduce": "Make a prediction again from the log, and compare.",
}

EPILOG = """\b
Examples:
  millrace demo
  millrace replay data.csv --label y --model hoeffding_tree
  millrace check pipeline.py
  millrace worker --pipeline pipeline.py --broker localhost:9092
  millrace produce --pipeline pipeline.py --broker localhost:9092 events.jsonl
  millrace consume loans.predictions --broker localhost:9092 --follow

Options may also come from the environment: MILLRACE_BROKER, MILLRACE_PIPELINE and so on."""


class _Commands(click.Group):
    """Commands in the order in which one needs them, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        return [name for name in COMMANDS if _is_there(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(
            importlib.import_module(f"millrace.streams.cli.{cmd_name}"), cmd_name
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(
    cls=_Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="millrace", prog_name="millrace", message="%(prog)s %(version)s")
def cli() -> None:
    """Online machine learning on Kafka.

    Events come in on a topic, predictions go out on another, and River models learn from
    every label as it arrives.
    """


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    0 is success, 2 an error that the user can see the cause of, 130 an interruption.
    """
    # What librdkafka has to say is the worker's to log; a command says what it leads to.
    logging.getLogger("librdkafka").addHandler(logging.NullHandler())
    try:
        code = cli.main([*arguments], prog_name="millrace", standalone_mode=False)
    except MillraceError as error:
        return _say(" ".join(str(error).split()))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _say(message: str) -> int:
    click.echo(f"Error: {message}", err=True)
    return EXIT_ERROR


def _is_there(command: str) -> bool:
    return find_spec(f"millrace.streams.cli.{command}") is not None
