"""Options that are settings, and their way to a command.

An option has its setting's description and default. What is not given as an option comes from the
environment. A command takes all settings as one object::

    @click.command()
    @pipeline_option
    @running_broker
    @pass_settings
    def topics(settings: Settings) -> None: ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import click

from millrace.schemas import SettingsError
from millrace.streams.environment import read_environment
from millrace.streams.settings import EMBEDDED, Settings, read_settings

P = ParamSpec("P")
R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., object])


class Decorator(Protocol):
    """Adds an option to a command."""

    def __call__(self, command: Command, /) -> Command: ...


def setting(
    name: str, *flags: str, metavar: str = "", choices: Iterable[str] = (), help: str = ""
) -> Decorator:
    """Return an option for a setting.

    Parameters
    ----------
    name
        The setting.
    flags
        What the user types; by default the name.
    metavar
        What the help calls the value.
    choices
        The values that there are.
    help
        By default the setting's description, and its default.
    """
    field = Settings.model_fields[name]
    default = f" [default: {field.default}]" if field.default else ""
    return click.option(
        *(flags or [f"--{name.replace('_', '-')}"]),
        name,
        type=click.Choice([*map(str, choices)]) if choices else str,
        metavar=metavar or None,
        help=help or f"{field.description}{default}",
        expose_value=False,
        callback=_keep,
    )


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Keep the value for `pass_settings`."""
    context.ensure_object(dict)[option.name] = value


pipeline_option = setting("pipeline", "--pipeline", "-p", metavar="SPEC")
chain_option = setting("chain", metavar="CHAIN")


def broker_option(help: str = "") -> Decorator:
    """Return --broker."""
    return setting("broker", "--broker", "-b", metavar="HOST:PORT", help=help)


def kafka_option(command: Command) -> Command:
    """Add --kafka."""
    return click.option(
        "--kafka",
        metavar="KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=_keep_properties,
        help="librdkafka property for every client, for example security.protocol=SASL_SSL. May be"
        " repeated.",
    )(command)


def running_broker(command: Command) -> Command:
    """Add --broker and --kafka, for a command that reads or writes what a worker has there."""
    return broker_option("Bootstrap servers of Kafka.")(kafka_option(command))


def _keep_properties(context: click.Context, option: click.Parameter, given: Sequence[str]) -> None:
    pairs = [each.partition("=") for each in given]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter("must be KEY=VALUE, for example sasl.username=anna")
    context.ensure_object(dict)[option.name] = {key: value for key, _, value in pairs} or None


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings to a command, as its first argument."""
    return pass_settings_or()(command)


def pass_settings_or(
    **otherwise: str,
) -> Callable[[Callable[Concatenate[Settings, P], R]], Callable[P, R]]:
    """Pass the settings to a command, some of which are `otherwise` where nobody has set them."""

    def decorate(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
        @wraps(command)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = dict(click.get_current_context().ensure_object(dict))
            properties = given.pop("kafka", None)
            is_set = {*read_environment([*otherwise], os.environ)}
            given = {name: each for name, each in otherwise.items() if name not in is_set} | given
            settings = read_settings(**given)
            if properties:  # beside those of the environment, which may have the secrets
                settings = read_settings(**given, kafka={**settings.kafka, **properties})
            return command(settings, *args, **kwargs)

        return call

    return decorate


def require_broker(settings: Settings) -> None:
    """Refuse the embedded broker, which belongs to another process and is empty.

    Raises
    ------
    SettingsError
        No other broker is set.
    """
    if settings.broker == EMBEDDED:
        raise SettingsError(
            "broker must be the address of a running broker; got none. Add --broker host:port, or"
            " set MILLRACE_BROKER"
        )
