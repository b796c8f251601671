"""What a module imports, by its syntax tree: at its top, in functions, wherever it stands.

Imports for type checkers only are left out, since they are never run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from millrace.schemas import DefinitionError

_CAUGHT = (ast.Try, ast.TryStar, ast.With)  # in whose bodies a module may be missing


class Import(NamedTuple):
    """A statement that imports, or a call that does with the name of the module in it.

    Attributes
    ----------
    module
        The full name of the module.
    names
        What is imported of it; empty where it is the module itself.
    line
        Where, from 1.
    is_required
        Whether the module has to be there.
    is_hidden
        Whether it is a call of `import_module`, which cannot be led to a bundle's module.
    """

    module: str
    names: tuple[str, ...]
    line: int
    is_required: bool
    is_hidden: bool = False


@lru_cache(512)
def imports_of(text: str, name: str, is_package: bool, path: str) -> Sequence[Import]:
    r"""Return what a module's source imports.

    Parameters
    ----------
    text
        The source.
    name
        Of the module.
    is_package
        Whether relative imports begin at the module itself.
    path
        Of the source, for messages.

    Raises
    ------
    DefinitionError
        The source is no Python of this version.

    Examples
    --------
    >>> source = "import a.b\nfrom .c import d"
    >>> [(each.module, each.names) for each in imports_of(source, "shop.visits", False, "")]
    [('a.b', ()), ('shop.c', ('d',))]
    """
    package = name if is_package else name.rpartition(".")[0]
    found = [*_found(tree_of(text, path), package)]
    return sorted(found, key=lambda each: each.line)


@lru_cache(512)
def tree_of(text: str, path: str) -> ast.Module:
    """Return the syntax tree of a source.

    Raises
    ------
    DefinitionError
        It is no Python of this version.
    """
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise DefinitionError(f"{path}:{line}: {type(error).__name__}: {error}") from error


def _found(tree: ast.Module, package: str) -> Iterator[Import]:
    for node, is_required in _nodes(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, (), node.lineno, is_required)
            case ast.ImportFrom():
                module = _absolute(node.module or "", node.level, package)
                names = tuple(alias.name for alias in node.names)
                if module:
                    yield Import(module, names, node.lineno, is_required)
            case ast.Call(func=called, args=[ast.Constant(value=str(module)), *_]):
                function = _name(called)
                if function == "__import__":
                    yield Import(module, (), node.lineno, is_required)
                elif function == "import_module":
                    level = len(module) - len(module.lstrip("."))
                    module = _absolute(module[level:], level, package)
                    yield Import(module, (), node.lineno, is_required, is_hidden=True)


def _nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the nodes that are run, and whether what they import has to be there."""
    left: list[tuple[ast.AST, bool]] = [(tree, True)]
    while left:
        node, is_required = left.pop()
        yield node, is_required
        is_for_types = isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"
        body = getattr(node, "body", ()) if is_for_types or isinstance(node, _CAUGHT) else ()
        for child in ast.iter_child_nodes(node):
            if child not in body:
                left.append((child, is_required))
            elif not is_for_types:
                left.append((child, False))


def _name(node: ast.AST) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _absolute(module: str, level: int, package: str) -> str:
    """Return a module's full name; empty where a relative one leads out of the package."""
    if level == 0:
        return module
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
