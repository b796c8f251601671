"""Reading versions: from files back to state, with the same checks as from the topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import NamedTuple

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import ArchiveError, SnapshotError
from millrace.streams.kafka.protocols import Clients
from millrace.streams.state.archive.files import Archived, Header, from_bytes
from millrace.streams.state.archive.store import ArchiveStore, Place
from millrace.streams.state.log import StateLog
from millrace.streams.state.migrations import Name
from millrace.streams.state.records import Saved
from millrace.streams.topology.chain import AgentSpec


class Checked(NamedTuple):
    """A file of which the signature is right.

    Attributes
    ----------
    digest
        SHA-256 of the file, in hexadecimal.
    size
        In bytes.
    """

    archived: Archived
    digest: str
    size: int

    @property
    def header(self) -> Header:
        """What it is of."""
        return self.archived.header


class ArchiveReader:
    """Reads the versions of one pipeline.

    Parameters
    ----------
    store
        Where files are.
    pipeline
        What was saved before the first deploy is of this definition.
    prefix
        Of the pipeline's topics.
    key
        What was signed with it is read.
    clients
        Of the broker.
    find
        Imports the definition of a digest.
    renamed
        What classes are called today that earlier state names by the modules of a file.
    """

    def __init__(
        self,
        store: ArchiveStore,
        pipeline: Pipeline,
        prefix: str,
        key: bytes,
        clients: Clients,
        find: Callable[[str], Pipeline | None] = lambda _: None,
        renamed: Mapping[Name, Name] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self._pipeline = pipeline
        self._prefix = prefix
        self._key = key
        self._clients = clients
        self._find = find
        self._renamed = renamed

    def checked(self, version: str, place: Place) -> Checked:
        """Return a file, once its signature is checked, and that it is where it was written.

        Raises
        ------
        ArchiveError
            It is not there, cannot be read, or does not count.
        """
        data = self.store.read(version, place)
        try:
            archived = from_bytes(data, self._prefix, self._key)
        except SnapshotError as error:
            raise self._unusable(version, place, str(error)) from error
        header = archived.header
        if (header.version, header.agent, header.partition) != (version, *place):
            was = f"{header.version}/{header.agent}.{header.partition}"
            raise self._unusable(version, place, f"it was written as {was}, and moved here")
        return Checked(archived, sha256(data).hexdigest(), len(data))

    def saved(self, archived: Archived) -> Saved:
        """Return the state of a file.

        Raises
        ------
        ArchiveError
            It cannot be loaded.
        """
        header = archived.header
        agent = AgentSpec(tuple(header.agent.split("-")))
        log = StateLog(
            *(self._pipeline, agent, self._clients, self._prefix, self._key),
            find=self._find,
            renamed=self._renamed,
        )
        try:
            return log.saved_of(header.partition, archived.records)
        except SnapshotError as error:
            place = Place(header.agent, header.partition)
            raise self._unusable(header.version, place, str(error)) from error

    def _unusable(self, version: str, place: Place, why: str) -> ArchiveError:
        where = f"{self.store.url}/{version}/{place.agent}.{place.partition}"
        return ArchiveError(f"the archived state {where} cannot be used: {why}")
