"""`millrace docs`: what others need to know of a pipeline, for programs and for people."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from millrace.streams.cli.options import (
    broker_option,
    chain_option,
    pass_settings_or,
    pipeline_option,
    setting,
)
from millrace.streams.cli.writing import out_options, write_files
from millrace.streams.formats import FORMATS
from millrace.streams.settings import Settings

_REGISTRY = "http://schema-registry:8081"  # in examples, where none is set

_EXAMPLES = """\b
Examples:
  millrace docs --pipeline pipeline.py | jq .channels
  millrace docs --pipeline pipeline.py --broker localhost:9092 --out site"""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@broker_option("Bootstrap servers of Kafka, to be named in what is written; they are not asked.")
@chain_option
@setting("outputs", choices=FORMATS)
@out_options
@pass_settings_or(schema_registry_url=_REGISTRY)
def docs(settings: Settings, out: Path | None, force: bool) -> None:
    """Describe a pipeline's topics: AsyncAPI, and a page for people.

    Without --out, prints an AsyncAPI 3 document. It has the topics that you produce and consume,
    and those of others that are read: their names, as MILLRACE_TOPICS maps them, what records are
    like, their keys and headers.

    With --out, writes it as `asyncapi.json`, and beside it `index.html`: what the pipeline
    predicts, its fields, features and models, and how to produce an event and a label and to read
    a prediction. The page is one file that loads nothing from elsewhere.

    Both are made from the definition and the settings: set what the workers have set. No broker and
    no schema registry are needed: without SCHEMA_REGISTRY_URL, examples have
    http://schema-registry:8081 for it. The same definition gives the same files. Without --force,
    nothing is written where a file is there that differs.
    """
    with redirect_stdout(sys.stderr):  # the file's own prints
        from millrace.streams.docs.asyncapi import asyncapi
        from millrace.streams.docs.page import DOCUMENT, page

        pipeline = settings.load_pipeline()
        document = json.dumps(asyncapi(pipeline, settings), indent=2)
        told = page(pipeline, settings) if out is not None else ""
    if out is None:
        click.echo(document)
        return
    write_files(out, {DOCUMENT: f"{document}\n", "index.html": told}, force=force)
