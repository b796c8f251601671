"""The names that the modules of a bundle are imported under.

A name holds the digest of all that the module is made of: its source, those of its own imports, and
theirs. So an unchanged module is the same module in every bundle, and a changed one is another.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import PurePosixPath

from millrace.models.bundles.bundle import Bundle, canonical
from millrace.models.bundles.imports import Import, imports_of, tree_of

PACKAGE = "millrace_bundle"
"""The first part of the names of all modules of bundles."""

_DIGITS = 32

Name = tuple[str, str]
"""Module, and name in it."""


def plain_name(module: str) -> str:
    """Return the name that a module has where it is loaded from its file.

    Examples
    --------
    >>> plain_name("millrace_bundle.0b5c.shop.visits"), plain_name("shop.visits")
    ('shop.visits', 'shop.visits')
    """
    return module.split(".", 2)[2] if module.startswith(f"{PACKAGE}.") else module


def import_names(bundle: Bundle) -> dict[str, str]:
    """Return each module's plain name to the name that it is imported under.

    Examples
    --------
    >>> bundle = Bundle("visits:pipeline", {"visits": "visits.py"}, {"visits.py": ""})
    >>> import_names(bundle)
    {'visits': 'millrace_bundle.94d9d660456b2e22d4c5677ef777130b.visits'}
    """
    reached = _Reached(bundle)
    return {name: f"{PACKAGE}.{reached.digest(name)}.{name}" for name in bundle.modules}


def renamed(bundle: Bundle) -> dict[Name, Name]:
    r"""Return what a pickle of the plain modules names, to what it is in the bundle.

    Examples
    --------
    >>> bundle = Bundle("v:pipeline", {"v": "v.py"}, {"v.py": "class Own:\n    class In: pass"})
    >>> [(old, name) for old, (_, name) in renamed(bundle).items()]
    [(('v', 'Own'), 'Own'), (('v', 'Own.In'), 'Own.In')]
    """
    return {
        (plain, name): (imported, name)
        for plain, imported in import_names(bundle).items()
        for name in _defined(tree_of(bundle.files[bundle.modules[plain]], plain))
    }


def is_package(path: str) -> bool:
    """Whether the file of a module makes it a package."""
    return PurePosixPath(path).name == "__init__.py"


class _Reached:
    """Finds what each module of a bundle is made of."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._needs = {name: self._needed_by(name) for name in bundle.modules}

    def digest(self, name: str) -> str:
        """Return the digest of a module, its own imports, and the schemas that they read."""
        reached = self._from(name)
        modules, files = self._bundle.modules, self._bundle.files
        paths = {modules[each] for each in reached} | self._schemas_read_by(reached)
        made_of = [name, {each: modules[each] for each in reached}, {p: files[p] for p in paths}]
        return sha256(canonical(made_of)).hexdigest()[:_DIGITS]

    def _from(self, name: str) -> set[str]:
        reached, left = set[str](), self._under(name)
        while left:
            reached |= left
            left = set[str]().union(*(self._needs[each] for each in left)) - reached
        return reached

    def _under(self, name: str) -> set[str]:
        """Return a module and, of a package, all that may be asked of it."""
        return {n for n in self._bundle.modules if n == name or n.startswith(f"{name}.")}

    def _needed_by(self, name: str) -> set[str]:
        path = self._bundle.modules[name]
        needed = {*prefixes(name)}
        for each in imports_of(self._bundle.files[path], name, is_package(path), path):
            if each.module.partition(".")[0] in self._bundle.modules:
                needed |= self._needed_for(each)
        return needed & self._bundle.modules.keys()

    def _needed_for(self, statement: Import) -> set[str]:
        module, names, *_ = statement
        if not names:  # `import shop.visits` gives the name `shop`
            return self._under(module.partition(".")[0]) | {*prefixes(module)}
        needed = {*prefixes(module)}
        for name in names:
            child = f"{module}.{name}"
            is_child = child in self._bundle.modules and not self._binds(module, name)
            needed |= {child} if is_child else self._under(module)
        return needed

    def _binds(self, package: str, name: str) -> bool:
        """Whether a package may have something else by the name of its module."""
        text = self._bundle.files[self._bundle.modules[package]]
        return re.search(rf"\b{name}\b|\bimport\s*\*", text) is not None

    def _schemas_read_by(self, modules: set[str]) -> set[str]:
        """Return the schemas, if one of the modules may read them."""
        schemas = {*self._bundle.schemas}
        endings = {PurePosixPath(each).suffix or PurePosixPath(each).name for each in schemas}
        texts = (self._bundle.files[self._bundle.modules[each]] for each in modules)
        is_main = self._bundle.reference.partition(":")[0] in modules
        return schemas if is_main or any(e in text for text in texts for e in endings) else set()


def prefixes(name: str) -> Iterator[str]:
    """Yield the packages that a module is in, outermost first, and the module.

    Examples
    --------
    >>> [*prefixes("shop.models.trees")]
    ['shop', 'shop.models', 'shop.models.trees']
    """
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _defined(node: ast.AST, within: str = "") -> Iterator[str]:
    """Yield the qualified names of a module's classes and functions, but for those of functions."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name):
                yield within + name
                yield from _defined(child, f"{within}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield within + name
            case ast.Assign(targets=targets):
                yield from (within + each.id for each in targets if isinstance(each, ast.Name))
            case ast.stmt() | ast.ExceptHandler():
                yield from _defined(child, within)
