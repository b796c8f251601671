"""Logs are structured: one line of JSON, or readable on a terminal."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog

from millrace.streams.observability.logging import configure_logging
from millrace.streams.settings import Settings


@pytest.fixture(autouse=True)
def restored_logging():
    """Leave logging as it was."""
    names = ("librdkafka", "faust", "mode", "aiokafka", "aiohttp")
    levels = {name: logging.getLogger(name).level for name in names}
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)
    structlog.reset_defaults()


@pytest.fixture
def log(monkeypatch):
    """Configure logging on a standard error that may be a terminal; return what is written."""

    def log(is_terminal=False, process=None, **settings):
        class Stream(io.StringIO):
            def isatty(self):
                return is_terminal

        stream = Stream()
        monkeypatch.setattr(sys, "stderr", stream)
        configure_logging(Settings(**settings), process)
        return stream

    return log


def test_a_line_has_its_level_logger_and_time(log):
    """And the fields that it was given."""
    stream = log(log_format="json")
    structlog.get_logger("millrace.part").warning("hello", number=3)
    line = json.loads(stream.getvalue())
    time = line.pop("timestamp")
    assert time.startswith("20")
    assert line == {"event": "hello", "level": "warning", "logger": "millrace.part", "number": 3}


def test_lines_of_libraries_have_the_same_form(log):
    """They go through the same processors."""
    stream = log(log_format="json", process=2)
    logging.getLogger("a library").error("it is %s", "broken")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["process"]) == ("it is broken", "error", 2)


def test_a_line_says_which_process_it_is_from(log):
    """So that the lines of all of them can go to one place; one process alone has no number."""
    stream = log(log_format="json", process=2)
    structlog.get_logger("x").info("hello")
    assert json.loads(stream.getvalue())["process"] == 2
    stream = log(log_format="json")
    structlog.get_logger("x").info("hello")
    assert "process" not in json.loads(stream.getvalue())


def test_an_exception_is_part_of_its_line(log):
    """With its traceback."""
    stream = log(log_format="json")
    try:
        int("why")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    exception = json.loads(stream.getvalue())["exception"]
    assert "ValueError: invalid literal for int() with base 10: 'why'" in exception


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("console", False, False),
    ],
)
def test_the_format_depends_on_the_terminal(log, log_format, is_terminal, is_json):
    """Unless it is set."""
    stream = log(is_terminal, log_format=log_format)
    structlog.get_logger("x").info("hello")
    assert stream.getvalue().startswith("{") is is_json
    assert "hello" in stream.getvalue()


@pytest.mark.parametrize(("level", "events"), [("debug", 4), ("info", 3), ("error", 1)])
def test_the_level_is_that_of_the_settings(log, level, events):
    """Less severe messages are dropped."""
    stream = log(log_format="json", log_level=level)
    for each in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("x"), each)("hello")
    assert len(stream.getvalue().splitlines()) == events


@pytest.mark.parametrize("name", ["librdkafka", "faust", "mode", "aiokafka", "aiohttp"])
def test_libraries_that_log_much_are_quiet(log, name):
    """Their warnings are shown, unless only errors are."""
    stream = log(log_format="json", log_level="debug")
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("important")
    assert [json.loads(each)["event"] for each in stream.getvalue().splitlines()] == ["important"]
    stream = log(log_format="json", log_level="error")
    logging.getLogger(name).warning("important")
    assert stream.getvalue() == ""
