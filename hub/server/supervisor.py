"""``--workers N``: N processes on one port, each with a listener of its own (SO_REUSEPORT), and a supervisor
that replaces what dies.

A listener that workers shared would spread connections unevenly; one each is spread by the kernel. Workers are
forked after the imports, which they then share in memory.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ..cluster.worker_ipc import UnixWorkerIpc
from ..runtime.backoff import REAL_TIME, Backoff

log = logging.getLogger(__name__)

DEPARTED = 64  # the exit status of a worker that was drained by request: it is not replaced
STABLE_S = 10.0  # a worker that lived so long did not fail at its start
FAILURES = 5  # failures at the start in a row, and the supervisor gives up
WAIT_S = 0.2
STOP = (signal.SIGTERM, signal.SIGINT)

Work = Callable[[list[socket.socket], UnixWorkerIpc, int], int]


class WorkerSupervisor:
    """Keeps `count` workers alive. `work` serves on the sockets it is given and returns the exit status; its last
    argument is a pipe that is at its end when this process is gone, however it went."""

    def __init__(self, hosts: Sequence[str], port: int, count: int, work: Work) -> None:
        self._hosts = hosts
        self._count = count
        self._work = work
        self._workers: dict[int, int] = {}  # process id: index
        self._started: dict[int, float] = {}
        self._failures = 0
        self._backoff = Backoff(REAL_TIME, 0.2, 5.0)
        self._stopping = 0
        # Bound but not listening: it keeps the port for the workers, and gets no connections.
        self._reservations = _bind_all(hosts, port)
        self._port: int = self._reservations[0].getsockname()[1]
        self._watched, self._held = os.pipe()
        self._folder = Path(tempfile.mkdtemp(prefix="hub-"))

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._port

    def run(self) -> int:
        """Until a signal says stop, or all workers have departed; returns the exit status."""
        for sig in STOP:
            signal.signal(sig, self._on_signal)
        try:
            for index in range(self._count):
                self._fork(index)
            return self._watch()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            for reservation in self._reservations:
                reservation.close()

    def _watch(self) -> int:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                time.sleep(WAIT_S)
                continue
            index = self._workers.pop(pid, None)
            if index is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == DEPARTED and not self._stopping:
                # The port departs: a worker that was being replaced when that was asked for does not know.
                self._stop(signal.SIGTERM)
            if self._stopping:
                continue
            if not self._replace(pid, index, code):
                self._stop(signal.SIGTERM)
        return 1 if self._failures >= FAILURES else 0

    def _replace(self, pid: int, index: int, code: int) -> bool:
        """Start a worker anew; whether there is hope."""
        lived = time.monotonic() - self._started.pop(pid)
        self._failures += 1
        if lived > STABLE_S:
            self._failures = 0
            self._backoff.reset()
        if self._failures >= FAILURES:
            log.error("workers fail at their start (exit status %d): giving up", code)
            return False
        log.warning("worker %d (process %d) ended with %d; starting another", index, pid, code)
        until = time.monotonic() + self._backoff.next()
        while not self._stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(WAIT_S, left))
        self._fork(index)
        return True

    def _fork(self, index: int) -> None:
        """Start a worker, unless all are to stop. A signal waits meanwhile: it would pass by a worker that is
        not known yet, and end nothing."""
        sys.stdout.flush()
        sys.stderr.flush()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        pid = None if self._stopping else os.fork()
        if pid:
            self._workers[pid] = index
            self._started[pid] = time.monotonic()
        elif pid == 0:
            for sig in STOP:
                signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if pid == 0:
            self._be_worker(index)

    def _be_worker(self, index: int) -> NoReturn:
        status = 1
        try:
            os.close(self._held)  # else the workers would keep it open for each other
            for reservation in self._reservations:
                reservation.close()
            listeners = _bind_all(self._hosts, self._port)
            status = self._work(listeners, UnixWorkerIpc(self._folder, index, self._count), self._watched)
        except BaseException:
            log.exception("worker %d failed", index)
        finally:
            logging.shutdown()
            os._exit(status)

    def _on_signal(self, sig: int, _frame: FrameType | None) -> None:
        """Passed on: workers drain on the first SIGTERM and end on the second."""
        self._stop(sig)

    def _stop(self, sig: int) -> None:
        """Start no worker any more, and end those that there are."""
        self._stopping += 1
        for pid in list(self._workers):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                continue  # it has just ended; the watch will see it


def _bind_all(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets of one port on all addresses; 0 is a port that the first one picks."""
    sockets: list[socket.socket] = []
    for host in hosts:
        sockets.append(_bound(host, port))
        port = sockets[0].getsockname()[1]
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # another one has the IPv4 of this port
    sock.bind((host, port))
    sock.set_inheritable(False)
    return sock
