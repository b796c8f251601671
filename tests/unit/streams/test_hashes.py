"""A command that runs models starts over with the hash seed that all workers have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from millrace.streams import hashes
from millrace.streams.cli import RUN_MODELS

PIPELINE = """
import sys
sys.exit(f"hash of a text: {hash('sky')}, arguments: {sys.argv[1:]}")
"""


def test_every_process_has_the_same_hashes(tmp_path):
    """Whatever PYTHONHASHSEED the command was started with, and with its arguments as they were."""
    file = tmp_path / "own.py"
    file.write_text(PIPELINE)
    said = {
        subprocess.run(
            [sys.executable, "-m", "millrace.streams.cli", "check", str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        ).stderr
        for seed in ("0", "7", "random")
    }
    assert len(said) == 1
    assert f"arguments: ['check', '{file}']" in said.pop()


def test_those_are_the_commands_that_run_models():
    """`demo` starts a worker; the others only read and write topics."""
    assert {"check", "deploy", "replay", "reproduce", "state", "worker"} == RUN_MODELS


@pytest.mark.parametrize("seed", [None, "1", "random"])
def test_a_process_starts_over_once(seed, monkeypatch):
    """It is replaced by one with the seed, and stays as it is where it has it."""
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _path, arguments: started.append(arguments))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    if seed is not None:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
    assert not hashes.has_fixed_hashes()
    hashes.fix_hashes()
    hashes.fix_hashes()
    assert started == [[sys.executable, *sys.orig_argv[1:]]]
    assert hashes.has_fixed_hashes()
