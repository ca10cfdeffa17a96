"""The publisher of a backend: a bounded queue, batches, and repetitions that store nothing twice."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from uuid import uuid4

import orjson

from hub.protocol.channels import namespace_of
from hub.protocol.codec import dumps_json
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from ..runtime.backoff import Backoff, Timing
from .addresses import http_base
from .delivery import Delivery, HttpDelivery, TryAgain
from .errors import NotConnected, QueueFull, SdkError, TokenRefused, UnknownOutcome
from .items import Published, error_of
from .tls import Cert, of_options
from .tokens import NoToken, Token, TokenSource
from .warnings import note_warnings

log = logging.getLogger("hub.publisher")
BATCH = 1000  # events a request: the contract's limit
MAX_PAUSE = 30.0  # seconds: a longer Retry-After is not believed
BATCH_BYTES = 1_000_000  # of payloads a request: well inside any sane limit of a body
_NOTHING_DONE = frozenset({ErrorCode.LIMIT, ErrorCode.RATE_LIMITED})


class NotPublished(SdkError):
    """The hub was not reached in time, and nothing was sent; `reason` is the last attempt's."""

    def __init__(self, reason: str, event_id: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.event_id = event_id


class Entry:
    """One event on its way; `sent` once it may have reached the hub."""

    __slots__ = ("event", "event_id", "expires", "future", "sent", "size")

    def __init__(self, event: dict[str, Any], size: int, expires: float) -> None:
        self.event = event
        self.event_id: str = event["event_id"]
        self.size = size
        self.expires = expires
        self.sent = False
        self.future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(_seen)


class Publisher:
    """Publishes over HTTP, in batches.

    ```python
    async with Publisher("http://hub:8000", api_key=KEY) as hub:
        await hub.publish("job:42", "job_status", {"state": "running"}, key="42")
    ```

    It lives in one event loop, and begins anew in the next one where that has ended (a second `asyncio.run`).
    `ca` is a file of the certificates that are believed, in place of this machine's; `cert` is the publisher's own,
    one file with its key or (certificate, key), which may take the place of key and token.
    One request is under way at a time, so events leave in the order of calls; only those that the hub refuses
    for the moment, one by one, may be overtaken (give them a `version` where that matters). `queue` bounds
    the events that wait, `linger` (s) is how long a batch waits for more, `deadline` (s, at most 240) after
    how long an event is given up, `timeout` (s) the limit of one request.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        token: Token | None = None,
        ca: str | None = None,
        cert: Cert | None = None,
        queue: int = 10_000,
        linger: float = 0.003,
        deadline: float = 60.0,
        timeout: float = 10.0,
        delivery: Delivery | None = None,
        timing: Timing | None = None,
    ) -> None:
        if not 0 < deadline <= 240:
            raise ValueError("deadline is at most 240 s: the hub remembers an event_id for 5 minutes")
        self._timing = timing or Timing()
        self._delivery = delivery
        self._own = delivery is None
        self._source = (url, api_key if api_key is not None else token, timeout, ca, cert)
        self._queue: deque[Entry] = deque()
        self._limit = queue
        self._linger = linger
        self._deadline = deadline
        self._under_way: list[Entry] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Begin; nothing is sent before the first event.

        Raises:
            ValueError: no such url, no key. RuntimeError: it is in use in another event loop.
        """
        if not self._home():
            self._begin()

    def _begin(self) -> None:
        if self._own:
            self._delivery = _delivery_for(*self._source)
        self._abandon("the event loop they were queued in has ended")
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._flushing = 0
        self._not_before = float("-inf")
        self._backoff = Backoff(self._timing, 0.1, 5.0)
        self._news, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._hurry = asyncio.Event()
        self._room.set()
        self._idle.set()
        self._task = asyncio.create_task(self._run(), name="hub-publisher")

    async def close(self, timeout: float | None = None) -> None:
        """Send what waits (no longer than `deadline`, nor `timeout` s), then end. What is left is told."""
        if self._task is None or self._closed:
            return
        self._closed = True
        self._room.set()
        try:
            async with asyncio.timeout(timeout):
                await self.flush()
        except TimeoutError:
            log.warning("the hub did not take all within %g s", timeout)
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def __aenter__(self) -> "Publisher":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(
        self,
        channel: str,
        event: str,
        payload: Any,
        *,
        key: str | None = None,
        final: bool = False,
        version: int | list[int] | None = None,
        event_id: str | None = None,
        lease_ms: int | None = None,
        event_id_ttl_ms: int | None = None,
        meta: dict[str, str] | None = None,
        source: dict[str, Any] | None = None,
    ) -> Published:
        """Publish, and wait for the hub's answer; waits for room while the queue is full.

        `version`: n or [attempt, n]. `lease_ms`: 1,000 to 3,600,000, for keys whose publisher may die.
        `event_id_ttl_ms`: 1,000 to 604,800,000, else the hub remembers an id for 5 minutes. `meta`: up to 16
        strings that travel with the event. `source`: ``{"name": …, "position": n or [generation, n]}``, for one
        who hands each channel's events on in rising order: what is not above is taken for a repetition.

        Raises:
            HubError: the hub refused it. NotPublished: not reached in time, nothing was sent.
            UnknownOutcome: no answer in time. TokenRefused: the key or token is not accepted.
        """
        options = {
            "key": key,
            "version": version,
            "event_id": event_id,
            "lease_ms": lease_ms,
            "event_id_ttl_ms": event_id_ttl_ms,
            "meta": meta,
            "source": source,
        }
        self._check()
        while len(self._queue) >= self._limit and not self._closed:
            self._room.clear()
            await self._room.wait()
        return await self._add(channel, event, payload, final, options).future

    def publish_nowait(
        self,
        channel: str,
        event: str,
        payload: Any,
        *,
        key: str | None = None,
        final: bool = False,
        version: int | list[int] | None = None,
        event_id: str | None = None,
        lease_ms: int | None = None,
        event_id_ttl_ms: int | None = None,
        meta: dict[str, str] | None = None,
        source: dict[str, Any] | None = None,
    ) -> asyncio.Future[Published]:
        """Queue, and return the answer to come, which may be left alone: failures are logged.

        Raises:
            QueueFull: nothing was queued. HubError: ``bad_message`` or ``bad_channel``.
            NotConnected: it was not started, or was closed.
        """
        options = {
            "key": key,
            "version": version,
            "event_id": event_id,
            "lease_ms": lease_ms,
            "event_id_ttl_ms": event_id_ttl_ms,
            "meta": meta,
            "source": source,
        }
        self._check()
        if len(self._queue) >= self._limit:
            raise QueueFull(f"{self._limit} events wait to be sent")
        return self._add(channel, event, payload, final, options).future

    async def flush(self) -> None:
        """Until nothing is waiting or under way; each event has its own deadline, so this ends."""
        if not self._home():
            return
        self._flushing += 1
        self._hurry.set()
        try:
            await self._idle.wait()
        finally:
            self._flushing -= 1

    def _add(self, channel: str, event: str, payload: Any, final: bool, options: dict[str, Any]) -> Entry:
        self._check()
        namespace_of(channel)
        body = dumps_json(payload)  # now: what the caller changes later is not sent
        fields: dict[str, Any] = {"channel": channel, "event": event, "payload": orjson.Fragment(body)}
        fields |= {name: value for name, value in options.items() if value is not None}
        fields.setdefault("event_id", f"e_{uuid4().hex}")
        dumps_json(fields)  # what can't be sent must not stop the batch that it would be in
        if final:
            fields["final"] = True
        entry = Entry(fields, len(body) + 200, self._timing.now() + self._deadline)
        self._queue.append(entry)
        self._idle.clear()
        self._news.set()
        if len(self._queue) >= BATCH:
            self._hurry.set()
        return entry

    def _home(self) -> bool:
        """Whether it runs, in this event loop.

        Raises:
            RuntimeError: it runs in another one, which goes on.
        """
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._loop is None or self._loop.is_closed():
            return False
        if self._loop is not loop:
            raise RuntimeError(
                "a publisher is used in one event loop at a time; threads take a SyncPublisher"
            )
        return True

    def _check(self) -> None:
        """Make sure that what is queued will be looked at."""
        if self._task is None or self._closed:
            raise NotConnected("the publisher is not running")
        if not self._home():
            self._begin()

    def _abandon(self, reason: str) -> None:
        """Give up what waits. Nobody may be left to hear of each: one line tells of all."""
        left = [entry for entry in (*self._under_way, *self._queue) if not entry.future.done()]
        self._under_way = []
        self._queue.clear()
        if left:
            log.error("%d events were not published: %s", len(left), reason)
        for entry in left:
            entry.future.remove_done_callback(_seen)
            if self._loop is not None and not self._loop.is_closed():
                _give_up(entry, reason)
                entry.future.exception()  # retrieved

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            # Closed, or its loop is ending: what is not told and not let go of now never is.
            self._abandon("the publisher was closed" if self._closed else "the event loop has ended")
            if self._delivery is not None:
                await self._delivery.close()

    async def _work(self) -> None:
        while True:
            if not self._queue:
                self._idle.set()
                self._news.clear()
                await self._news.wait()
            if (pause := self._not_before - self._timing.now()) > 0:
                await self._timing.sleep(pause)
            elif self._linger and len(self._queue) < BATCH and not self._flushing:
                await self._wait_for_more()
            self._under_way = self._take()
            delay = await self._attempt(self._under_way)
            self._not_before = self._timing.now() + delay
            self._under_way = []

    async def _wait_for_more(self) -> None:
        self._hurry.clear()
        try:
            async with asyncio.timeout(self._linger):
                await self._hurry.wait()
        except TimeoutError:
            return  # the usual case: the batch is as large as it gets

    def _take(self) -> list[Entry]:
        """The next batch; those that nobody waits for any more are left out."""
        batch: list[Entry] = []
        room = BATCH_BYTES
        while self._queue and len(batch) < BATCH:
            entry = self._queue[0]
            if not entry.future.done():
                if batch and entry.size > room:
                    break
                room -= entry.size
                batch.append(entry)
            self._queue.popleft()
        self._room.set()
        return batch

    async def _attempt(self, batch: list[Entry]) -> float:
        """Send a batch; what is to be sent again goes back to the head. Returns the seconds to wait first."""
        now = self._timing.now()
        for entry in batch:
            if entry.expires <= now:
                _give_up(entry, "not sent in time")
        batch = [entry for entry in batch if not entry.future.done()]
        if not batch:
            return 0.0
        assert self._delivery is not None
        try:
            results = await self._delivery.send([entry.event for entry in batch])
        except TryAgain as error:
            return self._again(batch, error)
        except (HubError, TokenRefused) as error:
            for entry in batch:
                _fail(entry, error)
            return 0.0
        self._backoff.reset()
        return self._answered(batch, results)

    def _answered(self, batch: Sequence[Entry], results: Sequence[dict[str, Any]]) -> float:
        again: list[Entry] = []
        delay = 0.0
        for entry, result in zip(batch, results, strict=True):
            note_warnings(result)
            if "code" not in result:
                if not entry.future.done():
                    channel = entry.event["channel"]
                    entry.future.set_result(Published.of(result, entry.event_id, channel))
                continue
            error = error_of(result)
            if error.retry and entry.expires > self._timing.now():
                again.append(entry)
                entry.sent = entry.sent or error.code not in _NOTHING_DONE
                delay = max(delay, (error.retry_after_ms or 0) / 1000)
            else:
                _fail(entry, error)
        self._queue.extendleft(reversed(again))
        return delay + self._backoff.next() if again else 0.0

    def _again(self, batch: list[Entry], error: TryAgain) -> float:
        delay = min(error.after or 0.0, MAX_PAUSE) + self._backoff.next()
        until = self._timing.now() + delay
        kept = []
        for entry in batch:
            entry.sent = entry.sent or error.sent
            if entry.expires <= until:
                _give_up(entry, error.reason)
            else:
                kept.append(entry)
        if kept:
            waiting = len(kept) + len(self._queue)
            log.warning("%s; %d events wait, the next attempt is in %.1f s", error.reason, waiting, delay)
        self._queue.extendleft(reversed(kept))
        return delay


def _delivery_for(
    url: str, bearer: Token | None, timeout: float, ca: str | None, cert: Cert | None
) -> Delivery:
    base = http_base(url)
    if bearer is None and cert is None:
        raise ValueError("a publisher needs an api_key or a token, or a certificate that says who it is")
    tokens = NoToken() if bearer is None else TokenSource(bearer, timeout)
    return HttpDelivery(base, tokens, timeout, tls=of_options(base, ca, cert))


def _give_up(entry: Entry, reason: str) -> None:
    if entry.sent:
        why = f"no answer in time, it may or may not be stored: {reason}"
        _fail(entry, UnknownOutcome(why, entry.event_id))
    else:
        _fail(entry, NotPublished(reason, entry.event_id))


def _fail(entry: Entry, error: BaseException) -> None:
    if not entry.future.done():
        entry.future.set_exception(error)


def _seen(future: asyncio.Future[Published]) -> None:
    """A failure that nobody awaits is still told."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.warning("an event was not published: %s", error)
