"""Folders with a pipeline and what it imports, written for a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect

SCHEMA = """{"type": "record", "name": "Visit", "fields": [
    {"name": "id", "type": "string"}, {"name": "x", "type": "double"}]}"""
PIPELINE = f"""
SCHEMA = {SCHEMA}
pipeline = Pipeline(
    name="visits", schema=SCHEMA, event_id="id", task="binary", models={{"own": Own}}
)
"""

Write = Callable[..., Path]
Make = Callable[..., Bundle]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write files, each set in a folder of its own that is the working directory from then on."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = [0]

    def forget() -> None:
        for name, module in [*sys.modules.items()]:
            places = repr([vars(module).get(each) for each in ("__file__", "__path__")])
            if str(tmp_path) in places:
                del sys.modules[name]

    def write(files: dict[str, str]) -> Path:
        forget()
        written[0] += 1
        folder = tmp_path / str(written[0])
        folder.mkdir()
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(text.encode(errors="surrogateescape"))
        monkeypatch.chdir(folder)
        return folder

    yield write
    forget()


@pytest.fixture
def make(write: Write) -> Make:
    """Return the bundle of files, whose folder is empty when it is returned."""

    def make(files: dict[str, str], spec: str = "visits.py") -> Bundle:
        folder = write(files)
        bundle = collect(spec)
        for name in files:
            (folder / name).unlink()
        return bundle

    return make
