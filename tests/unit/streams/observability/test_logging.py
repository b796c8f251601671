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
    names = ("librdkafka", "faust", "mode", "aiokafka", "aiohttp", "httpx", "urllib3")
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


SECRET = "s3cret-0815"
HIDING = {"kafka": {"sasl.password": SECRET}}


def _raise() -> None:
    raise ValueError("failed") from OSError(f"at http://anna:{SECRET}@registry")


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("logger", [structlog.get_logger, logging.getLogger])
def test_no_line_shows_a_secret(log, log_format, logger):
    """Of Millrace or of a library: not its event, fields, exception, or what it was raised from."""
    stream = log(log_format=log_format, **HIDING)
    try:
        _raise()
    except ValueError:
        logger("x").exception(f"with {SECRET}")
    logger("x").error("with %s", SECRET)
    logger("x").error("a property", extra={"at": SECRET})
    structlog.get_logger("x").error("deep", config={"sasl.password": "other"}, at=[SECRET])
    shown = stream.getvalue()
    assert SECRET not in shown
    assert "other" not in shown
    assert "http://[hidden]@registry" in shown
    assert "ValueError: failed" in shown


def test_a_terminal_obeys_nothing_that_is_logged(log):
    """Nor does data make a line of its own; JSON writes control characters out itself."""
    stream = log(is_terminal=True)
    structlog.get_logger("x").error("odd \x9b31m", id="a\x1b]0;t\x07b\u202e\nfatal")
    assert "odd \\x9b31m" in stream.getvalue()
    assert "a\\x1b]0;t\\x07b\\u202e\\nfatal" in stream.getvalue()
    stream = log(log_format="json")
    structlog.get_logger("x").error("odd", id="a\x1b\x9b\u202e")
    assert stream.getvalue().strip().isprintable()


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
