"""Make a bundle of a pipeline's module: with what it imports, and the schemas that it reads.

The syntax trees say what is imported (`sources`). Then the bundle is loaded, so that what is made
can be loaded; a schema that only this shows is added.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from posixpath import normpath

from millrace.models.bundles.bundle import LEVELS_UP, Bundle
from millrace.models.bundles.files import HERE, ROOT, path_in_bundle
from millrace.models.bundles.importing import try_to_load
from millrace.models.bundles.sources import Sources, main_of, text_of
from millrace.models.pipeline.loading import DEFAULT_ATTRIBUTE
from millrace.schemas import DefinitionError

_MISSING = "No such file or directory"  # what a library says, which `files.opened` does not serve


def collect(spec: str, description: Mapping[str, object] | None = None) -> Bundle:
    """Return the bundle of a pipeline, once it has been loaded.

    Parameters
    ----------
    spec
        As `load_pipeline` takes it.
    description
        Of the pipeline's parts: any object of JSON.

    Raises
    ------
    DefinitionError
        It cannot be loaded, or cannot travel: a module is missing, compiled, or too large, a schema
        lies elsewhere, or the module is `__main__`.

    Examples
    --------
    >>> bundle = collect("millrace.models.pipelines.loans")
    >>> bundle.reference, [*bundle.files]
    ('millrace.models.pipelines.loans:pipeline', ['loans.py', 'loans.avsc'])
    """
    target, _, attribute = spec.partition(":")
    main = main_of(target)
    sources = Sources(main)
    paths = {name: _relative(path, main.folder) for name, path in sources.paths.items()}
    texts = {path: sources.texts[sources.paths[name]] for name, path in paths.items()}
    schemas = {_relative(path, main.folder): text_of(path, "utf-8") for path in sources.schemas()}
    bundle = Bundle(
        reference=f"{main.name}:{attribute or DEFAULT_ATTRIBUTE}",
        modules=paths,
        files=texts | schemas,
        description={} if description is None else description,
        made_with={
            "millrace": version("millrace"),
            "river": version("river"),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        },
    )
    more = _other_schemas(bundle, main.folder)
    return replace(bundle, files={**bundle.files, **more}) if more else bundle


def _other_schemas(bundle: Bundle, folder: Path) -> dict[str, str]:
    """Load a bundle; return the schemas that it has asked for and not found, by path."""
    found: dict[str, str] = {}

    def read(path: Path) -> str:
        inside = path_in_bundle(str(path))
        if inside is None and path.is_absolute():
            raise _elsewhere(path)
        real = Path.cwd() / path if inside is None else folder / inside
        found[_relative(real, folder)] = text = text_of(real, "utf-8")
        return text

    try:
        try_to_load(bundle, read)
    except DefinitionError as error:  # the author knows the files by where they are
        message = re.sub(rf"{ROOT}/\w+/{HERE}\b", lambda _: str(folder), str(error))
        if message != str(error) and _MISSING in message:
            message += ". Beside modules, only schemas (.avsc) travel: have its data in a module"
        raise DefinitionError(message) from error
    return found


def _relative(path: Path, folder: Path) -> str:
    path = Path(normpath(path))
    for levels, base in enumerate((folder, *folder.parents)):
        if levels <= LEVELS_UP and path.is_relative_to(base):
            return "../" * levels + path.relative_to(base).as_posix()
    raise _elsewhere(path)


def _elsewhere(path: Path) -> DefinitionError:
    return DefinitionError(
        "schemas and modules must lie beside the pipeline's file, below it or at most"
        f" {LEVELS_UP} folders above, so that they can travel; got {str(path)!r}. Move it, and name"
        " a schema by Path(__file__).parent / 'name.avsc'"
    )
