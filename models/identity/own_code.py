"""The code of a pipeline's author, as data: its syntax, and what of the author's it refers to.

Two codes are the same if their syntax trees are, but for positions, comments, docstrings and type
hints. `inspect.getsource` cannot tell this: it returns the same line for two lambdas on it, and
knows nothing of closures and helpers.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from millrace.models.identity.source import (
    Code,
    functions_of,
    is_generated,
    is_own,
    node_of,
    space_of,
)

Syntax: TypeAlias = list[Any] | str

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "returns", "annotation", "type_params"})
_SAID_BY_IMPORT = frozenset(
    {"__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__"}
    | {"__path__", "__spec__"}
)
_READ_BY_NAME = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


class Reference(NamedTuple):
    """Something that code refers to, by the name that it has there."""

    name: str
    value: object


def syntax_of(code: Code) -> Syntax:
    """Return the syntax of a function or class.

    Raises
    ------
    DefinitionError
        Its source cannot be found.
    """
    return _as_data(node_of(code))


def constants_of(code: Code) -> set[str]:
    """Return the text that a function or class has written out."""
    constants = (n.value for n in ast.walk(node_of(code)) if isinstance(n, ast.Constant))
    return {each for each in constants if isinstance(each, str)}


def references_of(code: Code) -> Iterator[Reference]:
    """Yield what a function or class refers to beyond itself, in order of the names.

    These are names of its module, what its closure has kept, and the defaults of its parameters.
    Where a module lies, and what it is imported as, is no part of it.
    What a module of the author's is asked for is yielded, and not the module.
    """
    functions = functions_of(code)
    for each in functions:
        yield from (kept for kept in _kept_by(each) if not is_generated(kept.value, code))
    node = node_of(code)
    space = space_of(code)
    names = set().union(*(_global_names(each.__code__) for each in functions))
    if isinstance(node, ast.ClassDef):
        names |= {*_names_in_body(node)}
    for name in sorted((names & space.keys()) - _SAID_BY_IMPORT):
        yield from _resolved(name, space[name], node)


def _resolved(name: str, value: object, node: ast.AST) -> Iterator[Reference]:
    if not isinstance(value, ModuleType) or not is_own(value.__name__):
        yield Reference(name, value)
        return
    asked = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) == name
    }
    for attribute in sorted(asked & vars(value).keys()):
        yield from _resolved(f"{name}.{attribute}", getattr(value, attribute), node)


def _kept_by(function: FunctionType) -> Iterator[Reference]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__":
            yield Reference(name, cell.cell_contents)
    yield from (Reference("default", each) for each in function.__defaults__ or ())
    for name, value in (function.__kwdefaults__ or {}).items():
        yield Reference(name, value)


def _global_names(code: CodeType) -> set[str]:
    """Return the names of its module that code reads, nested functions included."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in _READ_BY_NAME}
    return names.union(*(_global_names(c) for c in code.co_consts if isinstance(c, CodeType)))


def _names_in_body(node: ast.AST) -> Iterator[str]:
    """Yield the names that a class reads as it is made, and its methods' decorators."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            yield each.id
        if not isinstance(each, _FUNCTIONS):
            yield from _names_in_body(each)
        for decorator in getattr(each, "decorator_list", ()):
            yield from (n.id for n in ast.walk(decorator) if isinstance(n, ast.Name))


def _as_data(node: object) -> Syntax:
    if isinstance(node, list):
        return [_as_data(each) for each in node]
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, repr(node.value)]
    if not isinstance(node, ast.AST):
        return str(node)
    found: list[Any] = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name in _LEFT_OUT or value is None or value == []:
            continue
        is_body = name == "body" and isinstance(node, _DOCUMENTED)
        found.append([name, _as_data(_without_docstring(value) if is_body else value)])
    return found


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body
