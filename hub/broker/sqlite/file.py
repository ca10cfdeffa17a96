"""The SQLite file: opened, judged, written in one transaction at a time, checkpointed aside."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from .mark import MarkFile, Unusable
from .rows import APPLICATION, SCHEMA, VERSION

log = logging.getLogger(__name__)

Sync = Literal["normal", "full"]
Work = Iterable[tuple[str, Sequence[Sequence[Any]]]]
"""Statements, each with the rows that it is carried out for."""

_MAGIC = b"SQLite format 3\0"
# What says nothing of the file's contents.
_OUTSIDE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_WAL_BYTES = 4_194_304
_LOOK_EVERY = 64  # commits


class Damaged(Exception):
    """The file contradicts itself."""


class HubFile:
    """The database at `path`, for this process alone.

    `doubt` says why it may be behind what was given out, in words; "" where it is not. `damaged`: it could not be
    read, was put aside, and this is a new one. `held`: nothing may be written before `freed` is called.

    Raises:
        Unusable: it is no file of a hub's, or of a newer one's, or in use.
    """

    def __init__(self, path: Path, sync: Sync, freed: Callable[[], None]) -> None:
        self.path = path
        self.held = False
        self._freed = freed
        self._sync = sync
        look(path)
        self._mark = MarkFile(path)
        self.damaged = False
        self.doubt = ""
        self._checkpoint: asyncio.Task[None] | None = None
        try:
            self._open()
        except BaseException:
            self._mark.close(sync=False)
            raise

    def _open(self) -> None:
        new = not self.path.exists() or self.path.stat().st_size == 0
        try:
            self.db = _connect(self.path)
            _tune(self.db, self._sync)
            if new:
                _create(self.db)
            self._judge(new=new)
        except Damaged as error:
            self.put_aside(str(error))
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in _OUTSIDE:
                raise Unusable(f"{self.path} can't be used: {error}") from None
            self.put_aside(str(error))

    def _judge(self, *, new: bool) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Unusable(
                f"{self.path} was written by a newer hub (format {version}, this one reads {VERSION})"
            )
        if version < VERSION:
            raise Unusable(
                f"{self.path} is of before the first release that had sqlite:// (format {version}, this hub reads "
                f"{VERSION}): move it away"
            )
        self.db.execute("PRAGMA journal_mode=WAL")
        self.commits: int = self.db.execute("SELECT commits FROM hub").fetchone()[0]
        self._inode = self.path.stat().st_ino
        mark = self._mark.found
        if not new:
            missing = "the mark beside it is missing" if mark is None else None
            doubt = missing or (mark and mark.doubt(self._inode, self._mark.boot, self.commits))
            if doubt:
                self.doubt = doubt
                found = self.db.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise Damaged(found)
        elif mark is not None and mark.commits > 0:
            log.warning(
                "%s holds nothing, though %d commits were made: all begins anew", self.path, mark.commits
            )
            self.damaged = True
        self._mark.write(self._inode, self.commits, self._sync)

    def put_aside(self, why: str) -> None:
        """It can't be read: keep it for whoever wants to look, and begin anew."""
        self.db.close()
        aside = f"{self.path}.damaged-{int(time.time())}"
        log.error("%s is damaged (%s): it is kept as %s, and all channels begin anew", self.path, why, aside)
        for tail in ("", "-wal", "-shm"):
            if os.path.exists(f"{self.path}{tail}"):
                os.replace(f"{self.path}{tail}", f"{aside}{tail}")
        self.damaged, self.doubt = True, ""
        self.db = _connect(self.path)
        _tune(self.db, self._sync)
        _create(self.db)
        self._judge(new=True)

    def commit(self, work: Work) -> None:
        """Carry out all of it, or nothing.

        Raises:
            sqlite3.Error: it was nothing.
        """
        db = self.db
        try:
            db.execute("BEGIN")
            for statement, rows in work:
                db.executemany(statement, rows)
            db.execute("UPDATE hub SET commits = ?", (self.commits + 1,))
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self.commits += 1
        self._mark.write(self._inode, self.commits, self._sync)
        if self.commits % _LOOK_EVERY == 0 and self._checkpoint is None:
            self._look_at_log()

    def _look_at_log(self) -> None:
        try:
            long = os.stat(f"{self.path}-wal").st_size > _WAL_BYTES
        except OSError:
            return
        if long:
            self._checkpoint = asyncio.get_running_loop().create_task(self._checkpoint_aside())

    async def _checkpoint_aside(self) -> None:
        """Its syncs take milliseconds: they happen in a thread, on a connection of their own. What is written
        meanwhile is little; for as long as that takes, commits wait, and the loop does not."""
        try:
            await asyncio.to_thread(_checkpoint, self.path, whole=False)
            self.held = True
            await asyncio.to_thread(_checkpoint, self.path, whole=True)
        except sqlite3.Error as error:
            log.warning("%s could not be checkpointed: %s", self.path, error)
        finally:
            self.held = False
            self._checkpoint = None
            self._freed()

    async def rest(self) -> None:
        """Until no checkpoint is under way."""
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])

    def close(self) -> None:
        """Write all into the file itself, and say that this end was in order."""
        clean = True
        try:
            self.db.execute("PRAGMA synchronous=FULL")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            clean = False
            log.warning("%s could not be closed in order: %s", self.path, error)
        self.db.close()
        if clean:
            self._mark.write(self._inode, self.commits, "clean")
        self._mark.close(sync=clean)


def look(path: Path) -> None:
    """Look at what is there.

    Raises:
        Unusable: it is not for a hub to write into.
    """
    if path.is_dir():
        raise Unusable(f"{path} is a directory")
    if not path.parent.is_dir():
        raise Unusable(f"there is no directory {path.parent}")
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with path.open("r+b") as file:
            head = file.read(100)
    except OSError as error:
        raise Unusable(f"{path} can't be written: {error.strerror}") from None
    owner = int.from_bytes(head[68:72], "big")
    if not head.startswith(_MAGIC) or (owner != APPLICATION and len(head) == 100):
        raise Unusable(f"{path} is a file of another program")


def _connect(path: Path) -> sqlite3.Connection:
    umask = os.umask(0o077)  # it holds what users say
    try:
        return sqlite3.connect(path, timeout=0.0, isolation_level=None)
    finally:
        os.umask(umask)


def _tune(db: sqlite3.Connection, sync: Sync) -> None:
    db.execute(f"PRAGMA synchronous={sync.upper()}")
    db.execute("PRAGMA wal_autocheckpoint=0")


def _create(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA application_id={APPLICATION}")
    db.execute(f"PRAGMA user_version={VERSION}")
    db.executescript(f"BEGIN;{SCHEMA}COMMIT;")


def _checkpoint(path: Path, *, whole: bool) -> None:
    """`whole`: nobody writes meanwhile. The log is begun anew by a first write of this thread's: that is synced."""
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if whole else 'PASSIVE'})")
        if whole:
            db.execute("UPDATE hub SET commits = commits")
    finally:
        db.close()
