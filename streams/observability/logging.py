"""Logs: structured, readable on a terminal and JSON otherwise, without secrets.

Whatever logs, Millrace or a library, its lines and their tracebacks are redacted here, after all
else is known of them. On a terminal, control characters in them are written out.
"""

from __future__ import annotations

import logging
import sys

import structlog

from millrace.streams.escaping import printable
from millrace.streams.redaction import keep_secret, redacted
from millrace.streams.settings import Settings

_CHATTY = ("librdkafka", "faust", "mode", "aiokafka", "aiohttp", "httpx", "urllib3")
_TRACES = frozenset({"exception", "stack"})
_LINES = "\n\t"


def configure_logging(settings: Settings, process: int | None = None) -> None:
    """Write the lines of structlog and of all libraries to standard error, in one format.

    Parameters
    ----------
    settings
        Level and format, and the secrets that are hidden.
    process
        Number of this process, where several share the log; a field of every line.
    """
    keep_secret(settings.secrets)
    on_terminal = sys.stderr.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not on_terminal)
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    if process is not None:
        shared.insert(0, lambda _logger, _name, event: {"process": process, **event})
    last: list[structlog.types.Processor] = (
        [_redacted, structlog.processors.JSONRenderer()]
        if as_json
        else [
            _redacted,
            _written_out,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _redacted(
    _logger: object, _name: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    line: structlog.types.EventDict = redacted(event)  # type: ignore[assignment]  # a mapping is one
    return line


def _written_out(
    _logger: object, _name: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    return {
        key: printable(value, _LINES if key in _TRACES else "") if isinstance(value, str) else value
        for key, value in event.items()
    }
