"""The command line as a whole: help, version, errors of one line, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import click
import pytest

from millrace.schemas import MillraceError
from millrace.streams.cli import COMMANDS, SECTIONS, cli, run
from millrace.streams.control.commands import COMMANDS as OF_THE_LOG
from millrace.streams.redaction import keep_secret

LOANS = ["-p", "millrace.models.pipelines.loans"]


def test_help_lists_what_newcomers_need_first(capsys):
    """The commands have two headings, in the order in which they are needed."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "Online machine learning on Kafka" in shown
    order = ["Commands:", "demo", "replay", "check", "worker", "produce", "consume"]
    order += ["Operate:", "topics", "state", "reproduce", "Examples:"]
    places = [
        shown.index(f"  {name} ") if name in COMMANDS else shown.index(name) for name in order
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    """Its first sentence is the one in the list of commands."""
    assert run([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: millrace {command} [OPTIONS]")
    found = cli.get_command(click.Context(cli), command)
    described = next(each[command] for each in SECTIONS.values() if command in each)
    assert found.help.partition("\n")[0] == described


def test_what_workers_send_by_themselves_is_not_offered():
    """A `tick` can be sent by any client, but nobody needs to."""
    assert "tick" in OF_THE_LOG
    assert run(["tick", "60", "--reason", "test"]) == 2


def test_help_is_fast():
    """No command imports what is slow (scipy comes with River) before it runs."""
    commands = [each for each in COMMANDS if each != "demo" and each not in OF_THE_LOG]
    commands += ["asking"]
    code = f"""
import sys
from importlib import import_module
for name in {commands}:
    import_module("millrace.streams.cli." + name)
print(*({{"scipy", "pandas", "faust"}} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_version_is_the_packages(capsys):
    """`--version` prints what is installed."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"millrace {version('millrace')}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["check", "no/such.py"], "'no/such.py'"),
        (["worker"], "pipeline must be path/file.py or package.module; got none"),
        (["worker", *LOANS, "--chain", "odd"], "chain must be"),
        (["worker", *LOANS, "--partitions", "0"], "partitions must be"),
        (["topics", "-b", "localhost:1"], "pipeline must be"),
        (["topics", *LOANS], "broker must be the address of a running broker; got none"),
        (["produce", *LOANS], "broker must be"),
        (["consume", "loans.predictions"], "broker must be"),
        (["state", *LOANS], "broker must be"),
        (["reproduce", "1", *LOANS], "broker must be"),
        (["replay", "no_such_set"], "Phishing"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments, error, capsys):
    """What Millrace raises on purpose never shows a traceback."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert error in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["check"],
        ["topics", "--kafka", "no-equals-sign"],
        ["replay", "x", "--limit", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    """click says what is wrong with the usage."""
    assert run(arguments) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["topics", "produce", "consume"])
def test_a_broker_that_does_not_answer_is_named(command, capsys, monkeypatch):
    """The error says which broker, and how to start one."""
    monkeypatch.setattr("millrace.streams.kafka.admin.CONNECT_TIMEOUT_SECONDS", 0.2)
    topic = ["loans.alerts"] if command == "consume" else []
    assert run([command, *topic, *LOANS, "-b", "127.0.0.1:1"]) == 2
    assert "'127.0.0.1:1'" in capsys.readouterr().err


def _raise(error):
    def load(_spec):
        raise error

    return load


def test_an_interruption_is_exit_code_130(monkeypatch):
    """As in a shell: 128 and the number of SIGINT."""
    monkeypatch.setattr("millrace.streams.cli.check.load_pipeline", _raise(KeyboardInterrupt()))
    assert run(["check", "p.py"]) == 130


def test_a_reader_that_ends_first_is_no_traceback():
    """`millrace consume ... | head -1` prints one line and nothing else."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "millrace.streams.cli", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == ""


def test_the_exit_code_of_a_command_is_passed_on(monkeypatch):
    """A command that returns a number ends with it."""
    monkeypatch.setattr("millrace.streams.worker.supervisor.run_worker", lambda *_: 5)
    assert run(["worker", *LOANS]) == 5


@pytest.fixture
def failing(monkeypatch):
    """Make every command fail with an error that a test chooses."""

    def fail(error):
        @click.command()
        def command():
            raise error

        monkeypatch.setattr(type(cli), "get_command", lambda *_: command)

    return fail


@pytest.mark.parametrize("kind", [MillraceError, click.ClickException])
def test_an_error_shows_no_secret_and_no_control(kind, failing, capsys):
    """It may be made of what somebody sent, or of what a library says."""
    keep_secret(["s3cret-0815"])
    failing(kind("at http://u:p@h with s3cret-0815, id a\x07\u202eb"))
    assert run(["check"]) in {1, 2}
    err = capsys.readouterr().err
    assert err == "Error: at http://[hidden]@h with [hidden], id a\\x07\\u202eb\n"


def test_where_nobody_reads_any_more_it_ends_quietly(failing):
    """As `consume | head -1` does; the exit code is what the shell has for SIGPIPE."""
    program = f"{sys.executable} -m millrace.streams.cli --help"
    for reader in ("head -c 1 >&2", "true"):
        line = f"{program} | {reader}; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert done.stderr in {"U", ""}
        assert done.stdout.strip() in {"0", "141"}
    failing(BrokenPipeError())
    read, write = os.pipe()
    keep = os.dup(1)
    try:
        assert run(["check"]) == 141
    finally:
        os.dup2(keep, 1)
        for each in (read, write, keep):
            os.close(each)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_terminal_can_show_a_table(encoding):
    """What its encoding does not have is written out."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    command = [sys.executable, "-c", TABLE]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    assert "\\ud800" in done.stdout.decode(encoding)


TABLE = """
import sys
import click
from rich.table import Table
from millrace.streams import cli
from millrace.streams.cli.console import output

@click.command()
def check():
    table = Table("a ★")
    table.add_row("Zürich 東京 \\ud800")
    output().print(table)

type(cli.cli).get_command = lambda *_: check
sys.argv = ["millrace", "check"]
cli.main()
"""
