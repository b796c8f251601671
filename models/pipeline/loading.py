"""Find a user's pipeline: from `module:attribute` or `path/file.py:attribute` to a `Pipeline`.

Every command begins here. What is wrong with the file is reported in one line, so that users see
their own mistake and not the machinery that found it.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import DefinitionError

DEFAULT_ATTRIBUTE = "pipeline"


def load_pipeline(spec: str) -> Pipeline:
    """Return the pipeline that `spec` names.

    Parameters
    ----------
    spec
        `package.module:attribute` or `path/to/file.py:attribute`. Without `:attribute`, the
        attribute is `pipeline`. What it imports may lie beside the file, or in the working
        directory for a module: that folder is searched after all others, so that it shadows
        nothing, and from then on, since functions and saved state may import more later.

    Raises
    ------
    DefinitionError
        There is no such file, module or attribute, the attribute is no pipeline, or the
        module raises when it is imported.

    Examples
    --------
    >>> load_pipeline("millrace.models.pipelines.loans").name
    'loans'
    """
    target, _, attribute = spec.partition(":")
    module = _import(target)
    return _pipeline(module, attribute or DEFAULT_ATTRIBUTE, spec)


def module_name(path: Path) -> str:
    """Return the name that a file is imported under: the same one for the same file name.

    Saved state names the classes of a pipeline's file by it, and finds them again.
    """
    return "pipeline_" + re.sub(r"\W", "_", path.stem)


def _import(target: str) -> ModuleType:
    if target.endswith(".py") or "/" in target:
        return _import_file(Path(target))
    _search_last(Path.cwd())
    with _in_one_line(target):
        return importlib.import_module(target)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise DefinitionError(f"pipeline must be a file that exists; got {str(path)!r}")
    name, path = module_name(path), path.resolve()
    found = spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise DefinitionError(f"pipeline must be a Python file, .py; got {str(path)!r}")
    _search_last(path.parent)
    module = module_from_spec(found)
    with _registered(name, module), _in_one_line(str(path)):
        found.loader.exec_module(module)
    return module


def _search_last(folder: Path) -> None:
    """Append a folder to the import path, if it is not there."""
    if not any(Path(each).resolve() == folder for each in sys.path):
        sys.path.append(str(folder))


def _pipeline(module: ModuleType, attribute: str, spec: str) -> Pipeline:
    found = getattr(module, attribute, None)
    if isinstance(found, Pipeline):
        return found
    is_what = "not there" if found is None else f"of type {type(found).__name__}"
    names = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    raise DefinitionError(
        f"pipeline must name a Pipeline; got {spec!r}: {attribute!r} is {is_what},"
        f" and the pipelines of the module are {names}"
    )


@contextlib.contextmanager
def _registered(name: str, module: ModuleType) -> Iterator[None]:
    """Register a module while it is imported, and keep it only if that succeeds."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise


@contextlib.contextmanager
def _in_one_line(target: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if f"{target}.".startswith(f"{error.name}."):
            raise DefinitionError(
                f"pipeline must be a module that exists; got {target!r}: there is no {error.name!r}"
            ) from error
        raise _raised(target, error) from error
    except Exception as error:  # a user's module may raise anything
        raise _raised(target, error) from error


def _raised(target: str, error: Exception) -> DefinitionError:
    is_ours = isinstance(error, DefinitionError)
    message = str(error) if is_ours else f"{type(error).__name__}: {error}"
    return DefinitionError(f"{_place(target, error)}: {message}")


def _place(target: str, error: Exception) -> str:
    """Return the line of the user's module that led to the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if _is_users(each.filename)
    ]
    if not frames:
        return target
    own = frames[0].filename
    return f"{own}:{[each.lineno for each in frames if each.filename == own][-1]}"


def _is_users(filename: str) -> bool:
    machinery = (__file__, contextlib.__file__, importlib.__file__)
    return filename not in machinery and not filename.startswith("<frozen")
