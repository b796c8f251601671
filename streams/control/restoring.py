"""What the command `restore` says: which version, and which file each partition reads of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from millrace.schemas import CommandError


class ArchivedFile(NamedTuple):
    """A file of the archive.

    Attributes
    ----------
    agent
        Whose state it is.
    digest
        SHA-256 of the file, in hexadecimal.
    size
        In bytes.
    """

    agent: str
    digest: str
    size: int


class Restore(NamedTuple):
    """A version that is to be restored.

    Attributes
    ----------
    version
        Its name.
    definition
        Digest of the definition that it was made under; empty where none was deployed.
    files
        Partition to its file.

    Examples
    --------
    >>> one = Restore("2026-11-26T1600Z", "", {0: ArchivedFile("learning", "1f9a", 20)})
    >>> Restore.of(one.to_arguments()) == one
    True
    """

    version: str
    definition: str
    files: Mapping[int, ArchivedFile]

    def to_arguments(self) -> dict[str, str]:
        """Return the arguments of the command."""
        files = {str(partition): [*each] for partition, each in self.files.items()}
        archived = {"definition": self.definition, "files": files}
        return {"version": self.version, "archived": json.dumps(archived, separators=(",", ":"))}

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> Restore:
        """Return what the arguments of a command say.

        Raises
        ------
        CommandError
            They say something else.
        """
        version = arguments["version"]
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found = json.loads(arguments["archived"])
            files = {int(at): ArchivedFile(*each) for at, each in found["files"].items()}
            is_whole = all(
                [*map(type, each)] == [str, str, int] and "/" not in each.agent
                for each in files.values()
            )
            if is_whole and files and type(found["definition"]) is str and "/" not in version:
                return cls(version, found["definition"], files)
        raise CommandError(
            "archived must be what `millrace restore` makes of a version: the definition, and"
            f" agent, digest and size of each partition's file; got {arguments['archived'][:99]!r}."
            " Use `millrace restore`"
        )
