"""Where archived files are: in a folder, or whatever else fsspec knows.

A version is a folder of the pipeline's folder, and has a file for each partition::

    <archive>/<pipeline>/<version>/<agent>.<partition>
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from millrace.schemas import ArchiveError, SettingsError
from millrace.streams.redaction import redact
from millrace.streams.settings import Settings

_UNFINISHED = ".unfinished"


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
        """Whether a file is there."""
        with self._asking("look for", self._path(version, place)) as path:
            self._files.invalidate_cache()
            return bool(self._files.exists(path))

    def read(self, version: str, place: Place) -> bytes:
        """Return a file.

        Raises
        ------
        ArchiveError
            It is not there, or cannot be read.
        """
        with self._asking("read", self._path(version, place)) as path:
            return bytes(self._files.cat_file(path))

    def write(self, version: str, place: Place, data: bytes) -> None:
        """Write a file: all of it is there, or nothing.

        Raises
        ------
        ArchiveError
            It cannot be written.
        """
        with self._asking("write", self._path(version, place)) as path:
            if not isinstance(self._files, LocalFileSystem):
                self._files.pipe_file(path, data)  # of an object store, one put
                return
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(path + _UNFINISHED, data)
            self._files.mv(path + _UNFINISHED, path)

    def remove(self, version: str) -> None:
        """Remove a version; another worker may do the same.

        Raises
        ------
        ArchiveError
            It cannot be removed.
        """
        with self._asking("remove", f"{self._root}/{version}") as path, suppress(FileNotFoundError):
            self._files.rm(path, recursive=True)

    def _sizes(self) -> Mapping[str, int]:
        with self._asking("list", self._root) as path:
            self._files.invalidate_cache()
            try:
                found = self._files.find(path, detail=True)
            except FileNotFoundError:
                return {}
            return {name: int(each["size"] or 0) for name, each in found.items()}

    def _path(self, version: str, place: Place) -> str:
        return f"{self._root}/{version}/{place.agent}.{place.partition}"

    @contextmanager
    def _asking(self, what: str, path: str) -> Iterator[str]:
        """Say which request failed; each kind of store has exceptions of its own."""
        try:
            yield path
        except FileNotFoundError as error:
            raise ArchiveError(f"could not {what} {redact(path)}: it is not there") from error
        except Exception as error:
            reason = redact(f"{type(error).__name__}: {error}")
            raise ArchiveError(f"could not {what} {redact(path)}: {reason}") from error
