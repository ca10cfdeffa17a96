"""Logging of the server's process: a line a message, to standard error, with no token in it."""

import logging
import os
import select
import stat
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from ..runtime.redaction import redacted

PIECE = 4096  # a pipe that takes anything takes so much (PIPE_BUF of pipe(7))


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


class NeverWaiting(logging.Handler):
    """Writes to a descriptor that may stand still: a pipe whose reader hangs, a terminal that is stopped. A line
    for which there is no room is left out and counted, and the next that gets through says how many were.

    A pipe is opened anew, to be written without waiting: the flag on the descriptor itself is its other users'.
    """

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self._fd = fd
        self._left_out = 0
        self._poll: select.poll | None = None
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            pass  # no /proc
        if self._fd == fd:
            self._poll = select.poll()  # then it is looked at before each piece
            self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging.Handler`."""
        try:
            text = self.format(record)
            if self._left_out and self._write(f"{self._left_out} lines were left out: nobody read them\n"):
                self._left_out = 0
            if self._left_out or not self._write(f"{text}\n"):
                self._left_out += 1
        except Exception:
            self.handleError(record)

    def _write(self, text: str) -> bool:
        data = text.encode(errors="backslashreplace")
        while data:
            if self._poll is not None and not self._poll.poll(0):
                return False
            try:
                data = data[os.write(self._fd, data[:PIECE]) :]
            except BlockingIOError:
                return False
        return True


def set_up(level: int | str = logging.INFO, format: str = "text") -> None:
    """Log to standard error from `level` on, as ``text`` or ``json``."""
    handler = NeverWaiting()
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
