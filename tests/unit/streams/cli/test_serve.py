"""`millrace serve` and `millrace token` refuse what would not do."""

from __future__ import annotations

import pytest

from millrace.streams.cli import run
from millrace.streams.serve.tokens import hashed, read_tokens

BROKER = ["-b", "127.0.0.1:1"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-p", "loans"], "broker must be the address of a running broker"),
        (BROKER, "pipeline must be the name of a pipeline, not its file; got ''"),
        (["-p", "loans.py", *BROKER], "not its file; got 'loans.py'"),
        (["-p", "loans", *BROKER, "--host", "0.0.0.0"], "serve_tokens must be set"),
        (["-p", "loans", *BROKER, "--tokens", "/no/file"], "tokens must be a file"),
        (["-p", "loans", *BROKER, "--port", "70000"], "serve_port must be less than"),
    ],
)
def test_what_would_not_do_is_refused(arguments, error, capsys):
    """In one line, before anything is asked of the broker."""
    assert run(["serve", *arguments]) == 2
    assert error in capsys.readouterr().err


def test_a_token_is_printed_once(tmp_path, capsys):
    """The file has its hash, and whose it is."""
    path = tmp_path / "tokens"
    arguments = ["token", "--file", str(path), "--name", "anna", "--role", "producer"]
    assert run(arguments) == 0
    token = capsys.readouterr().out.strip()
    assert read_tokens(path)[hashed(token)] == ("anna", "producer")
    assert run(arguments) == 2
    assert "name must be a new one" in capsys.readouterr().err
