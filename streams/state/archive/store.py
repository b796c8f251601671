"""Where archived files are: in a folder, or whatever else fsspec knows.

A version is a folder of the pipeline's folder, and has a file for each partition::

    <archive>/<pipeline>/<version>/<agent>.<partition>

One that was restored has a file `restored`, too: a rebuild needs it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from millrace.schemas import ArchiveError, SettingsError
from millrace.streams.kafka.bounded import DaemonExecutor
from millrace.streams.redaction import redact
from millrace.streams.settings import Settings

_KEPT = "restored"
_UNFINISHED = ".unfinished"
_MOST_SECONDS = 120.0

T = TypeVar("T")


class Place(NamedTuple):
    """Whose state a file is: an agent's, of a partition."""

    agent: str
    partition: int


def open_archive(settings: Settings, prefix: str) -> ArchiveStore:
    """Return the archive that settings name.

    Raises
    ------
    SettingsError
        None is set; or see `ArchiveStore`.
    """
    if not settings.archive:
        raise SettingsError(
            "archive must be a folder, or a URL of fsspec; got none. Set MILLRACE_ARCHIVE as for"
            " the workers"
        )
    return ArchiveStore(settings.archive, prefix)


class ArchiveStore:
    """Reads and writes the files of one pipeline.

    Parameters
    ----------
    url
        A folder, or a URL that fsspec takes, such as `s3://bucket/folder`.
    prefix
        Of the pipeline's topics.

    Raises
    ------
    SettingsError
        fsspec does not know the URL, or a package is missing for it.
    """

    def __init__(self, url: str, prefix: str) -> None:
        try:
            self._files, root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsError(
                f"archive must be a folder, or a URL of fsspec; got {redact(url)!r}: {error}"
            ) from error
        self._root = f"{root.rstrip('/')}/{prefix.rstrip('.')}"
        self.url = f"{url.rstrip('/')}/{prefix.rstrip('.')}"

    def versions(self) -> dict[str, dict[Place, int]]:
        """Return the versions by name, oldest first, each with its files and their sizes in bytes.

        Raises
        ------
        ArchiveError
            They cannot be listed.
        """
        found: defaultdict[str, dict[Place, int]] = defaultdict(dict)
        for path, size in self._sizes().items():
            *_, version, name = path.split("/")
            agent, _, partition = name.rpartition(".")
            if agent and partition.isdecimal():
                found[version][Place(agent, int(partition))] = size
        return {name: dict(sorted(found[name].items())) for name in sorted(found)}

    def has(self, version: str, place: Place) -> bool:
        """Whether a file is there.

        Raises
        ------
        ArchiveError
            The archive cannot be reached.
        """

        def look(path: str) -> bool:
            self._files.invalidate_cache()
            return bool(self._files.exists(path))

        return self._ask("look for", self._path(version, place), look)

    def read(self, version: str, place: Place) -> bytes:
        """Return a file.

        Raises
        ------
        ArchiveError
            It is not there, or cannot be read.
        """
        return self._ask(
            "read", self._path(version, place), lambda path: bytes(self._files.cat_file(path))
        )

    def write(self, version: str, place: Place, data: bytes) -> None:
        """Write a file: all of it is there, or nothing.

        Raises
        ------
        ArchiveError
            It cannot be written.
        """
        self._ask("write", self._path(version, place), lambda path: self._put(path, data))

    def remove(self, version: str) -> None:
        """Remove a version; another worker may do the same.

        Raises
        ------
        ArchiveError
            It cannot be removed.
        """

        def remove(path: str) -> None:
            with suppress(FileNotFoundError):
                self._files.rm(path, recursive=True)

        self._ask("remove", f"{self._root}/{version}", remove)

    def keep(self, version: str) -> None:
        """Let a version be removed by nobody but its owner.

        Raises
        ------
        ArchiveError
            This cannot be noted.
        """
        self._ask("write", f"{self._root}/{version}/{_KEPT}", lambda path: self._put(path, b""))

    def kept(self) -> frozenset[str]:
        """Return the versions that are not to be removed.

        Raises
        ------
        ArchiveError
            They cannot be listed.
        """
        paths = (path.split("/") for path in self._sizes())
        return frozenset(version for *_, version, name in paths if name == _KEPT)

    def _put(self, path: str, data: bytes) -> None:
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, data)  # of an object store, one put
            return
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path + _UNFINISHED, data)
        self._files.mv(path + _UNFINISHED, path)

    def _sizes(self) -> Mapping[str, int]:
        def find(path: str) -> Mapping[str, int]:
            self._files.invalidate_cache()
            try:
                found = self._files.find(path, detail=True)
            except FileNotFoundError:
                return {}
            return {name: int(each["size"] or 0) for name, each in found.items()}

        return self._ask("list", self._root, find)

    def _path(self, version: str, place: Place) -> str:
        return f"{self._root}/{version}/{place.agent}.{place.partition}"

    def _ask(self, what: str, path: str, call: Callable[[str], T]) -> T:
        """Make a request; each kind of store has exceptions of its own, and some never answer."""
        executor = DaemonExecutor("archive-store")
        answer = executor.submit(call, path)
        executor.shutdown()
        try:
            return answer.result(_MOST_SECONDS)
        except FileNotFoundError as error:
            raise ArchiveError(f"could not {what} {redact(path)}: it is not there") from error
        except Exception as error:
            reason = redact(f"{type(error).__name__}: {error}")
            if isinstance(error, TimeoutError) and not answer.done():
                reason = f"no answer within {_MOST_SECONDS:.0f} s"
            raise ArchiveError(f"could not {what} {redact(path)}: {reason}") from error
