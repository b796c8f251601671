"""Find a user's pipeline: from `module:attribute` or `path/file.py:attribute` to a `Pipeline`.

Every command begins here. What is wrong with the file is said in one line, so that a user sees
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
        attribute is `pipeline`. Beside the file, and in the working directory for a module,
        other modules can be imported while it loads.

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
    with _importable(Path.cwd()), _one_line(target):
        return importlib.import_module(target)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise DefinitionError(f"a pipeline requires a file that exists; got {str(path)!r}")
    name, path = module_name(path), path.resolve()
    found = spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise DefinitionError(f"a pipeline requires a file of Python, .py; got {str(path)!r}")
    module = module_from_spec(found)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with _importable(path.parent), _one_line(str(path)):
            found.loader.exec_module(module)
    except DefinitionError:
        _restore(name, before)
        raise
    return module


def _restore(name: str, before: ModuleType | None) -> None:
    if before is None:
        del sys.modules[name]
    else:
        sys.modules[name] = before


def _pipeline(module: ModuleType, attribute: str, spec: str) -> Pipeline:
    found = getattr(module, attribute, None)
    if isinstance(found, Pipeline):
        return found
    names = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    there = f"it has {', '.join(map(repr, names))}" if names else "it has none"
    got = "no such name" if found is None else f"a {type(found).__name__}"
    raise DefinitionError(f"{spec!r} requires a Pipeline called {attribute!r}; got {got}; {there}")


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextlib.contextmanager
def _one_line(target: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and f"{target}.".startswith(f"{error.name}."):
            raise DefinitionError(
                f"a pipeline requires a module that exists; got {target!r}: there is no"
                f" {error.name!r}"
            ) from error
        raise _raised(target, error) from error
    except Exception as error:  # a user's module may raise whatever it likes
        raise _raised(target, error) from error


def _raised(target: str, error: Exception) -> DefinitionError:
    said = str(error) if isinstance(error, DefinitionError) else f"{type(error).__name__}: {error}"
    return DefinitionError(f"{_place(target, error)}: {said}")


def _place(target: str, error: Exception) -> str:
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
