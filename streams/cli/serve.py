"""`millrace serve`: a pipeline over HTTP."""

from __future__ import annotations

import re
from threading import Thread

import click

from millrace.models.pipeline.definition import LONGEST_NAME
from millrace.schemas import SettingsError
from millrace.streams.cli.options import pass_settings, require_broker, running_broker, setting
from millrace.streams.cli.worker import stop_with_stdin
from millrace.streams.settings import Settings

_NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{LONGEST_NAME - 1}}}")
_EXAMPLES = """\b
Examples:
  millrace serve --pipeline loans --broker localhost:9092
  curl localhost:6067/v1/events?wait=prediction -H 'Content-Type: application/json' -d '{...}'

\b
  millrace token --file tokens --name shop --role producer
  millrace serve -p loans -b kafka-1:9092 --host 0.0.0.0 --tokens tokens"""


@click.command(epilog=_EXAMPLES)
@setting(
    "pipeline_name",
    "--pipeline",
    "-p",
    metavar="NAME",
    help="Name of the pipeline: what its topics begin with. Its file is not needed.",
)
@running_broker
@setting("serve_host", "--host", metavar="HOST")
@setting("serve_port", "--port", metavar="PORT")
@setting("serve_tokens", "--tokens", metavar="FILE")
@setting("serve_rate", "--rate", metavar="N")
@click.option("--stop-with-stdin", "is_child", is_flag=True, hidden=True)
@click.option("--insecure", "is_insecure", is_flag=True, help="Let anybody do anything.")
@pass_settings
def serve(settings: Settings, is_insecure: bool, is_child: bool) -> None:
    """Send events and labels, and see predictions and models, over HTTP.

    A process of its own, and any number of them: it reads and writes the topics of a pipeline that
    workers run, knows the definition from there, and runs none of the pipeline's code. Set
    MILLRACE_STATE_KEY as for the workers: definitions are signed with it.

    POST /v1/events?wait=prediction answers with the prediction as it was written to Kafka. GET
    /openapi.json describes all there is, with the schema of the events.

    The page at / shows all of it in a browser.

    By default this machine alone may ask. With --tokens, each request needs one, and may do what
    its role may; commands have its name in the audit.
    """
    require_broker(settings)
    if not _NAME.fullmatch(settings.pipeline_name):
        raise SettingsError(
            "pipeline must be the name of a pipeline, not its file; got"
            f" {settings.pipeline_name!r}. Add --pipeline NAME, or set MILLRACE_PIPELINE_NAME"
        )
    try:
        from millrace.streams.serve.run import run_server
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"millrace serve needs {error.name}, which is not installed: pip install"
            " 'millrace[serve]'"
        ) from None
    from millrace.streams.observability.logging import configure_logging

    if is_child:
        Thread(target=stop_with_stdin, daemon=True).start()
    configure_logging(settings)
    run_server(settings, is_insecure=is_insecure)
