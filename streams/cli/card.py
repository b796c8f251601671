"""`millrace card`: what a pipeline is for, how well it does, and what is not known of it."""

from __future__ import annotations

import re
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.schemas import MillraceError
from millrace.streams.cli.options import pass_settings, require_broker, running_broker, setting
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings

if TYPE_CHECKING:
    from millrace.models.identity.definition import Description

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FORMATS = ("markdown", "html")
_EXAMPLES = """\b
Examples:
  millrace card --pipeline loans --broker localhost:9092 > card.md
  millrace card -p pipeline.py -b localhost:9092 --format html --output card.html"""


@click.command(epilog=_EXAMPLES)
@setting(
    "pipeline",
    "--pipeline",
    "-p",
    metavar="NAME|SPEC",
    help="Name of a pipeline that was deployed, or where its definition is, as elsewhere.",
)
@running_broker
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="[default: by the name of the output; else markdown]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the card to this file.",
)
@pass_settings
def card(settings: Settings, form: str | None, output: Path | None) -> None:
    """Print the model card of a pipeline: purpose, evidence, limits, history.

    It is made from the topics when it is asked for: purpose and data contract from the definition
    in force, the candidates with intervals from `evaluations`, limits and history from those,
    `outcomes`, `alerts` and `audit`. What the events are, the `doc` of their schema says.

    With a NAME, none of the pipeline's code is run. Definitions are signed: set MILLRACE_STATE_KEY
    as for the workers. With a file, and without that key, the file stands for the definition.

    The HTML is one file without a script, which loads nothing from elsewhere.
    """
    require_broker(settings)
    with redirect_stdout(sys.stderr):  # the file's own prints
        name, own = _pipeline(settings)
        told = _card(settings, name, own, form or _form_of(output))
    if output is None:
        click.echo(told, nl=False)
        return
    try:
        output.write_text(told, encoding="utf-8")
    except OSError as error:
        raise MillraceError(
            f"--output must be a file that can be written; got {str(output)!r}: {error.strerror}"
        ) from error


def _pipeline(settings: Settings) -> tuple[str, Description | None]:
    """Return the name of the pipeline, and what its file says, where one is given."""
    given = settings.pipeline or settings.pipeline_name
    if _NAME.fullmatch(given) and not Path(given).exists():
        return settings.pipeline_name or given, None
    from millrace.models.identity.definition import describe

    pipeline = settings.load_pipeline()
    return pipeline.name, describe(pipeline)


def _card(settings: Settings, name: str, own: Description | None, form: str) -> str:
    from millrace.streams.docs.card import card as card_of
    from millrace.streams.docs.card_html import card_html
    from millrace.streams.docs.card_markdown import card_markdown
    from millrace.streams.kafka.registry import read_outputs
    from millrace.streams.state.definitions import DefinitionStore
    from millrace.streams.state.keys import state_key, state_key_if_any
    from millrace.streams.tools.card import known

    clients = KafkaClients(settings)
    key = state_key(settings) if own is None else state_key_if_any(settings)
    store = None if key is None else DefinitionStore(clients, f"{name}.", key)
    found = known(clients, name, read_outputs(settings), store, own)
    made = card_of(found, time.time_ns() // 1_000_000)
    return card_html(made) if form == "html" else card_markdown(made)


def _form_of(output: Path | None) -> str:
    is_html = output is not None and output.suffix.lower() in (".html", ".htm")
    return "html" if is_html else "markdown"
