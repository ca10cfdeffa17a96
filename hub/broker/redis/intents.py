"""What waits for the endpoints of webhooks, in Redis: a queue in the channel's own slot, written by its scripts.

The due-list makes somebody look. It is told before the step that writes (a crash in between leaves an item about
nothing), and an item leaves it only when its queue was seen empty and nobody has put it on anew. It is a list of
its own: a node that knows of no webhooks would drop the items.
"""

import os
from collections.abc import Collection, Iterable
from typing import Any

import orjson

from ...protocol.errors import HubError
from ..base import Intent, Kind, Route, Taken, Waiting, event_intent, presence_intent
from . import format as wire
from .client.tuning import Stats
from .due import DueList
from .keys import KeyNames
from .scripts import INTENTS_PUSH, INTENTS_SETTLE, INTENTS_TAKE, Script
from .store import Request, Store

FAMILY = "hooks"
"""The due-lists of webhooks are named by it."""

_KIND = "intent"
_FIRST_LOOK_S = 5.0  # the node that wrote it delivers it at once; this is for when it died


class RedisIntents:
    """`Intents` over Redis. `first_look_s`: after this the due-list has somebody look."""

    def __init__(
        self,
        store: Store,
        keys: KeyNames,
        due: DueList,
        stats: Stats,
        *,
        first_look_s: float | None = None,
    ) -> None:
        self._first_look_s = _FIRST_LOOK_S if first_look_s is None else first_look_s
        self._store = store
        self._keys = keys
        self._due = due
        self._stats = stats
        self._who = os.urandom(8).hex()
        self._waiting: Waiting | None = None
        self._routes: Route | None = None
        due.handlers[_KIND] = self._look

    @property
    def routed(self) -> bool:
        """Whether any are written at all."""
        return self._routes is not None

    def route(self, waiting: Waiting) -> None:
        """As `Intents.route`."""
        self._waiting, self._routes = waiting, waiting.routes

    def start(self) -> None:
        """Look at what is due, from now on."""
        if self._waiting is not None:
            self._due.start()

    async def close(self) -> None:
        """Look no more."""
        await self._due.close()

    # Beside the scripts of channels and presence

    def endpoints(self, channel: str, what: str) -> tuple[str, ...]:
        """Who waits for a channel's ``event`` or ``presence``."""
        return () if self._routes is None else self._routes(channel, what)

    def queues(self, channel: str, endpoints: Iterable[str]) -> tuple[str, ...]:
        """The keys that a script gets behind its own."""
        return tuple(name for endpoint in endpoints for name in self._keys.intents(channel, endpoint))

    async def expect(self, channels: Collection[str], what: str) -> dict[str, HubError]:
        """Something is about to be written there: put it on the due-list first. Where that failed, why."""
        asked = [(channel, endpoint) for channel in channels for endpoint in self.endpoints(channel, what)]
        if not asked:
            return {}
        adding = [self._due.adding((_KIND, *each), self._first_look_s) for each in asked]
        replies = await self._store.run(adding)
        return {
            channel: reply
            for (channel, _), reply in zip(asked, replies, strict=True)
            if isinstance(reply, HubError)
        }

    def written(self, channels: Iterable[str], what: str) -> None:
        """It was written: whoever is here delivers it."""
        if self._waiting is not None:
            for channel in set(channels):
                for endpoint in self.endpoints(channel, what):
                    self._waiting.wake(channel, endpoint)

    async def _look(self, channel: str, endpoint: str) -> float | None:
        assert self._waiting is not None
        reply = await self._ask_for(channel, endpoint, "", 0.0, 0, early=False)
        if reply[0] == b"gone":
            return None
        over = int(reply[-1]) - self._waiting.most
        if over > 0:
            self._waiting.overflow(channel, endpoint, over)
        if reply[0] == b"later":
            return max(0.001, int(reply[1]) / 1000)
        return self._waiting.wake(channel, endpoint)

    # For couriers

    async def push(self, channel: str, endpoint: str, happening: bytes) -> int:
        """As `Intents.push`."""
        await self._due.add((_KIND, channel, endpoint), self._first_look_s)
        reply = await self._store.one(self._request(INTENTS_PUSH, channel, endpoint, happening))
        if self._waiting is not None:
            self._waiting.wake(channel, endpoint)
        return int(reply[1])

    async def take(
        self, channel: str, endpoint: str, most: int, for_s: float, *, early: bool = False
    ) -> Taken:
        """As `Intents.take`."""
        reply = await self._ask_for(channel, endpoint, self._who, for_s, most, early=early)
        if reply[0] == b"gone":
            return Taken()
        if reply[0] == b"later":
            return Taken(again_s=max(0.001, int(reply[1]) / 1000))
        return Taken([self._intent(channel, entry) for entry in reply[2]], int(reply[1]), 0.0)

    async def settle(
        self, channel: str, endpoint: str, through: int, go_on_s: float, tries: int, again_s: float
    ) -> bool:
        """As `Intents.settle`."""
        go_on_ms, again_ms = int(go_on_s * 1000), int(again_s * 1000)
        request = self._request(
            INTENTS_SETTLE, channel, endpoint, self._who, through, go_on_ms, tries, again_ms
        )
        return bool((await self._store.one(request))[0] == b"ok")

    async def states(self) -> dict[str, bytes]:
        """As `Intents.states`."""
        name = self._keys.endpoints
        found = await self._store.one(Request(FAMILY, None, (), ("HGETALL", name)))
        return {field.decode("utf-8", "replace"): state for field, state in found.items()}

    async def put_state(self, endpoint: str, state: bytes) -> None:
        """As `Intents.put_state`."""
        name = self._keys.endpoints
        args = ("HSET", name, endpoint, state) if state else ("HDEL", name, endpoint)
        await self._store.one(Request(FAMILY, None, (), args))

    async def _ask_for(
        self, channel: str, endpoint: str, who: str, for_s: float, most: int, *, early: bool
    ) -> Any:
        """The answer of `intents_take`."""
        args = (who, int(for_s * 1000), most, "1" if early else "0")
        return await self._store.one(self._request(INTENTS_TAKE, channel, endpoint, *args))

    def _request(self, script: Script, channel: str, endpoint: str, *args: str | bytes | int) -> Request:
        return Request(channel, script, self._keys.intents(channel, endpoint), args)

    def _intent(self, channel: str, entry: bytes) -> Intent:
        stamp, _, rest = entry.partition(b"|")
        number, _, data = rest.partition(b"|")
        try:
            time_ms = int(stamp)
            return _read(channel, f"{channel}/{time_ms}-{int(number)}", time_ms, data)
        except (ValueError, KeyError, TypeError) as error:
            self._stats.note(
                "unreadable_intents", "%s: what waited for a webhook was dropped: %s", channel, error
            )
            return Intent("", None, 0, {})


def _read(channel: str, id: str, time_ms: int, data: bytes) -> Intent:
    if data.startswith(b"{"):
        fields: dict[str, Any] = orjson.loads(data)
        return Intent(fields.pop("id", id), Kind(fields.pop("kind")), fields.pop("time", time_ms), fields)
    kind = wire.kind(data)
    if kind == wire.EVENT:
        return event_intent(*wire.announced(channel, data))
    if kind == wire.PRESENCE:
        change, member = wire.presence(data)
        return presence_intent(id, time_ms, channel, change, member)
    raise ValueError("an unknown kind")
