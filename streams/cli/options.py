"""Options that several commands share, and their way into the settings.

An option that is not given leaves its setting to the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import SettingsError
from millrace.streams.settings import EMBEDDED, Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[_Command], _Command]

pipeline_option: _Decorator[Any] = click.option(
    "--pipeline",
    "-p",
    metavar="SPEC",
    help="The pipeline: path/file.py or package.module, with :attribute if not `pipeline`.",
)
chain_option: _Decorator[Any] = click.option(
    "--chain",
    metavar="CHAIN",
    help="Which operators share an agent: default, full, split, or written out, for example"
    " ingest,feature+prediction+learning,drift.",
)


def broker_options(command: _Command) -> _Command:
    """Add --broker and --kafka."""
    broker = click.option(
        "--broker",
        "-b",
        metavar="HOST:PORT",
        help="Kafka's bootstrap servers; without it, a broker embedded in the process.",
    )
    kafka = click.option(
        "--kafka",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_properties,
        help="A librdkafka property for every client, for example security.protocol=SASL_SSL."
        " May be repeated.",
    )
    return broker(kafka(command))


def require_pipeline(settings: Settings, command: str) -> str:
    """Return the pipeline's spec.

    Raises
    ------
    SettingsError
        None was given.
    """
    if not settings.pipeline:
        raise SettingsError(
            f"`millrace {command}` requires a pipeline (--pipeline path/file.py or"
            " MILLRACE_PIPELINE); got none"
        )
    return settings.pipeline


def the_pipeline(settings: Settings, command: str) -> Pipeline:
    """Return the pipeline that the settings name, under the name that they give it.

    Raises
    ------
    SettingsError, DefinitionError
        None was given, or it is wrong.
    """
    pipeline = load_pipeline(require_pipeline(settings, command))
    return pipeline.with_name(settings.pipeline_name or pipeline.name)


def require_broker(settings: Settings, command: str) -> None:
    """Refuse the embedded broker, of which another process has nothing to give or to get.

    Raises
    ------
    SettingsError
        No broker was given.
    """
    if settings.broker == EMBEDDED:
        raise SettingsError(
            f"`millrace {command}` requires a broker (--broker host:port or MILLRACE_BROKER);"
            " got none"
        )


def _properties(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, str] | None:
    """Return what was given as `KEY=VALUE`, or None where nothing was."""
    pairs = [each.partition("=") for each in given]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter("requires KEY=VALUE, for example sasl.username=anna")
    return {key: value for key, _, value in pairs} or None
