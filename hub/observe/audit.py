"""The audit log: who did what to the hub, from where, with what result. JSON lines, append-only, rotated by others.

A thread writes, so that a disk or a pipe that stands still stops no loop; its queue is bounded. An action waits
until its line is out, a second at most, and is refused where it is not: what is not told is not done. Only draining
and revoking go ahead, as they end harm, and are counted.

    hub ─ queue (1,000) ─▶ thread ─▶ write(2), whole lines ─▶ a file, or standard output
"""

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from ..auth.identity import Identity
from ..connections.observer import NoObserver, Stranger
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .text import shown

WITHIN_S = 1.0
WAITING = 1000  # lines
EVERY_S = 60.0  # uses of keys and refused logins: the first at once, then a count so often
MOST_BYTES = 8192  # of a line: pipes take up to 4096 bytes in one piece, files any
STDOUT = "stdout"
OTHERS = "others"  # addresses that are not told apart any more


@dataclass(slots=True)
class Action:
    """`who` by the name that also an `event_id` belongs to (``key:ops``), `address` where the request came from."""

    name: str
    who: str
    address: str
    what: Mapping[str, Any]


class Audit(Protocol):
    """Where actions are told. `missed` lines were not out in time."""

    @property
    def missed(self) -> int:
        """So many lines."""

    def about(
        self, action: Action, *, goes_ahead: bool = False
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Around an action: it is told before it is done, and again where it failed.

        Raises:
            HubError: ``unavailable``: its line is not out in time, and it must not be done.
        """

    def refused(self, action: Action, error: HubError) -> None:
        """Somebody who may not do something tried."""

    def used(self, key: Identity, address: str) -> None:
        """An API key was used."""

    def login_refused(self, code: ErrorCode, address: str) -> None:
        """A token, a ticket or a key was not accepted."""


class AuditObserver(NoObserver):
    """`Observer` that tells the audit log of refused handshakes."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """As `Observer.turned_away`."""
        self._audit.login_refused(error.code, who.address)


class AuditLog:
    """`Audit` in a file, or on standard output. `missed` are the lines that nobody will read: for metrics."""

    def __init__(self, node: str, place: str, wall: Callable[[], float] = time.time) -> None:
        self._node = node
        self._wall = wall
        self._writer = _Writer(place)
        self._used: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._told = wall()

    def start(self, settings: Mapping[str, Any]) -> None:
        """Begin to write, with what the node runs with.

        Raises:
            OSError: the file can't be opened.
        """
        self._writer.start()
        self._note("started", settings=settings)

    async def close(self) -> None:
        """Write what waits, a second at most."""
        self._tell_counts()
        self._note("stopped")
        await asyncio.to_thread(self._writer.close, WITHIN_S)

    @property
    def missed(self) -> int:
        """Lines that were not written."""
        return self._writer.missed

    @contextlib.asynccontextmanager
    async def about(self, action: Action, *, goes_ahead: bool = False) -> AsyncIterator[None]:
        """As `Audit.about`."""
        if not await self._out(self._line(action, "accepted")) and not goes_ahead:
            why = "this is written down before it is done, and the audit log can't be written now"
            raise HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=5_000)
        try:
            yield
        except HubError as error:
            self._put(self._line(action, "failed", error))
            raise

    def refused(self, action: Action, error: HubError) -> None:
        """As `Audit.refused`."""
        self._put(self._line(action, "refused", error))

    def used(self, key: Identity, address: str) -> None:
        """As `Audit.used`."""
        self._count(self._used, "key_used", "key", key.name, address)

    def login_refused(self, code: ErrorCode, address: str) -> None:
        """As `Audit.login_refused`."""
        self._count(self._refused, "login_refused", "code", code.value, address)

    def _count(
        self, counter: Counter[tuple[str, str]], action: str, name: str, value: str, address: str
    ) -> None:
        key = value, address
        if key not in counter and len(counter) < WAITING:
            counter[key] = 0
            self._note(action, **{name: value, "from": address})
        else:
            counter[key if key in counter else (value, OTHERS)] += 1
        if self._wall() - self._told >= EVERY_S:
            self._tell_counts()

    def _tell_counts(self) -> None:
        self._told = self._wall()
        for action, counter in (("keys_used", self._used), ("logins_refused", self._refused)):
            rows = [[*key, count] for key, count in counter.most_common(50) if count]
            if rows:
                self._note(action, counts=rows, total=counter.total())
            for key in counter:
                counter[key] = 0
        if len(self._refused) >= WAITING:
            self._refused.clear()

    def _note(self, action: str, **fields: Any) -> None:
        self._put(self._encoded({"action": action, **fields}))

    def _line(self, action: Action, result: str, error: HubError | None = None) -> bytes:
        more = {} if error is None else {"code": error.code.value, "reason": shown(error.reason, 300)}
        what = {name: _short(value) for name, value in action.what.items()}
        fields = {"action": action.name, "who": shown(action.who), "from": action.address, "what": what}
        return self._encoded({**fields, "result": result, **more})

    def _encoded(self, fields: Mapping[str, Any]) -> bytes:
        moment = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": moment, "node": self._node, **fields}, default=str)
        if len(line) > MOST_BYTES:
            kept = {name: fields[name] for name in ("action", "who", "from", "result") if name in fields}
            line = orjson.dumps({"time": moment, "node": self._node, **kept, "cut": len(line)})
        return line + b"\n"

    def _put(self, line: bytes) -> None:
        self._writer.put(line, None)

    async def _out(self, line: bytes) -> bool:
        """Whether a line was written within a second."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def tell(good: bool) -> None:
            if not done.done():
                done.set_result(good)

        def written(good: bool) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, good)

        if not self._writer.put(line, written):
            return False
        try:
            return await asyncio.wait_for(done, WITHIN_S)
        except TimeoutError:
            self._writer.missed += 1  # it may come out later, when nobody waits for it any more
            return False


_Written = Callable[[bool], None]


class _Writer:
    """The thread. A file that was moved away by who rotates it is opened anew."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._queue: queue.Queue[tuple[bytes, _Written | None] | None] = queue.Queue(WAITING)
        self._fd = -1
        self._thread = threading.Thread(target=self._run, name="hub-audit", daemon=True)
        self.missed = 0

    def start(self) -> None:
        self._open()
        self._thread.start()

    def put(self, line: bytes, written: _Written | None) -> bool:
        """False where there is no room."""
        try:
            self._queue.put_nowait((line, written))
        except queue.Full:
            self.missed += 1
            return False
        return True

    def close(self, within_s: float) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=within_s)
            self._thread.join(within_s)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            line, written = entry
            good = self._write(line)
            self.missed += not good
            if written is not None:
                written(good)

    def _write(self, line: bytes) -> bool:
        try:
            self._follow()
            rest = line
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            return False
        return True

    def _follow(self) -> None:
        """Look whether the name still means the file that is open."""
        if self._place == STDOUT:
            return
        try:
            here, named = os.fstat(self._fd), os.stat(self._place)
            moved = (here.st_dev, here.st_ino) != (named.st_dev, named.st_ino)
        except OSError:
            moved = True
        if moved:
            self._open()

    def _open(self) -> None:
        if self._place == STDOUT:
            self._fd = 1
            return
        before = self._fd
        self._fd = os.open(self._place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if before >= 0:
            os.close(before)


def _short(value: Any) -> Any:
    return shown(value, 256) if isinstance(value, str) else value
