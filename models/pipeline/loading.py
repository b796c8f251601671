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
from threading import RLock
from types import ModuleType

from millrace.models.parameters import require
from millrace.models.pipeline.definition import Pipeline
from millrace.models.user_code import PASSED_ON
from millrace.schemas import DefinitionError

DEFAULT_ATTRIBUTE = "pipeline"
_BUNDLES = Path(__file__).parents[1] / "bundles"  # which imports, too


def load_pipeline(spec: str) -> Pipeline:
    """Return the pipeline that `spec` names.

    Parameters
    ----------
    spec
        `package.module:attribute` or `path/to/file.py:attribute`. Without `:attribute`, the
        attribute is `pipeline`. What it imports may lie beside the file, or in the working
        directory for a module: that folder is searched after all others, so that it shadows
        nothing, and from then on, since functions and saved state may import more later. The
        working directory never leads the import path, whoever put it there.

    Raises
    ------
    DefinitionError
        There is no such file, module or attribute, the attribute is no pipeline, or the
        module raises, exits or loads itself when it is imported.

    Examples
    --------
    >>> load_pipeline("millrace.models.pipelines.loans").name
    'loans'
    """
    must = "spec must be the text 'path/file.py' or 'package.module'"
    require(isinstance(spec, str), must, spec)
    target, _, attribute = spec.partition(":")
    module = _import(target)
    return pipeline_in(module, attribute or DEFAULT_ATTRIBUTE, spec)


def is_path(target: str) -> bool:
    """Whether a pipeline's module is named by its file."""
    return target.endswith(".py") or "/" in target


def module_name(path: Path) -> str:
    """Return the name that a file is imported under: the same one for the same file name.

    Saved state names the classes of a pipeline's file by it, and finds them again.
    """
    return "pipeline_" + re.sub(r"\W", "_", path.stem)


def _import(target: str) -> ModuleType:
    if is_path(target):
        return _import_file(Path(target))
    must = "pipeline must be path/file.py or package.module"
    require(target != "" and not target.startswith("."), must, target)
    _search_last(Path.cwd().resolve())
    with in_one_line(target):
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
    with _loading(path), _registered(name, module), in_one_line(str(path)):
        found.loader.exec_module(module)
    return module


def _search_last(folder: Path) -> None:
    """Append a folder to the import path, if it is not there, and move the working directory last.

    `python -m` and `faust` put the working directory first, where it would shadow what is
    installed.
    """
    here = Path.cwd().resolve()
    entries = [each for each in sys.path if not _is(each, here)]
    is_there = folder == here or len(entries) < len(sys.path)
    if folder != here and not any(_is(each, folder) for each in entries):
        entries.append(str(folder))
    # The slash: `faust` removes the working directory by its plain name once it has loaded.
    sys.path[:] = [*entries, f"{here}/"] if is_there else entries


def _is(entry: str, folder: Path) -> bool:
    return Path(entry).resolve() == folder


def pipeline_in(module: ModuleType, attribute: str, spec: str) -> Pipeline:
    """Return the pipeline that an attribute of a module is.

    Raises
    ------
    DefinitionError
        It is none; `spec` is quoted.
    """
    with in_one_line(spec):
        found = getattr(module, attribute, None)
        names = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    if isinstance(found, Pipeline):
        return found
    is_what = "not there" if found is None else f"of type {type(found).__name__}"
    fix = f". Name one of them: {spec.partition(':')[0]}:{names[0]}" if names else ""
    raise DefinitionError(
        f"pipeline must name a Pipeline; got {spec!r}: {attribute!r} is {is_what},"
        f" and the pipelines of the module are {names}{fix}"
    )


_being_loaded: set[Path] = set()
one_at_a_time = RLock()
"""What holds it imports a definition."""


@contextlib.contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Refuse a file that loads itself, directly or by another; let other threads wait."""
    with one_at_a_time:
        if path in _being_loaded:
            raise DefinitionError(f"pipeline must be a file that does not load itself; got {path}")
        _being_loaded.add(path)
        try:
            yield
        finally:
            _being_loaded.discard(path)


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
def in_one_line(target: str) -> Iterator[None]:
    """Report whatever the import of `target` raises as a DefinitionError of one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        if f"{target}.".startswith(f"{error.name}."):
            raise DefinitionError(
                f"pipeline must be a module that exists; got {target!r}: there is no {error.name!r}"
            ) from error
        raise _raised(target, error) from error
    except PASSED_ON:
        raise
    except BaseException as error:  # a user's module may raise anything, and may exit
        raise _raised(target, error) from error


def _raised(target: str, error: BaseException) -> DefinitionError:
    is_ours = isinstance(error, DefinitionError)
    message = _text(error) if is_ours else f"{type(error).__name__}: {_text(error)}"
    if isinstance(error, SystemExit):
        message += ". A pipeline's module must not end the process"
    return DefinitionError(f"{_place(target, error)}: {message}")


def _text(error: BaseException) -> str:
    """Return what an error says, in one line that any terminal takes."""
    try:
        text = str(error)
    except Exception:  # the user's own error may raise another when it is shown
        text = "an error that cannot be shown"
    return " ".join(text.split()).encode(errors="backslashreplace").decode()


def _place(target: str, error: BaseException) -> str:
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
    is_ours = filename in machinery or Path(filename).parent == _BUNDLES
    return not is_ours and not filename.startswith("<frozen")
