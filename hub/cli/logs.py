"""Logging of the server's process: a line a message, to standard error, with no token in it."""

import json
import logging
from datetime import UTC, datetime

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


class JsonLines(logging.Formatter):
    """An object a line: time (RFC 3339), level, logger, message, and the stack where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter`."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            fields["stack"] = redacted(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


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
