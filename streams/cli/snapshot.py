"""`millrace snapshot`: keep the state as it is now, in the archive."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.cli.asking import asked, command_of
from millrace.streams.control.commands import SNAPSHOT
from millrace.streams.settings import Settings

if TYPE_CHECKING:
    from millrace.streams.tools.asking import Answer


def snapshot_now(settings: Settings, prefix: str, who: str, why: str, wait_seconds: float) -> None:
    """Ask for a snapshot, and wait until it is in the archive.

    Raises
    ------
    CommandError, BrokerError, ArchiveError
        It is refused, or not there in time.
    """
    from millrace.streams.kafka.commands import Request

    request = Request(id=str(uuid.uuid4()), command=SNAPSHOT, arguments={}, who=who, why=why)
    _wait(settings, prefix, asked(settings, prefix, request, wait_seconds), wait_seconds)


def _check(settings: Settings, pipeline: Pipeline, _arguments: Mapping[str, str]) -> None:
    from millrace.streams.state.archive.store import open_archive
    from millrace.streams.topology.topics import topic_prefix

    open_archive(settings, topic_prefix(pipeline))


def _wait(settings: Settings, prefix: str, answer: Answer, wait_seconds: float) -> None:
    from millrace.streams.state.archive.store import open_archive
    from millrace.streams.tools.versions import wait_for_version

    versions = {each["after"] for effects in answer.effects.values() for each in effects}
    for version in sorted(filter(None, versions)):
        store = open_archive(settings, prefix)
        wait_for_version(store, version, answer.effects, wait_seconds)
        click.echo(f"{version} is in {store.url}")


snapshot = command_of(SNAPSHOT, _check, _wait)
