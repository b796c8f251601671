"""The commands that change a running pipeline: one for each entry of `streams.control.commands`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import click

from millrace.schemas import BrokerError
from millrace.streams.cli.console import output, progress_bar
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.control.commands import COMMANDS, CommandSpec
from millrace.streams.escaping import printable
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.who import user_name

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline
    from millrace.streams.kafka.commands import Request
    from millrace.streams.tools.asking import Answer

_WAIT_SECONDS = 30.0

Check: TypeAlias = Callable[[Settings, "Pipeline", Mapping[str, str]], object]
"""Raises an error where arguments are wrong: given settings, the definition, and them."""

waiting_options = (
    click.option(
        "--wait",
        "wait_seconds",
        type=click.FloatRange(min=0),
        default=_WAIT_SECONDS,
        metavar="SECONDS",
        help=f"How long to wait for every partition. [default: {_WAIT_SECONDS:.0f}]",
    ),
    click.option("--who", default="", help="Who asks. [default: your user name]"),
)
asking_options = (
    *waiting_options,
    click.option("--reason", "why", required=True, help="Why; it is kept in the audit."),
)
"""The options of every command that asks something of a running pipeline."""


def command_of(
    name: str,
    check: Check = lambda *_: None,
    then: Callable[[Settings, str, Answer, float], object] = lambda *_: None,
) -> click.Command:
    """Return the command of the command line that asks for a command of the log.

    Parameters
    ----------
    name
        Of both.
    check
        Refuses arguments before anything is sent.
    then
        Does what is left to do: given settings, the prefix, the answer, and how long to wait.
    """
    spec = COMMANDS[name]
    command = pass_settings(_asking(name, check, then))
    for option in (*asking_options, running_broker, pipeline_option):
        command = option(command)
    for argument in reversed([*spec.arguments]):
        command = click.argument(argument)(command)
    return click.command(name, help=_help(spec))(command)


def asked(settings: Settings, prefix: str, request: Request, wait_seconds: float) -> Answer:
    """Send a command, wait until each partition has applied it, and print what each did.

    Raises
    ------
    CommandError
        It is refused.
    BrokerError
        It has not been applied in time.
    """
    from millrace.streams.kafka.registry import read_outputs
    from millrace.streams.tools.asking import ask

    with progress_bar() as bar:
        task = bar.add_task(f"waiting for {request.command} to be applied", total=None)

        def show(answer: Answer) -> None:
            bar.update(task, total=answer.partitions, completed=len(answer.effects))

        answer = ask(
            KafkaClients(settings),
            prefix,
            request,
            key=settings.command_key.get_secret_value().encode(),
            wait_seconds=wait_seconds,
            progress=show,
            outputs=read_outputs(settings),
        )
    _report(answer, request.command, wait_seconds)
    return answer


def _asking(name: str, check: Check, then):  # type: ignore[no-untyped-def]  # click passes what the spec says
    def call(settings: Settings, wait_seconds: float, who: str, why: str, **arguments: str) -> None:
        require_broker(settings)
        from millrace.streams.kafka.commands import Request
        from millrace.streams.topology.topics import topic_prefix

        request = Request(
            id=str(uuid.uuid4()),
            command=name,
            arguments=arguments,
            who=who or user_name(),
            why=why,
        )
        pipeline = settings.load_pipeline()
        check(settings, pipeline, arguments)
        prefix = topic_prefix(pipeline)
        then(settings, prefix, asked(settings, prefix, request, wait_seconds), wait_seconds)

    return call


def _report(answer: Answer, name: str, wait_seconds: float) -> None:
    """Print what has become of a command.

    Raises
    ------
    BrokerError
        It has not been applied in time.
    """
    for partition, effects in sorted(answer.effects.items()):
        for each in effects:
            change = "" if each["after"] is None else f": {each['before']} -> {each['after']}"
            line = f"partition {partition}: {each['subject']} {each['action']}{change}"
            output().print(printable(line), highlight=False)
    if answer.is_complete or not wait_seconds:
        return
    later = f"It is in the log: {name} will be applied when they run"
    if answer.partitions is None:
        raise BrokerError(f"no worker accepted the command within {wait_seconds:.0f} s. {later}")
    raise BrokerError(
        f"partitions {answer.missing} have not applied the command within {wait_seconds:.0f} s."
        f" {later}"
    )


def _help(spec: CommandSpec) -> str:
    """Return the text of --help."""
    named = "".join(f"\n\n{name.upper()} is {meaning}." for name, meaning in spec.arguments.items())
    applied = (
        "and each partition applies it at its place among events and labels."
        if spec.operators
        else "and workers know it before they fold anything."
    )
    return f"{spec.does}{named}\n\nThe command goes to the topic `commands`, {applied}"
