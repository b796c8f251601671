"""The command line as a whole: help, versions, errors in one line, exit codes."""

from __future__ import annotations

from importlib.metadata import version

import click
import pytest

from millrace.streams.cli import COMMANDS, cli, run


def test_help_says_what_it_is_and_lists_the_commands_in_order(capsys):
    """A user who knows nothing finds the commands in the order in which they need them."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "Online machine learning on Kafka" in shown
    places = [shown.index(f"\n  {name} ") for name in cli.list_commands(click.Context(cli))]
    assert places == sorted(places)
    assert len(places) >= len(COMMANDS) - 1


def test_the_version_is_the_packages(capsys):
    """`--version` is what pip has installed."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"millrace {version('millrace')}\n"


@pytest.mark.parametrize("command", ["replay", "check", "topics", "worker", "produce", "consume"])
def test_every_command_has_help(command, capsys):
    """Each begins with its usage and one sentence on what it does."""
    assert run([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: millrace {command} [OPTIONS]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "no/such.py"], "'no/such.py'"),
        (["worker"], "needs a pipeline"),
        (["worker", "-p", "millrace.models.pipelines.loans", "--chain", "odd"], "chain"),
        (["topics", "-b", "localhost:1"], "needs a pipeline"),
        (["topics", "-p", "millrace.models.pipelines.loans"], "needs a broker"),
        (["produce", "-p", "millrace.models.pipelines.loans"], "needs a broker"),
        (["consume", "loans.predictions"], "needs a broker"),
        (["replay", "no_such_set"], "Phishing"),
        (["replay", "Phishing", "--report", "no/folder/r.json"], "--report"),
        (["replay", "Phishing", "--keep", "kept"], "nothing to keep"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments, said, capsys, monkeypatch):
    """What Millrace raises on purpose never shows a traceback."""
    for name in ("MILLRACE_BROKER", "MILLRACE_PIPELINE"):
        monkeypatch.delenv(name, raising=False)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert said in err


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
    arguments = [command, *topic, "-p", "millrace.models.pipelines.loans", "-b", "127.0.0.1:1"]
    assert run(arguments) == 2
    assert "'127.0.0.1:1'" in capsys.readouterr().err


def test_an_interruption_is_exit_code_130(monkeypatch):
    """As the shell has it: 128 and the number of SIGINT."""

    def interrupt(_spec):
        raise KeyboardInterrupt

    monkeypatch.setattr("millrace.streams.cli.check.load_pipeline", interrupt)
    assert run(["check", "p.py"]) == 130
