"""What is in the archive is shown, and asked for, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace.streams.cli import run
from millrace.streams.kafka.fakes import FakeBroker
from tests.unit.streams.cli.conftest import Call
from tests.unit.streams.state.archive.conftest import Archive
from tests.unit.streams.tools.conftest import EVENTS, KEY

LOANS = ("-p", "millrace.models.pipelines.loans")
ASKING = (*LOANS, "--reason", "a trial", "--wait", "0")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Archive a state as the version `v`."""
    found = Archive(str(tmp_path / "archive"))
    found.left.write()
    found.left.save()
    found.writer.write("v", 0, {})
    monkeypatch.setenv("MILLRACE_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("MILLRACE_STATE_KEY", KEY.decode())
    return found


def commands(broker: FakeBroker) -> list[dict[str, object]]:
    return [json.loads(each.value() or b"") for each in broker.records("loans.commands", 0)]


def test_versions_are_listed(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """For people, or as JSON with offsets and digests."""
    assert run(["versions", *LOANS]) == 0
    out = capsys.readouterr().out
    assert all(each in out for each in ("v", "2026-11-26T16:58:00", "the first"))
    assert run(["versions", *LOANS, "--json"]) == 0
    (version,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert version["version"] == "v"
    assert version["partitions"][0]["covers"] == {"features": EVENTS}


def test_what_cannot_be_used_is_named(
    archive: Archive, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On standard error; the exit code is 1."""
    file = next((tmp_path / "archive" / "loans" / "v").iterdir())
    file.write_bytes(b"changed")
    assert run(["versions", *LOANS]) == 1
    assert "v/prediction-learning.0 cannot be used" in capsys.readouterr().err


def test_a_version_is_restored_by_a_command(
    archive: Archive, call: Call, broker: FakeBroker
) -> None:
    """It has the digest and the size of each file."""
    call("topics", *LOANS, "--create")
    code, out, err = call("restore", "--to", "v", *ASKING)
    assert (code, err) == (0, "")
    assert "partitions 0" in out
    (sent,) = commands(broker)
    assert sent["command"] == "restore"
    archived = json.loads(sent["arguments"]["archived"])  # type: ignore[index,call-overload]
    ((agent, digest, size),) = archived["files"].values()
    file = archive.reader.checked("v", next(iter(archive.store.versions()["v"])))
    assert (agent, digest, size) == ("prediction-learning", file.digest, file.size)


def test_a_version_that_is_not_there_is_not_asked_for(
    archive: Archive, call: Call, broker: FakeBroker
) -> None:
    """The error says which there are."""
    call("topics", *LOANS, "--create")
    code, _, err = call("restore", "--to", "w", *ASKING)
    assert (code, commands(broker)) == (2, [])
    assert "got 'w'. The last ones are: v" in err


@pytest.mark.parametrize("command", ["snapshot", "restore --to v"])
def test_without_an_archive_nothing_is_asked_for(
    command: str, call: Call, broker: FakeBroker
) -> None:
    """The error names the setting."""
    call("topics", *LOANS, "--create")
    code, _, err = call(*command.split(), *ASKING)
    assert (code, commands(broker)) == (2, [])
    assert "Set MILLRACE_ARCHIVE" in err


def test_a_snapshot_is_asked_for(archive: Archive, call: Call, broker: FakeBroker) -> None:
    """Here nobody waits for it to be archived."""
    call("topics", *LOANS, "--create")
    assert call("snapshot", *ASKING)[0] == 0
    assert [each["command"] for each in commands(broker)] == ["snapshot"]
