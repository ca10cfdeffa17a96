"""The TLS of a server whose files change: new connections get what the files hold, those that stand go on."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

from .certificate import Certificate
from .files import DAY_S, BadFiles, TlsFiles, expiry

log = logging.getLogger(__name__)


class ServerTls:
    """`context` and `certificate` are those in use. `problem`: why the files, as they are now, are not; None: they
    are. `reloads` and `failures` count changes that were taken and those that could not be. `wall` is Unix seconds.

    Raises:
        BadFiles: they can't be used at the start.
    """

    every_s = 2.0  # a look at the files

    def __init__(self, files: TlsFiles, wall: Callable[[], float] = time.time) -> None:
        self.context: ssl.SSLContext
        self.certificate: Certificate
        self.problem: str | None = None
        self.reloads = 0
        self.failures = 0
        self.failed_handshakes = 0
        self._files = files
        self._wall = wall
        self._stamp = files.stamp()
        self._settling: object = None
        self._tell_from = 0.0
        self.context, self.certificate = files.load()
        self._tell_expiry()

    async def look(self) -> None:
        """See whether the files have changed; a disk that hangs holds up nobody else."""
        await asyncio.to_thread(self._look)
        self._tell_expiry()

    def facts(self) -> dict[str, Any]:
        """How it stands, for who looks after the hub."""
        left = self.certificate.ends - self._wall()
        facts = {"names": list(self.certificate.names), "expires_in_s": round(left)}
        notes = [text for text in (self.problem, expiry(self.certificate, self._wall())) if text is not None]
        return {**facts, "problems": notes}

    def _look(self) -> None:
        stamp = self._files.stamp()
        if stamp == self._stamp:
            self.problem = None  # put back as they were
            return
        try:
            self.context, self.certificate = self._files.load()
        except BadFiles as error:
            self._fail(stamp, str(error))
            return
        self._stamp, self._settling, self.problem = stamp, None, None
        self._tell_from = 0.0
        self.reloads += 1
        log.info("the certificate was read anew: for %s", self.certificate.who)

    def _fail(self, stamp: object, why: str) -> None:
        """Certificate and key are two files, and one is written before the other: what was seen once is not
        told."""
        if stamp != self._settling:
            self._settling = stamp
        elif self.problem != why:
            self.problem = why
            self.failures += 1
            log.warning("%s; the one before it stays in use", why)

    def _tell_expiry(self) -> None:
        now = self._wall()
        if now >= self._tell_from and (text := expiry(self.certificate, now)) is not None:
            self._tell_from = now + DAY_S
            log.warning("HUB_TLS_CERT: %s", text)
