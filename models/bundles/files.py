"""The files of a bundle, which its modules read as if they lay beside them.

A module's `__file__` is a path below `ROOT`, where no file is. What opens a file by it, in a module
of a bundle, is given the bundle's: `open`, `pathlib.Path`, and what `importlib.resources` calls.
"""

from __future__ import annotations

import builtins
import pathlib
import re
from collections.abc import Mapping
from errno import ENOENT
from io import BytesIO, TextIOWrapper
from pathlib import Path, PurePath, PurePosixPath
from posixpath import normpath, relpath
from types import ModuleType
from typing import IO, Any

ROOT = "/millrace_bundle"
"""The folder that the files of all bundles seem to be in, each module's in one of its digest."""

HERE = "-/-/here"
"""The pipeline's folder there, in as many others as its files may be above it."""

_READING = frozenset("rbtU")
_UTF8 = (None, "locale")

_texts: dict[str, str] = {}


def place_of(digest: str, path: str) -> str:
    """Return where a file of a bundle seems to be for a module.

    Examples
    --------
    >>> place_of("0b5c", "visits.py"), place_of("0b5c", "../schemas/visits.avsc")
    ('/millrace_bundle/0b5c/-/-/here/visits.py', '/millrace_bundle/0b5c/-/-/schemas/visits.avsc')
    >>> path_in_bundle("/millrace_bundle/0b5c/-/-/here/shop/../visits.py")
    'visits.py'
    >>> path_in_bundle("/millrace_bundle/0b5c/-/-/schemas/visits.avsc")
    '../schemas/visits.avsc'
    """
    return normpath(f"{ROOT}/{digest}/{HERE}/{path}")


def path_in_bundle(place: str) -> str | None:
    """Return the path that a file has in its bundle; None for a place that is outside."""
    found = re.fullmatch(rf"{ROOT}/\w+/(.+)", normpath(place))
    return None if found is None else relpath(f"/{found[1]}", f"/{HERE}")


def keep(place: str, text: str) -> None:
    """Have a file at a place."""
    _texts[place] = text


def text_at(path: object) -> str | None:
    """Return the text of a bundle's file; None where there is none.

    Examples
    --------
    >>> keep("/millrace_bundle/0b5c/visits.avsc", "{}")
    >>> text_at("/millrace_bundle/0b5c/shop/../visits.avsc")
    '{}'
    """
    if not isinstance(path, str | PurePath) or not str(path).startswith(f"{ROOT}/"):
        return None
    return _texts.get(normpath(str(path)))


def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> IO[Any]:
    """Open a file of a bundle, or any other: what a bundle's module has as `open`."""
    text = text_at(file) if _READING.issuperset(mode) else None
    if text is None and str(file).startswith(f"{ROOT}/"):
        raise FileNotFoundError(
            ENOENT, "it does not travel: beside modules, only schemas (.avsc) do", str(file)
        )
    if text is None:
        return builtins.open(file, mode, *args, **options)  # noqa: PTH123 - as given
    given = dict(zip(("buffering", "encoding", "errors", "newline"), args, strict=False)) | options
    encoding = given.get("encoding")
    data = BytesIO(text.encode("utf-8" if encoding in _UTF8 else encoding))
    if "b" in mode:
        return data
    return TextIOWrapper(
        data, "utf-8" if encoding in _UTF8 else encoding, newline=given.get("newline")
    )


class BundlePath(type(Path())):  # type: ignore[misc]  # the class of this platform's paths
    """What a bundle's module has as `pathlib.Path`.

    Examples
    --------
    >>> keep("/millrace_bundle/0b5c/visits.avsc", "{}")
    >>> (BundlePath("/millrace_bundle/0b5c/visits.py").parent / "visits.avsc").read_text()
    '{}'
    """

    def open(self, mode: str = "r", *args: Any, **options: Any) -> Any:
        """Open the file."""
        return opened(self, mode, *args, **options)

    def exists(self, **options: Any) -> bool:
        """Whether there is such a file or folder."""
        return self.is_file() or super().exists(**options)

    def is_file(self, **options: Any) -> bool:
        """Whether there is such a file."""
        return text_at(self) is not None or super().is_file(**options)

    def __reduce__(self) -> tuple[type[Path], tuple[str, ...]]:
        return Path, self.parts


def _as_pathlib() -> ModuleType:
    """Return `pathlib` with paths that know the files of bundles."""
    BundlePath.__module__, BundlePath.__qualname__ = "pathlib", "Path"  # for who names it
    found = ModuleType("pathlib")
    vars(found).update(vars(pathlib), Path=BundlePath)
    return found


PATHLIB = _as_pathlib()
"""What a bundle's module has as `pathlib`."""


def schema_text(path: Path, schemas: Mapping[str, str]) -> str:
    """Return the one of a bundle's schemas that its definition names by a path.

    A relative path was one from another working directory: it is found by its end.

    Raises
    ------
    FileNotFoundError
        It is not in the bundle.
    """
    text = text_at(path)
    if text is None and not path.is_absolute():
        ends = _parts(path)
        alike = [each for each in schemas if _have_one_end(_parts(PurePosixPath(each)), ends)]
        text = schemas[alike[0]] if len(alike) == 1 else None
    if text is None:
        raise FileNotFoundError(
            ENOENT, "it is not in the bundle. Write Path(__file__).parent / 'name.avsc'", str(path)
        )
    return text


def _parts(path: PurePath) -> list[str]:
    return [each for each in path.parts if each != ".."]


def _have_one_end(parts: list[str], ends: list[str]) -> bool:
    length = min(len(parts), len(ends))
    return parts[-length:] == ends[-length:]
