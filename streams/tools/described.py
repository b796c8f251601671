"""The description of a pipeline that another one is compared with.

It comes from a file of JSON, or from the pipeline's own file, which is loaded in an interpreter of
its own: the two versions of a file, and of the modules beside it, have the same names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from millrace.models.identity.definition import Description, describe, read_description
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import DefinitionError


def described(source: str) -> Description:
    """Return a description.

    Parameters
    ----------
    source
        A file of a description in JSON, whose name ends with `.json`; or where the definition is,
        as `load_pipeline` takes it.

    Raises
    ------
    DefinitionError
        There is no such file, or it holds neither.
    """
    if not source.endswith(".json"):
        return _in_another_process(source)
    try:
        found = json.loads(Path(source).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DefinitionError(f"a description must be readable; got {source!r}: {error}") from error
    return read_description(found, source)


def _in_another_process(spec: str) -> Description:
    command = [sys.executable, "-P", "-m", __name__, spec]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603 - Python itself
    if not done.stdout:
        raise DefinitionError(f"pipeline must be a file that lets Python go on; got {spec!r}")
    found = json.loads(done.stdout)
    if "error" in found:
        raise DefinitionError(found["error"])
    return read_description(found["description"], spec)


def _report(spec: str) -> None:
    """Describe a pipeline, and write what is found where nothing else is written to."""
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        try:
            json.dump({"description": describe(load_pipeline(spec))}, answer)
        except DefinitionError as error:
            json.dump({"error": str(error)}, answer)


if __name__ == "__main__":
    _report(sys.argv[1])
