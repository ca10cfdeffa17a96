"""A client's publications: one bounded queue in order, answered once each, repeated after a cut.

state      a connection                     then
---------  -------------------------------  ----------------------------------------------
waiting    is up, none waits on an older    sent, with its `event_id`
sent       answers                          done
sent       ends                             waiting again, before all younger ones
sent       answers ``rate_limited``         waiting again; nothing is sent for `retry_after_ms`
sent       is silent about it for 4 min     done: `UnknownOutcome`, whatever the connections did
"""

import asyncio
from collections import deque
from typing import Any

import orjson

from hub.protocol.codec import dumps_json
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ..runtime.backoff import Timing
from .errors import QueueFull, UnknownOutcome
from .items import Published, error_of
from .link import HubLink
from .warnings import note_warnings

WINDOW = 64  # unanswered publications on the wire
UNKNOWN_AFTER = 240.0  # seconds: the contract's 4 minutes, inside the 5 that an `event_id` is remembered


class Publication:
    """One publication on its way; `future` has its outcome."""

    __slots__ = ("event_id", "future", "link", "message", "number", "timer")

    def __init__(self, number: int, message: dict[str, Any], event_id: str) -> None:
        self.number = number
        self.message = message
        self.event_id = event_id
        self.link: HubLink | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()


class Publishing:
    """A client's publications: one bounded queue in order, answered once each, repeated after a cut. `limit`
    bounds waiting and sent ones together."""

    def __init__(self, limit: int, timing: Timing, unknown_after: float = UNKNOWN_AFTER) -> None:
        self._limit = limit
        self._timing = timing
        self._unknown_after = unknown_after
        self._waiting: deque[Publication] = deque()
        self._sent: dict[str, Publication] = {}
        self._link: HubLink | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.last = 0
        self.answered = 0  # the highest number that had an answer

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def add(self, message: dict[str, Any], event_id: str) -> Publication:
        """Queue a ``publish`` command. Its payload is encoded now: what the caller changes later is not sent.

        Raises:
            QueueFull: the queue is at its limit.
            HubError: ``bad_message``: no value of JSON, half of a surrogate pair, say.
        """
        if len(self) >= self._limit:
            raise QueueFull(f"{self._limit} publications are waiting for an answer")
        payload = orjson.Fragment(dumps_json(message["payload"]))
        dumps_json({**message, "payload": None})
        self.last += 1
        number = self.last
        publication = Publication(number, {**message, "payload": payload, "id": f"p{number}"}, event_id)
        publication.future.add_done_callback(lambda _: self._done(publication))
        self._waiting.append(publication)
        self._pump()
        return publication

    def up(self, link: HubLink) -> None:
        """A new connection."""
        self._link = link
        self._pump()

    def down(self, link: HubLink) -> None:
        """A connection is gone: what it did not answer is asked of the next one."""
        if self._link is link:
            self._link = None
        self._again([p for p in self._sent.values() if p.link is link])
        self._pump()

    def awaits(self, link: HubLink) -> bool:
        """Whether answers are still to come on `link`."""
        return any(publication.link is link for publication in self._sent.values())

    def waiting(self, link: HubLink) -> list[str]:
        """The ids of those that `link` has not answered."""
        return [id for id, publication in self._sent.items() if publication.link is link]

    def answer(self, message: dict[str, Any]) -> bool:
        """A reply; False where it is none to a publication."""
        id = message.get("id")
        publication = self._sent.get(id) if isinstance(id, str) else None
        if publication is None:
            return False
        self.answered = max(self.answered, publication.number)
        if publication.future.done():
            return True
        if message.get("type") != "hub.error":
            note_warnings(message)
            channel = publication.message["channel"]
            publication.future.set_result(Published.of(message, publication.event_id, channel))
            return True
        error = error_of(message)
        if error.code is ErrorCode.RATE_LIMITED:
            self._hold((error.retry_after_ms or 100) / 1000)
            self._again([publication])
        else:
            publication.future.set_exception(error)
        return True

    def end(self, error: BaseException) -> None:
        """The client stops: what was sent has an unknown outcome, the rest fails with `error`."""
        if self._pause is not None:
            self._pause.cancel()
        self._link = None
        for publication in [*self._sent.values(), *self._waiting]:
            if not publication.future.done():
                unsent = publication.timer is None
                publication.future.set_exception(error if unsent else _unknown(publication, str(error)))
                publication.future.exception()  # retrieved: its caller may be gone

    def _pump(self) -> None:
        """Send what may be sent. Order holds across connections: nothing overtakes what an old one owes."""
        link = self._link
        if link is None or not link.alive or self._pause is not None:
            return
        if any(publication.link is not link for publication in self._sent.values()):
            return
        while self._waiting and len(self._sent) < WINDOW:
            publication = self._waiting.popleft()
            if not publication.future.done():
                self._send(link, publication)

    def _send(self, link: HubLink, publication: Publication) -> None:
        try:
            link.post(publication.message)
        except HubError as error:
            publication.future.set_exception(error)
            return
        publication.link = link
        self._sent[publication.message["id"]] = publication
        if publication.timer is None:
            loop = asyncio.get_running_loop()
            publication.timer = loop.call_later(self._unknown_after, self._expire, publication)

    def _again(self, publications: list[Publication]) -> None:
        for publication in publications:
            del self._sent[publication.message["id"]]
            publication.link = None
        if publications:
            self._waiting = deque(sorted([*publications, *self._waiting], key=lambda p: p.number))

    def _hold(self, seconds: float) -> None:
        if self._pause is None:
            delay = seconds * (1 + 0.5 * self._timing.random())
            self._pause = asyncio.get_running_loop().call_later(delay, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._pump()

    def _expire(self, publication: Publication) -> None:
        if not publication.future.done():
            why = f"the publication was not answered for {self._unknown_after:g} s"
            publication.future.set_exception(_unknown(publication, why))

    def _done(self, publication: Publication) -> None:
        """Answered, failed, or its caller gave up."""
        if publication.timer is not None:
            publication.timer.cancel()
        if self._sent.pop(publication.message["id"], None) is None and publication in self._waiting:
            self._waiting.remove(publication)
        self._pump()


def _unknown(publication: Publication, why: str) -> UnknownOutcome:
    return UnknownOutcome(f"{why}; it may or may not be stored", publication.event_id)
