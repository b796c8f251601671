"""Options that several commands share, and their way into the settings.

An option that is not given leaves its setting to the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from millrace.schemas import SettingsError
from millrace.streams.settings import EMBEDDED, Settings

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline

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
            f"`millrace {command}` needs a pipeline: --pipeline path/file.py or MILLRACE_PIPELINE"
        )
    return settings.pipeline


def the_pipeline(settings: Settings, command: str) -> Pipeline:
    """Return the pipeline that the settings name, under the name that they give it.

    Raises
    ------
    SettingsError, DefinitionError
        None was given, or it is wrong.
    """
    spec = require_pipeline(settings, command)
    from millrace.models.pipeline.loading import load_pipeline  # imports River: a second

    pipeline = load_pipeline(spec)
    return pipeline.with_name(settings.pipeline_name or pipeline.name)


def require_broker(settings: Settings, command: str) -> None:
    """Refuse the embedded broker, which belongs to another process and is empty.

    Raises
    ------
    SettingsError
        No broker was given.
    """
    if settings.broker == EMBEDDED:
        raise SettingsError(
            f"`millrace {command}` needs a broker: --broker host:port or MILLRACE_BROKER"
        )


def _properties(
    _context: click.Context, _option: click.Parameter, given: Sequence[str]
) -> dict[str, str] | None:
    """Return what was given as `KEY=VALUE`, or None where nothing was."""
    pairs = [each.partition("=") for each in given]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter("must be KEY=VALUE, for example sasl.username=anna")
    return {key: value for key, _, value in pairs} or None
