"""Logging of the server's process: a line a message, to standard error, with no token in it."""

import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from ..runtime.redaction import redacted


class _OneLine(logging.Filter):
    """Starlette hands uvicorn the whole stack of a failed start. Where the hub itself raised it, the last line
    is a sentence that says it all."""

    def filter(self, record: logging.LogRecord) -> bool:
        """As `logging.Filter`."""
        text = record.getMessage()
        last = text.rstrip().rpartition("\n")[2]
        if text.startswith("Traceback ") and last.startswith("hub."):
            record.msg, record.args = f"the hub did not start: {last.partition(': ')[2]}", ()
        return True


class Redacting(logging.Formatter):
    """The last of several bars: the hub logs no secret, and a library that does is caught here."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter`."""
        return redacted(super().format(record))


class JsonLines(JsonFormatter):
    """An object a line: time (RFC 3339, UTC), level, logger, message, and the stack where there is one."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "stack",
                "stack_info": "stack",
            },
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """As `logging.Formatter`."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """As `Redacting`, value by value: what is taken out never holds the quote that ends one."""
        return {
            name: redacted(value) if isinstance(value, str) else value for name, value in log_data.items()
        }


def set_up(level: int | str = logging.INFO, format: str = "text") -> None:
    """Log to standard error from `level` on, as ``text`` or ``json``."""
    handler = logging.StreamHandler()
    text = Redacting("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if format == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Both write a line for each request, the address with its query in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(logging.WARNING)
    uvicorn.addFilter(_OneLine())
