"""Commands on a broker in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.streams.cli import run
from millrace.streams.kafka.fakes import FakeBroker, FakeClients

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of this machine."""
    for name in ("BROKER", "PIPELINE", "PIPELINE_NAME", "CHAIN", "STATE_KEY", "ARCHIVE"):
        monkeypatch.delenv(f"MILLRACE_{name}", raising=False)


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def call(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run a command on the broker; return its exit code, output and error."""

    def make(_settings: object) -> FakeClients:
        return FakeClients(broker)

    names = ("topics", "produce", "consume", "state", "models", "reproduce", "audit", "asking")
    for command in (*names, "restore", "deploy", "card"):
        monkeypatch.setattr(f"millrace.streams.cli.{command}.KafkaClients", make)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments, "-b", "fake"])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def lines_file(tmp_path: Path) -> Callable[..., str]:
    """Write documents to a file, one in a line; text goes as it is."""

    def write(*documents: object) -> str:
        file = tmp_path / "lines.jsonl"
        lines = [each if isinstance(each, str) else json.dumps(each) for each in documents]
        file.write_text("\n".join(lines) + "\n")
        return str(file)

    return write
