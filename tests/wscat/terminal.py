"""The real wscat in a pseudo-terminal, as a person has it."""

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..support.pace import SCALE

DEADLINE_S = 15.0
PROGRAM = Path(__file__).parent / "node_modules" / ".bin" / "wscat"

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What is typed goes in by `type`; messages of the hub come out by `expect`."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._unread = ""
        self.screen = ""

    def type(self, line: str) -> None:
        """A line, and Enter."""
        os.write(self._descriptor, f"{line}\r".encode())

    def expect(self, type: str) -> dict[str, Any]:
        """The next message of this type; those before it are passed over."""
        deadline = time.monotonic() + DEADLINE_S * SCALE
        while True:
            for message in self._messages():
                if message["type"] == type:
                    return message
            assert self._read(deadline), f"no {type} came; on the screen:\n{self.screen}"

    def until(self, text: str) -> None:
        """Wait for a text on the screen."""
        deadline = time.monotonic() + DEADLINE_S * SCALE
        while text not in self.screen:
            assert self._read(deadline), f"never on the screen: {text}\n{self.screen}"

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Whole lines that wscat shows as received. It redraws its prompt around them."""
        while "\n" in self._unread:
            line, _, self._unread = self._unread.partition("\n")
            found = re.search(r"< (\{.*\})\s*$", line)
            if found is not None:
                yield json.loads(found[1])

    def _read(self, deadline: float) -> bool:
        """Read some more; False at the deadline or at the end."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other end of a pseudo-terminal is closed
            return False
        text = _ESCAPES.sub("", data.decode(errors="replace")).replace("\r", "\n")
        self._unread += text
        self.screen += text
        return bool(data)


@contextlib.contextmanager
def wscat(command: str, **environment: str) -> Iterator[Terminal]:
    """``npx wscat …`` as a shell would run it, with the pinned package."""
    assert PROGRAM.exists(), "the tests need wscat: make test installs it"
    script = command.strip().replace("npx wscat", f"exec {shlex.quote(str(PROGRAM))}", 1)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, **environment, "TERM": "xterm", "COLUMNS": "4000"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S * SCALE)
        os.close(ours)
