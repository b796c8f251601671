"""Logs: structured, for people on a terminal and as JSON otherwise."""

from __future__ import annotations

import logging
import sys

import structlog

from millrace.streams.settings import Settings


def configure_logging(settings: Settings, process: int | None = None) -> None:
    """Send structlog's lines, and those of the libraries, to standard error in one form.

    With `process`, every line says which of several processes it is from.
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
