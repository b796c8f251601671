"""Import the modules of a bundle, and find the pipeline in them. No file is read or written.

An import statement calls `__import__` of its module's builtins. A module of a bundle has one of its
own there: it gives the author's modules as the bundle has them, whatever has the same name in
`sys.path` or `sys.modules`, and passes everything else on.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.resources.abc import TraversableResources
from importlib.util import resolve_name, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeAlias

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.files import (
    PATHLIB,
    BundlePath,
    keep,
    opened,
    place_of,
    schema_text,
)
from millrace.models.bundles.naming import PACKAGE, import_names, is_package, prefixes
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import in_one_line, one_at_a_time, pipeline_in
from millrace.schemas.event_schema import read_text

ReadSchema: TypeAlias = Callable[[Path], str]


def load(bundle: Bundle) -> Pipeline:
    """Return the pipeline of a bundle, whose author is trusted: its code is run.

    Its modules are imported, those that another bundle has alike only once. They are never
    forgotten, since objects of their classes may be about.

    Raises
    ------
    DefinitionError
        A module raises when it is imported, or there is no such pipeline.

    Examples
    --------
    >>> from millrace.models.bundles.collecting import collect
    >>> pipeline = load(collect("millrace.models.pipelines.loans"))
    >>> pipeline.name, pipeline.features[2].names
    ('loans', ('total_income',))
    """
    return _loaded(bundle, partial(schema_text, schemas=bundle.schemas))


def try_to_load(bundle: Bundle, read_schema: ReadSchema) -> None:
    """Load a bundle that may lack schemas, and forget it if it does.

    Parameters
    ----------
    bundle
        Whose author is trusted.
    read_schema
        Returns the text of a schema that is not in the bundle.

    Raises
    ------
    DefinitionError
        See `load`.
    """
    is_complete = True

    def read(path: Path) -> str:
        nonlocal is_complete
        if path.is_absolute():  # any other is one from this working directory
            with suppress(FileNotFoundError):
                return schema_text(path, bundle.schemas)
        is_complete = False
        return read_schema(path)

    with one_at_a_time:
        known = {*_sources}
        try:
            _loaded(bundle, read)
        finally:
            for name in () if is_complete else _sources.keys() - known:
                del _sources[name]
                sys.modules.pop(name, None)


def _loaded(bundle: Bundle, read_schema: ReadSchema) -> Pipeline:
    module, _, attribute = bundle.reference.partition(":")
    with one_at_a_time, _reading_schemas(read_schema):
        modules = _Modules(bundle)
        with in_one_line(bundle.reference):
            imported = modules.imported(module)
        return _with_schemas(pipeline_in(imported, attribute, bundle.reference))


def _with_schemas(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline that has what it names by paths, which cannot be read again later."""
    if not any(isinstance(e, str | Path) for e in (pipeline.schema, *pipeline.earlier_schemas)):
        return pipeline
    schema = pipeline.event_schema
    earlier = [each.as_written.schema for each in schema.earlier]
    return replace(pipeline, schema=schema.as_written.schema, earlier_schemas=earlier)


@contextmanager
def _reading_schemas(read_schema: ReadSchema) -> Iterator[None]:
    before = read_text.set(read_schema)
    try:
        yield
    finally:
        read_text.reset(before)


class _Modules:
    """The modules of one bundle by their plain names."""

    def __init__(self, bundle: Bundle) -> None:
        self.names: Mapping[str, str] = import_names(bundle)
        for plain, name in self.names.items():
            digest, own = name.split(".")[1], bundle.modules[plain]
            for path, text in bundle.schemas.items():
                keep(place_of(digest, path), text)
            source = _Source(plain, place_of(digest, own), bundle.files[own], self)
            _sources.setdefault(name, source)

    def imported(self, plain: str) -> ModuleType:
        """Import a module, after the packages that it is in."""
        for each in prefixes(plain):
            if each in self.names:
                module = import_module(self.names[each])
            elif each.partition(".")[0] in self.names:
                raise ModuleNotFoundError(f"No module named {each!r} in the bundle", name=each)
        self._bind()
        return module

    def from_list(self, plain: str, names: Sequence[str]) -> ModuleType:
        """Import a module, and those of its modules that are among the names."""
        module = self.imported(plain)
        for name in names:
            listed = getattr(module, "__all__", ()) if name == "*" else (name,)
            for each in listed:
                if f"{plain}.{each}" in self.names and not hasattr(module, each):
                    self.imported(f"{plain}.{each}")
        return module

    def _bind(self) -> None:
        """Give packages their modules as attributes: one that was imported before too."""
        for plain, name in self.names.items():
            parent, _, child = plain.rpartition(".")
            package, module = map(sys.modules.get, (self.names.get(parent, ""), name))
            if package is not None and module is not None and child not in vars(package):
                setattr(package, child, module)


@dataclass(frozen=True)
class _Source(InspectLoader):
    """Imports one module of a bundle.

    Attributes
    ----------
    plain
        Its name in the bundle.
    file
        Where it seems to be.
    text
        Its source.
    modules
        Of the bundle that it was first loaded for.
    """

    plain: str
    file: str
    text: str
    modules: _Modules

    def is_package(self, _: str) -> bool:
        return is_package(self.file)

    def get_source(self, _: str) -> str:
        return self.text

    def get_code(self, _: str) -> CodeType:
        code: CodeType = compile(self.text, self.file, "exec", dont_inherit=True)
        return code

    def get_data(self, path: str) -> bytes:
        with opened(path, "rb") as file:
            data: bytes = file.read()
        return data

    def get_resource_reader(self, _: str) -> TraversableResources:
        return _Resources(BundlePath(self.file).parent)

    def exec_module(self, module: ModuleType) -> None:
        parent = self.plain.rpartition(".")[0]
        if parent in self.modules.names:
            self.modules.imported(parent)
        package = self.plain if is_package(self.file) else parent
        module.__package__ = self.modules.names.get(package, "")
        own = {"__import__": partial(self._import, package), "open": opened}
        module.__dict__["__builtins__"] = vars(builtins) | own
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - signed by the author

    def _import(
        self,
        package: str,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import what a statement names, as `__import__` does."""
        name = resolve_name("." * level + name, package) if level else name
        top = name.partition(".")[0]
        if top in self.modules.names:
            if fromlist:
                return self.modules.from_list(name, fromlist)
            self.modules.imported(name)
            return sys.modules[self.modules.names[top]]
        if name == "pathlib":
            return PATHLIB
        return builtins.__import__(name, globals, locals, fromlist or (), 0)


@dataclass(frozen=True)
class _Resources(TraversableResources):
    """What `importlib.resources` finds in a package of a bundle."""

    folder: BundlePath

    def files(self) -> BundlePath:
        return self.folder


class _Finder(MetaPathFinder):
    """Finds the modules of bundles, and the packages that their names seem to be in."""

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        source = _sources.get(fullname)
        if source is not None:
            places: list[str] | None = [] if source.is_package(fullname) else None
            return spec_from_file_location(
                fullname, source.file, loader=source, submodule_search_locations=places
            )
        is_part = any(each.startswith(f"{fullname}.") for each in [*_sources])
        return ModuleSpec(fullname, None, is_package=True) if is_part else None


_sources: dict[str, _Source] = {}
"""Name that a module is imported under to what imports it."""

sys.meta_path.insert(0, _Finder())
