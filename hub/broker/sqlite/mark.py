"""The mark beside the file: what the last commit was, by which the next start sees that the file is not behind.

A file that was put back from a backup, copied, or cut by a power failure would give out offsets twice under one
epoch. So each commit leaves its number beside it, without a sync: what ends only the process leaves both.
It is locked for as long as a process has the file open, and names that process.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_BYTES = 160
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Unusable(Exception):
    """The file can't be used, and why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`state`: ``clean`` after an orderly end, else how the process syncs: ``normal`` or ``full``."""

    pid: int
    inode: int
    boot: str
    commits: int
    state: str

    @classmethod
    def parse(cls, text: bytes) -> "Mark | None":
        """What stands in the mark's file; None where that is no mark."""
        parts = text.decode("ascii", "replace").split()
        try:
            pid, inode, boot, commits, state = parts
            return cls(int(pid), int(inode), boot, int(commits), state)
        except ValueError:
            return None

    def doubt(self, inode: int, boot: str, commits: int) -> str | None:
        """Why the file may lack something of what was given out; None where it does not."""
        if self.inode != inode:
            return "it is another file than the one of the last commit: a copy, or a backup that was put back"
        if commits < self.commits:
            return f"{self.commits - commits} commits are missing at its end"
        if self.boot != boot and self.state == "normal":
            return "the machine was started anew since, and the hub had not ended in order"
        return None


def boot_id() -> str:
    """Names the time since the machine was started; the same for ever where it can't be told."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"


class MarkFile:
    """The mark of a database at `path`, locked.

    Raises:
        Unusable: another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.with_name(path.name + "-mark")
        try:
            self._fd = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unusable(f"{self._name} can't be written: {error.strerror}") from None
        self.found = Mark.parse(os.pread(self._fd, _BYTES, 0))
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            who = f"process {self.found.pid}" if self.found is not None else "another process"
            raise Unusable(f"{path} is in use by {who}: a file has one hub") from None
        self._pid, self._boot = os.getpid(), boot_id()

    @property
    def boot(self) -> str:
        """The present boot."""
        return self._boot

    def write(self, inode: int, commits: int, state: str) -> None:
        """Say what the last commit was."""
        line = f"{self._pid} {inode} {self._boot} {commits} {state}"
        os.pwrite(self._fd, line.ljust(_BYTES).encode(), 0)

    def close(self, *, sync: bool) -> None:
        """Let go of the lock."""
        if sync:
            os.fsync(self._fd)
        os.close(self._fd)
