"""From a command that restores a version to the models of it, for one partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import ArchiveError
from millrace.streams.control.restoring import Restore
from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.context import LoadVersion, no_version
from millrace.streams.operators.record import AcceptedRecord
from millrace.streams.settings import Settings
from millrace.streams.state.archive.reading import ArchiveReader
from millrace.streams.state.archive.store import Place, open_archive
from millrace.streams.state.entries import MODELS
from millrace.streams.state.migrations import Name
from millrace.streams.topology.topics import topic_prefix


class VersionLoader:
    """Reads the file that a command names.

    Parameters
    ----------
    reader
        Reads files of the archive.
    """

    def __init__(self, reader: ArchiveReader) -> None:
        self._reader = reader

    def __call__(self, command: AcceptedRecord) -> dict[str, ModelSet] | None:
        """Return scope key to models, for the partition in which a command was read.

        None where the version has no state of it.

        Raises
        ------
        ArchiveError
            The file is not there, is another one, or cannot be read: the task halts, and begins
            again at the command.
        """
        restore = Restore.of(command.value["arguments"])
        partition = command.origin.partition
        file = restore.files.get(partition)
        if file is None:
            return None
        checked = self._reader.checked(restore.version, Place(file.agent, partition))
        if (checked.digest, checked.size) != (file.digest, file.size):
            raise ArchiveError(
                f"the file of {restore.version} for partition {partition} is not the one that was"
                f" to be restored: it must have {file.size} bytes and the digest {file.digest}; it"
                f" has {checked.size} and {checked.digest}. Put the former one back"
            )
        entries = self._reader.saved(checked.archived).entries.get(MODELS, [])
        with suppress(ArchiveError):  # who may only read does not remove versions, either
            self._reader.store.keep(restore.version)
        return {each.key: cast(ModelSet, each.value) for each in entries}


def version_loader(
    settings: Settings,
    pipeline: Pipeline,
    clients: Clients,
    key: bytes,
    find: Callable[[str], Pipeline | None],
    renamed: Mapping[Name, Name],
) -> LoadVersion:
    """Return what reads versions of the archive that settings name.

    Raises
    ------
    SettingsError
        See `ArchiveStore`.
    """
    if not settings.archive:
        return no_version
    prefix = topic_prefix(pipeline)
    store = open_archive(settings, prefix)
    return VersionLoader(ArchiveReader(store, pipeline, prefix, key, clients, find, renamed))
