"""Find the author's own modules that a pipeline's module imports, on the disk, without running any.

A module is the author's if it lies beside the pipeline's or below, or is found in the working
directory, and Python's own or an installed one does not come before it. Whatever else is imported
has to be installed wherever the bundle is loaded.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tokenize import detect_encoding
from typing import NamedTuple

from millrace.models.bundles.bundle import LARGEST_BYTES
from millrace.models.bundles.imports import Import, imports_of, tree_of
from millrace.models.bundles.naming import is_package, prefixes
from millrace.models.parameters import require
from millrace.models.pipeline.loading import is_path, module_name
from millrace.schemas import DefinitionError

_OURS = "millrace"
_LIBRARIES = frozenset({_OURS, "river", *sys.stdlib_module_names})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SCHEMA = ".avsc"


class Main(NamedTuple):
    """The pipeline's module: its name, its file if that has the name alone, and its folder.

    The folder is the one that is searched for what it imports.
    """

    name: str
    path: Path | None
    folder: Path


def main_of(target: str) -> Main:
    """Return the module that `path/file.py` or `package.module` names.

    Raises
    ------
    DefinitionError
        There is none, or it is `__main__`.
    """
    if is_path(target):
        path = Path(target).resolve()
        require(path.is_file(), "pipeline must be a file that exists", target)
        return Main(module_name(path), path, path.parent)
    must = "pipeline must be in a file of its own, path/file.py or package.module"
    require(target not in ("", "__main__") and target[0] != ".", must, target)
    importlib.invalidate_caches()
    top, here = target.partition(".")[0], Path.cwd().resolve()
    if top == _OURS:  # an example, of which only itself is the author's
        found = find_spec(target)
        path = Path(str(found and found.origin)).resolve()
        return Main(target, path, path.parent)
    found = _top(top, here) or find_spec(top)
    if found is None:
        raise _no_module(target)
    return Main(target, None, _folder_of(found).resolve())


class Sources:
    """The author's modules, from the pipeline's on.

    Parameters
    ----------
    main
        The pipeline's.

    Attributes
    ----------
    paths
        Name of each module to its file.
    texts
        File to text.

    Raises
    ------
    DefinitionError
        A module is not there, is too large, or not of Python source.
    """

    def __init__(self, main: Main) -> None:
        importlib.invalidate_caches()
        self._main = main
        self.paths: dict[str, Path] = {}
        self.texts: dict[Path, str] = {}
        self._left: list[str] = []
        if main.path is not None:
            self._add(main.name, main.path)
        elif not self._find(main.name):
            raise _no_module(main.name)
        while self._left:
            self._follow(self._left.pop(0))

    def schemas(self) -> Iterator[Path]:
        """Yield the schemas that modules name, and that are beside them."""
        for path in self.paths.values():
            for node in ast.walk(tree_of(self.texts[path], str(path))):
                match node:
                    case ast.Constant(value=str(text)) if text.endswith(_SCHEMA):
                        named = path.with_suffix(_SCHEMA) if text == _SCHEMA else path.parent / text
                        if named.is_file():
                            yield named

    def _add(self, name: str, path: Path) -> None:
        self.paths[name] = path
        # A package without `__init__.py` is one with an empty one.
        self.texts[path] = text_of(path) if path.exists() else ""
        self._left.append(name)

    def _follow(self, name: str) -> None:
        path = self.paths[name]
        for each in imports_of(self.texts[path], name, is_package(path.name), str(path)):
            self._add_imported(each, f"{path}:{each.line}")

    def _add_imported(self, statement: Import, place: str) -> None:
        module = statement.module
        if not self._find(module):
            if module.partition(".")[0] in self.paths and statement.is_required:
                raise DefinitionError(
                    f"{place}: each module that is imported must be there; got {module!r}. Add it,"
                    " or remove the import"
                )
            return
        if statement.is_hidden:
            raise DefinitionError(
                f"{place}: a module beside the pipeline must be imported by a statement; got"
                f" import_module({module!r}), which takes it from wherever it is. Write: import"
                f" {module}"
            )
        home = self.paths[module]
        if is_package(home.name):
            listed = _listed(self.texts[home]) if "*" in statement.names else ()
            for child in (*statement.names, *listed):
                self._find(f"{module}.{child}")

    def _find(self, name: str) -> bool:
        """Add a module and its packages; return whether it is there, and the author's."""
        for each in prefixes(name):
            if each not in self.paths:
                path = self._path_of(each)
                if path is None:
                    return False
                self._add(each, path)
        return True

    def _path_of(self, name: str) -> Path | None:
        parent = name.rpartition(".")[0]
        if not parent:
            is_mains = name == self._main.name.partition(".")[0]
            folder = self._main.folder
            found = _beside(name, folder) if is_mains else _top(name, folder)
        else:
            home = self.paths[parent]
            found = _beside(name.rpartition(".")[2], home.parent) if is_package(home.name) else None
        if found is None:
            return None
        if found.origin is None:
            return _place(found) / "__init__.py"
        if not isinstance(found.loader, SourceFileLoader):
            raise DefinitionError(
                "a module beside the pipeline must be of Python source, so that it can travel; got"
                f" {Path(found.origin).name}. Install it, as a package of its own, wherever the"
                " pipeline runs"
            )
        return Path(found.origin)


def text_of(path: Path, encoding: str = "") -> str:
    """Return a file's text with its line endings; by default in the encoding of Python sources.

    Raises
    ------
    DefinitionError
        It is too large, or no text.
    OSError
        It cannot be read.
    """
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise DefinitionError(
            f"a file of a definition must have {LARGEST_BYTES:,} bytes or less; got {path.name} of"
            f" {size:,}. Keep data out of the pipeline's modules"
        )
    data = path.read_bytes()
    try:
        return data.decode(encoding or detect_encoding(BytesIO(data).readline)[0])
    except (SyntaxError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path}: a file of a definition must be text; {error}") from error


def _top(name: str, folder: Path) -> ModuleSpec | None:
    """Return where the author's module is that is in no package; None for any other."""
    if name in _LIBRARIES or not name.isidentifier():
        return None
    installed = [each for each in sys.path if not _INSTALLED.isdisjoint(Path(each).parts)]
    if PathFinder.find_spec(name, installed) is not None:
        return None
    found = _beside(name, folder)
    if found is not None:
        return found
    found = PathFinder.find_spec(name, sys.path)
    roots = (folder, Path.cwd().resolve())
    is_beside = found is not None and any(map(_place(found).resolve().is_relative_to, roots))
    return found if is_beside else None


def _beside(name: str, folder: Path) -> ModuleSpec | None:
    return PathFinder.find_spec(name, [str(folder)])


def _folder_of(found: ModuleSpec) -> Path:
    """Return the folder that a module that is in no package was found in."""
    is_file = found.submodule_search_locations is None
    return _place(found) if is_file else _place(found).parent


def _place(found: ModuleSpec) -> Path:
    """Return the folder that a module's file is in."""
    if found.origin is not None:
        return Path(found.origin).parent
    return Path(next(iter(found.submodule_search_locations or ())))


def _listed(text: str) -> Iterator[str]:
    """Yield the names in the list `__all__` of a module's source."""
    for node in tree_of(text, "").body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                for each in ast.walk(value):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        yield each.value


def _no_module(target: str) -> DefinitionError:
    return DefinitionError(f"pipeline must be a module that exists; got {target!r}")
