"""What is in the archive: its versions, each with what is known of its files."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from millrace.models.identity.reference import Reference
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import ArchiveError
from millrace.streams.control.restoring import ArchivedFile, Restore
from millrace.streams.kafka.protocols import Clients
from millrace.streams.settings import Settings
from millrace.streams.state.archive.reading import ArchiveReader, Checked
from millrace.streams.state.archive.store import ArchiveStore, Place, open_archive
from millrace.streams.state.keys import state_key
from millrace.streams.topology.topics import topic_prefix

_POLL_SECONDS = 0.2
_MOST_NAMED = 5


@dataclass
class Version:
    """A version of the state.

    Attributes
    ----------
    name
        Of the version.
    files
        Those that can be used, by whose state they are.
    faults
        What cannot be used of it, and why.
    """

    name: str
    files: dict[Place, Checked] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the files that can be used."""
        return sum(each.size for each in self.files.values())

    @property
    def definitions(self) -> list[str]:
        """The references of the definitions that were in force, as a rule one."""
        return sorted({each.header.definition for each in self.files.values()})

    @property
    def time_ms(self) -> int:
        """When the last of its files was written: milliseconds since the Unix epoch; else 0."""
        return max((each.header.time_ms for each in self.files.values()), default=0)

    def to_json(self) -> dict[str, object]:
        """Return all of it as plain data."""
        return {
            "version": self.name,
            "time_ms": self.time_ms,
            "definitions": self.definitions,
            "size": self.size,
            "partitions": [
                {
                    "agent": agent,
                    "partition": partition,
                    "covers": each.header.covers,
                    "digest": each.digest,
                    "size": each.size,
                }
                for (agent, partition), each in self.files.items()
            ],
            "faults": self.faults,
        }


def archive_reader(clients: Clients, pipeline: Pipeline, settings: Settings) -> ArchiveReader:
    """Return what reads a pipeline's archive, to look at it and load nothing.

    Raises
    ------
    SettingsError
        No archive is set, or no key.
    """
    prefix = topic_prefix(pipeline)
    store, key = open_archive(settings, prefix), state_key(settings)
    return ArchiveReader(store, pipeline, prefix, key, clients)


def to_restore(reader: ArchiveReader, version: str, agent: str) -> Restore:
    """Return what a command says that restores a version.

    Parameters
    ----------
    agent
        The one that learns: its files are taken where another chain has left others.

    Raises
    ------
    ArchiveError
        The version is not there, a file of it cannot be used, or it was made under several
        definitions.
    """
    there = reader.store.versions()
    places = sorted(there.get(version, {}), key=lambda each: each.agent == agent)
    if not places:
        named = ", ".join([*there][-_MOST_NAMED:]) or "none"
        raise ArchiveError(
            f"version must be one of those in {reader.store.url}; got {version!r}. The last ones"
            f" are: {named}"
        )
    chosen = {each.partition: each for each in places}
    checked = {at: reader.checked(version, place) for at, place in sorted(chosen.items())}
    definitions = {Reference.of(each.header.definition).digest for each in checked.values()}
    if len(definitions) > 1:
        raise ArchiveError(
            f"version must be of one definition; {version!r} was written while one was deployed,"
            f" and has {len(definitions)}. Take another"
        )
    files = {
        at: ArchivedFile(chosen[at].agent, each.digest, each.size) for at, each in checked.items()
    }
    return Restore(version, definitions.pop(), files)


def wait_for_version(
    store: ArchiveStore, version: str, partitions: Collection[int], seconds: float
) -> None:
    """Wait until a version has files of some partitions.

    Raises
    ------
    ArchiveError
        It does not have them in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        there = {each.partition for each in store.versions().get(version, {})}
        missing = sorted({*partitions} - there)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise ArchiveError(
                f"partitions {missing} of {version} are not in {store.url} within {seconds:.0f} s."
                " Set MILLRACE_ARCHIVE for the workers, too; their logs say what went wrong."
                " Then ask again"
            )
        time.sleep(_POLL_SECONDS)


def versions(reader: ArchiveReader) -> Iterator[Version]:
    """Yield the versions, oldest first, each once all of its files are checked.

    Raises
    ------
    ArchiveError
        They cannot be listed.
    """
    for name, places in reader.store.versions().items():
        found = Version(name)
        for place in places:
            try:
                found.files[place] = reader.checked(name, place)
            except ArchiveError as error:
                found.faults.append(str(error))
        yield found
