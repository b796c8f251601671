"""The code of a pipeline's author, as data: its syntax, and what of the author's it refers to.

Two codes are the same if their syntax trees are, but for positions, comments, docstrings and type
hints. `inspect.getsource` cannot tell this: it returns the same line for two lambdas on it, and
knows nothing of closures and helpers.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from millrace.models.user_code import shown
from millrace.schemas import DefinitionError

Code: TypeAlias = FunctionType | type
Syntax: TypeAlias = list[Any] | str

_LIBRARIES = frozenset({"millrace", "river", *sys.stdlib_module_names})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_SHIPPED_PIPELINES = ("millrace.models.pipelines.", "millrace.streams.demo.")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "returns", "annotation", "type_params"})
_SAID_BY_IMPORT = frozenset(
    {"__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__"}
    | {"__path__", "__spec__"}
)
_HOLDING_FUNCTIONS = ("fget", "fset", "fdel", "__func__", "func", "__wrapped__")
_READ_BY_NAME = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


class Reference(NamedTuple):
    """Something that code refers to, by the name that it has there."""

    name: str
    value: object


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
    functions = _functions_of(code)
    file = (
        functions[0].__globals__.get("__file__")
        if functions
        else getattr(sys.modules.get(code.__module__), "__file__", None)
    )
    return str(PurePath(file).parent) if isinstance(file, str) else ""


def syntax_of(code: Code) -> Syntax:
    """Return the syntax of a function or class.

    Raises
    ------
    DefinitionError
        Its source cannot be found.
    """
    return _as_data(_node_of(code))


def constants_of(code: Code) -> set[str]:
    """Return the text that a function or class has written out."""
    constants = (n.value for n in ast.walk(_node_of(code)) if isinstance(n, ast.Constant))
    return {each for each in constants if isinstance(each, str)}


def references_of(code: Code) -> Iterator[Reference]:
    """Yield what a function or class refers to beyond itself, in order of the names.

    These are names of its module, what its closure has kept, and the defaults of its parameters.
    Where a module lies, and what it is imported as, is no part of it.
    What a module of the author's is asked for is yielded, and not the module.
    """
    functions = _functions_of(code)
    for each in functions:
        yield from (kept for kept in _kept_by(each) if not _is_generated(kept.value, code))
    node = _node_of(code)
    space = functions[0].__globals__ if functions else vars(sys.modules[code.__module__])
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


def _functions_of(code: Code) -> list[FunctionType]:
    return [code] if isinstance(code, FunctionType) else [*_functions_in(code)]


def _functions_in(kind: type) -> Iterator[FunctionType]:
    for value in vars(kind).values():
        for each in (value, *(getattr(value, name, None) for name in _HOLDING_FUNCTIONS)):
            is_function = isinstance(each, FunctionType) and each.__module__ == kind.__module__
            if is_function and not _is_generated(each, kind):
                yield each


def _is_generated(value: object, owner: Code) -> bool:
    """Whether a class's own source says what a function does that has none: a dataclass's."""
    is_class = isinstance(owner, type)
    return is_class and isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"


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


def _node_of(code: Code) -> ast.AST:
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
    """Return the syntax of the file that code is in: a module of its name may be another by now."""
    functions = _functions_of(code)
    try:
        if not functions:
            return _parsed(inspect.getsource(sys.modules[code.__module__]))
        file = functions[0].__code__.co_filename
        linecache.checkcache(file)
        return _parsed("".join(linecache.getlines(file, functions[0].__globals__)))
    except (KeyError, OSError, TypeError, SyntaxError):
        return None


@lru_cache(64)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)
