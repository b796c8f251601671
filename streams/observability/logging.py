"""Logs: structured, readable on a terminal and JSON otherwise."""

from __future__ import annotations

import logging
import sys

import structlog

from millrace.streams.settings import Settings


def configure_logging(settings: Settings, process: int | None = None) -> None:
    """Write the lines of structlog and of all libraries to standard error, in one format.

    Parameters
    ----------
    settings
        Level and format.
    process
        Number of this process, where several share the log; a field of every line.
    """
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
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("librdkafka", "faust", "mode", "aiokafka", "aiohttp"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
