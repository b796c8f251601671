"""`millrace schemas` lists the schemas of all records, and writes them where nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pytest

from millrace import schemas
from millrace.schemas.files import schema_files
from millrace.streams.cli import run
from millrace.streams.topology.codec import SHIPPED

LOANS = "millrace.models.pipelines.loans"


def written(folder: Path) -> dict[str, str]:
    """Return the files below a folder, by their names."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    return {each.relative_to(folder).as_posix(): each.read_text() for each in files}


def test_all_schemas_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each record has its version, its file and its topics."""
    assert run(["schemas"]) == 0
    out = capsys.readouterr().out
    rows = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    for name in SHIPPED:
        assert any(row.startswith(f"{name} ") for row in rows), name
    assert any(row.startswith("Prediction 3 prediction.avsc predictions") for row in rows)


def test_schemas_of_a_pipeline_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With a pipeline, its events are there, and topics have their full names."""
    assert run(["schemas", "--pipeline", LOANS]) == 0
    out = capsys.readouterr().out
    assert "events/LoanApplication.avsc" in out
    assert "loans.predictions" in out


def test_the_files_are_those_of_the_package(tmp_path: Path) -> None:
    """Every schema that is complete by itself is written as it is, earlier versions as well."""
    assert run(["schemas", "--out", str(tmp_path / "new" / "folder")]) == 0
    found = written(tmp_path / "new" / "folder")
    assert found == {k: text for k, text in schema_files().items() if k != "event.avsc"}
    assert {"prediction.avsc", "versions/prediction.1.avsc"} <= found.keys()


def test_each_file_is_avro_to_others(tmp_path: Path) -> None:
    """Another Avro library parses each file by itself, those of a pipeline as well."""
    assert run(["schemas", "--pipeline", LOANS, "--out", str(tmp_path)]) == 0
    found = written(tmp_path)
    assert {"event.avsc", "events/LoanApplication.avsc"} <= found.keys()
    for text in found.values():
        assert fastavro.parse_schema(json.loads(text))["type"] == "record"


def test_a_file_that_differs_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written where a file is there that differs, unless --force says so."""
    (tmp_path / "label.avsc").write_text("mine")
    assert run(["schemas", "--out", str(tmp_path)]) == 2
    assert "label.avsc. Add --force" in capsys.readouterr().err
    assert written(tmp_path) == {"label.avsc": "mine"}
    assert run(["schemas", "--out", str(tmp_path), "--force"]) == 0
    assert run(["schemas", "--out", str(tmp_path)]) == 0
    own = Path(schemas.__file__).parent / "label.avsc"
    assert (tmp_path / "label.avsc").read_text() == own.read_text()


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the system is one line that names the folder."""
    (tmp_path / "file").touch()
    assert run(["schemas", "--out", str(tmp_path / "file" / "below")]) == 2
    assert "--out must be a folder that can be written" in capsys.readouterr().err
