"""Whether another worker of the same server has what only one process may have.

Workers of uvicorn, hypercorn and gunicorn know nothing of each other, but have one parent: a lock named after it
tells the second one. It ends with its process, however that ends.
"""

import fcntl
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType


class SoleWorker:
    """Entered by each worker; `alone` is False where another one was there first."""

    def __init__(self, what: str, parent: int | None = None) -> None:
        parent = _server() if parent is None else parent
        self._path = parent and Path(tempfile.gettempdir(), f"{what}-{os.getuid()}-{parent}.lock")
        self._handle: int | None = None
        self.alone = True

    def __enter__(self) -> "SoleWorker":
        if self._path:
            try:
                self._handle = os.open(
                    self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
                )
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.alone = False
            except OSError:
                pass  # a folder that can't be written to: nothing is known, and nothing is said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is None:
            return
        if self.alone and self._path:
            self._path.unlink(missing_ok=True)
        os.close(self._handle)


def _server() -> int:
    """The process that started this one as a worker; 0 where none has."""
    forked = "gunicorn.arbiter" in sys.modules
    return os.getppid() if forked or multiprocessing.parent_process() is not None else 0
