"""JSON log lines: `timestamp, level, message` and fields; secrets are masked by name and by shape."""

import json
import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_NAME = re.compile(r"authorization|token|secret|signature|cookie|password|api_key|private_key", re.IGNORECASE)
SECRET_SHAPE = re.compile(
    r"xox[abpr]-[\w-]+|xapp-[\w-]+|gh[po]_\w+|github_pat_\w+|AKIA\w{16}|eyJ[\w-]+\.[\w-]+\.[\w-]+|sk-[\w-]{16,}"
    r"|SU[A-Z2-7]{56}|whsec_[\w+/=]+|hooks\.slack\.com/services/\S+|(?<=://)[^\s:/@]+:[^\s@]+(?=@)"
)
LINE_MAX_CHARACTERS = 16 * 1024
MASK = "***"


def configure(*, service: str, version: str, log_format: str, level: str) -> None:
    """Route structlog and the standard library's loggers to stdout, once per process."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        _static_fields(service, version),
        _mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for noisy in ("uvicorn.access", "httpx", "httpcore", "slack_sdk"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get(name: str) -> Any:
    return structlog.stdlib.get_logger(name)


def _renderers(log_format: str) -> list[Any]:
    if log_format == "text":
        return [structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]), _cut]
    return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(_compact), _cut]


def _compact(fields: object, **options: Any) -> str:
    return json.dumps(fields, separators=(",", ":"), **options)


def _static_fields(service: str, version: str) -> Any:
    def add(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
        fields.setdefault("service", service)
        fields.setdefault("version", version)
        return fields

    return add


def _mask(_: WrappedLogger, __: str, fields: EventDict) -> EventDict:
    for name, value in fields.items():
        if SECRET_NAME.search(name):
            fields[name] = MASK
        elif isinstance(value, str):
            fields[name] = SECRET_SHAPE.sub(MASK, value)
    return fields


def _cut(_: WrappedLogger, __: str, line: Any) -> Any:
    return line if len(line) <= LINE_MAX_CHARACTERS else line[: LINE_MAX_CHARACTERS - 1] + "…"
