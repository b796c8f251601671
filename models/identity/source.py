"""Where the author's code is: its module, its folder, and its part of the file's syntax tree.

A function is found by where its instructions stand, to the column, a class by its name and where
its methods are; so two lambdas on a line differ, and what another version of a file has under the
same name is not taken for it.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

from millrace.models.user_code import shown
from millrace.schemas import DefinitionError

Code: TypeAlias = FunctionType | type

_LIBRARIES = frozenset({"millrace", "river", *sys.stdlib_module_names})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SHIPPED_PIPELINES = ("millrace.models.pipelines.", "millrace.streams.demo.")
_TEXTS = "__millrace_texts__"  # among the names of a module: the text of its file
_HOLDING_FUNCTIONS = ("fget", "fset", "fdel", "__func__", "func", "__wrapped__")


def is_own(module: str) -> bool:
    """Whether a module is the author's: neither Python's, Millrace's nor an installed library's.

    Examples
    --------
    >>> is_own("river.tree"), is_own("millrace.models.pipelines.loans")
    (False, True)
    """
    if module.startswith(_SHIPPED_PIPELINES):
        return True
    if module.partition(".")[0] in _LIBRARIES:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is None or _INSTALLED.isdisjoint(Path(file).parts)


def home_of(code: Code) -> str:
    """Return the module that code is written in, which a decorator's may say of another."""
    if isinstance(code, FunctionType):
        return str(code.__globals__.get("__name__"))
    return code.__module__


def folder_of(code: Code) -> str:
    """Return the folder of the file that code is in; empty for code that is in none."""
    file = space_of(code).get("__file__")
    return str(PurePath(file).parent) if isinstance(file, str) else ""


def space_of(code: Code) -> dict[str, Any]:
    """Return the names of the module that code is in: another may have its name by now."""
    functions = functions_of(code)
    if functions:
        return functions[0].__globals__
    return vars(sys.modules.get(code.__module__, ModuleType(code.__module__)))


def node_of(code: Code) -> ast.AST:
    """Return the syntax of a function or class.

    Raises
    ------
    DefinitionError
        Its source cannot be found.
    """
    tree = _tree(code)
    nodes = () if tree is None else ast.walk(tree)
    found: Iterable[ast.AST] = (
        _functions_at(nodes, code.__code__)
        if isinstance(code, FunctionType)
        else _classes_of(nodes, code)
    )
    node = next(iter(found), None)
    if node is None:
        raise DefinitionError(
            f"the source of {shown(code)} must be readable, so that a change of it is seen; it is"
            f" not in module {code.__module__!r} as it is. Define it in a file"
        )
    return node


def _functions_at(nodes: Iterable[ast.AST], code: CodeType) -> Iterator[ast.AST]:
    span = _span(code)
    for node in nodes:
        if isinstance(node, ast.Lambda):
            body = node.body
            if span == (body.lineno, body.col_offset, body.end_lineno, body.end_col_offset):
                yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(each.lineno for each in (node, *node.decorator_list))
            if node.name == code.co_name and first == code.co_firstlineno:
                yield node


def _span(code: CodeType) -> tuple[int, int, int, int]:
    """Return where the instructions of code begin and end: a lambda's, where its body does."""
    known = [each for each in code.co_positions() if None not in each and each[2:] != (0, 0)]
    starts = [(line, column) for line, _, column, _ in known]
    ends = [(line, column) for _, line, _, column in known]
    return (*min(starts), *max(ends)) if known else (0, 0, 0, 0)  # type: ignore[return-value]  # none of them is None


def _classes_of(nodes: Iterable[ast.AST], kind: type) -> list[ast.ClassDef]:
    """Return the classes of this name, the one that has its methods first, or else the last."""
    named = [n for n in nodes if isinstance(n, ast.ClassDef) and n.name == kind.__name__][::-1]
    lines = {each.__code__.co_firstlineno for each in _functions_in(kind)}
    return sorted(named, key=lambda n: not any(n.lineno <= x <= (n.end_lineno or 0) for x in lines))


def _tree(code: Code) -> ast.Module | None:
    with suppress(SyntaxError):
        return _parsed(_text(code))
    return None


def _text(code: Code) -> str:
    """Return the file that code is in, as it was at first: it may be edited while its code runs."""
    space, functions = space_of(code), functions_of(code)
    file = functions[0].__code__.co_filename if functions else space.get("__file__", "")
    texts: dict[str, str] = space.setdefault(_TEXTS, {})
    if file not in texts:
        texts[file] = _loaded_text(space, file) or _cached_text(space, file)
    return texts[file]


def _loaded_text(space: dict[str, Any], file: str) -> str:
    """Return a module's file by what has loaded the module; empty where that does not have it."""
    get_source = getattr(space.get("__loader__"), "get_source", None)
    if get_source is None or file != space.get("__file__"):
        return ""
    with suppress(ImportError, OSError):
        return get_source(space["__name__"]) or ""
    return ""


def _cached_text(space: dict[str, Any], file: str) -> str:
    """Return any other file, such as an interpreter's input.

    With threads, `linecache` may say that a file is empty that another one is just reading: so
    nothing is asked of it that is known otherwise.
    """
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, space))


@lru_cache(64)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def functions_of(code: Code) -> list[FunctionType]:
    """Return a function, or those that a class has."""
    return [code] if isinstance(code, FunctionType) else [*_functions_in(code)]


def _functions_in(kind: type) -> Iterator[FunctionType]:
    for value in vars(kind).values():
        for each in (value, *(getattr(value, name, None) for name in _HOLDING_FUNCTIONS)):
            is_function = isinstance(each, FunctionType) and each.__module__ == kind.__module__
            if is_function and not is_generated(each, kind):
                yield each


def is_generated(value: object, owner: Code) -> bool:
    """Whether a class's own source says what a function does that has none: a dataclass's."""
    is_class = isinstance(owner, type)
    return is_class and isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"
