"""One log line is one JSON object, so that no text from outside can forge a line."""

import re
from typing import Any

import structlog

# Addresses whose last part opens a door; tests/security/test_logs.py holds the list
# against the URLconf.
SECRET_PATHS = re.compile(r"(/sign-in/|/password/reset/key/)[^\s/?\"\\]+")

# Postgres quotes the row that it refuses, with what people wrote in it.
QUOTED_ROW = re.compile(
    r"^(DETAIL:).*?(?=^(?:HINT|CONTEXT):|^The above exception|^During handling|\Z)",
    re.DOTALL | re.MULTILINE,
)


def without_rows(
    logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The event without rows of the database in its message or its traceback."""
    for name in ("event", "exception"):
        if isinstance(event.get(name), str):
            event[name] = QUOTED_ROW.sub("\\1 [hidden]\n", event[name])
    return event


PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    without_rows,
]

_as_json = structlog.processors.JSONRenderer(default=repr)


def one_line(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
    """The event as JSON on one line, without the secrets of one-time links.

    Control characters and line ends come out escaped, non-ASCII as \\uXXXX.
    """
    line = _as_json(logger, method, event)
    return SECRET_PATHS.sub(r"\1[hidden]", str(line))


AS_JSON: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                one_line,
            ],
            "foreign_pre_chain": PROCESSORS,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Django's own handlers print plain text; ours must be the only one.
        "django": {"handlers": [], "propagate": True, "level": "INFO"},
        "django.server": {"handlers": [], "propagate": True, "level": "INFO"},
    },
}
