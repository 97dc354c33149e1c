"""Structured logs: one event and its values a line, JSON for programs or columns for people, secrets left out."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from opscenter.base import config

HIDDEN = "***"
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)|secret|token|signature|authori[sz]ation|cookie|credential|(api|private|encryption)[-_]?key"
    r"|session[-_]?(id|key)",
    re.IGNORECASE,
)
_DEPTH = 6


def redact(value: Any, depth: int = _DEPTH) -> Any:
    """A copy in which the values of secret-looking keys are hidden, at any level."""
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_KEY.search(str(key)) and inner else redact(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact(inner, depth - 1) for inner in value]
    return value


def _redact_event(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    bare = {key: event.pop(key) for key in ("_record", "_from_structlog", "exc_info") if key in event}
    return {**redact(event), **bare}


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]


def _renderer() -> list[Processor]:
    on_terminal = sys.stderr.isatty()
    if config.choice("OPSCENTER_LOG_FORMAT", ("auto", "console", "json")) in _console_formats(on_terminal):
        return [structlog.dev.ConsoleRenderer(colors=on_terminal, pad_event_to=0, sort_keys=False)]
    return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]


def _console_formats(on_terminal: bool) -> tuple[str, ...]:
    return ("auto", "console") if on_terminal else ("console",)


def _is_event(record: logging.LogRecord) -> bool:
    """A 503 is an answer we chose: /readyz says it every second while something is missing."""
    return getattr(record, "status_code", None) != 503


def configure() -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING to match: both end in the same lines on standard error."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared()[:3],
            *_shared()[4:],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _shared(),
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderer()],
    }
    quiet = {"level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatter},
        "filters": {"events": {"()": "django.utils.log.CallbackFilter", "callback": _is_event}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": logging.getLevelName(logging.INFO)},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"level": "ERROR", "filters": ["events"]},  # a 404 is no event
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            "django-q": quiet,
            "_granian": quiet,
            "urllib3": {"level": "ERROR"},  # its warnings quote URLs, the secrets in their queries included
        },
    }
