"""Backends as an `Application`: what they are asked, and what their answers mean (docs/proxies.openapi.json)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx
import orjson

from ..auth.grants import Pattern, pattern
from ..auth.identity import Identity
from ..commands.application import FAILED, Subscription, changed, granted, json_info, no_method, positioned
from ..commands.permissions import identity_of
from ..connections.connection import Connection
from ..protocol.codec import dumps_json
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.commands import Call, Subscribe
from ..protocol.errors import HubError
from ..protocol.event import Publication
from .backend import Backend, Decision, Unreachable, unavailable

log = logging.getLogger(__name__)

_MAX_REASON = 500

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A backend, and for which channels or methods it is asked."""

    backend: Backend
    matches: Pattern

    @property
    def event(self) -> str:
        """What it is asked before."""
        return self.backend.settings.event

    @property
    def open(self) -> bool:
        """What it does not decide is let through."""
        return self.backend.settings.fail == "open"


class ProxyApplication:
    """`Application` by all proxies of a node; `http` is theirs, and closed with them."""

    def __init__(self, backends: Sequence[Backend], http: httpx.AsyncClient) -> None:
        self._http = http
        proxies = [Proxy(each, pattern(tuple(each.settings.match))) for each in backends]
        self._of = {
            event: [each for each in proxies if each.event == event]
            for event in ("connect", "subscribe", "publish", "call")
        }

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def connect(self, connection: Connection, identity: Identity, *, renewal: bool) -> Identity:
        """As `Application.connect`."""
        for proxy in self._of["connect"]:
            question = partial(_connecting, connection, identity, renewal)
            decision = await _decided(proxy, identity, question)
            identity = _read(decision, partial(granted, identity), identity)
        return identity

    def asks_subscribe(self, channel: str) -> bool:
        """As `Application.asks_subscribe`."""
        return any(proxy.matches.matches(channel) for proxy in self._of["subscribe"])

    async def subscribe(self, connection: Connection, command: Subscribe) -> Subscription:
        """As `Application.subscribe`."""
        identity = identity_of(connection)
        result = Subscription(command)
        for proxy in self._matching("subscribe", command.channel):
            question = partial(_subscribing, connection, identity, result.command)
            decision = await _decided(proxy, (identity, command.channel), question)
            result = _read(decision, partial(_allowed, result), result)
        return result

    def asks_publish(self, channel: str) -> bool:
        """As `Application.asks_publish`."""
        return any(proxy.matches.matches(channel) for proxy in self._of["publish"])

    async def publish(self, publication: Publication) -> Publication:
        """As `Application.publish`."""
        for proxy in self._matching("publish", publication.channel):
            question = partial(_published, publication)
            decision = await _decided(proxy, None, question, publication.meta)
            publication = _read(decision, partial(changed, publication), publication)
        return publication

    async def call(self, connection: Connection, command: Call) -> bytes:
        """As `Application.call`."""
        proxy = next(iter(self._matching("call", command.method)), None)
        if proxy is None:
            raise no_method(command.method)
        identity = identity_of(connection)

        def question() -> Decision:
            asked = {"method": command.method, "payload": orjson.Fragment(command.payload)}
            return {**_who(connection, identity), **asked}

        decision = await _decided(proxy, None, question)
        return _read(decision, lambda given: dumps_json(given.get("payload")), b"null")

    def _matching(self, event: str, name: str) -> list[Proxy]:
        return [proxy for proxy in self._of[event] if proxy.matches.matches(name)]


async def _decided(
    proxy: Proxy, about: Any, question: Callable[[], Decision], meta: bytes | None = None
) -> Decision:
    """What the backend says; what it may be remembered by is `about`, None: never."""
    try:
        if about is None:
            return await proxy.backend.ask(question(), meta)
        return await proxy.backend.decide(about, question)
    except Unreachable:
        if proxy.open:
            return {}
        raise unavailable() from None


def _read(decision: Decision, read: Callable[[Decision], _Result], as_it_is: _Result) -> _Result:
    """What a decision means.

    Raises:
        HubError: it refuses; ``internal``: it is no good.
    """
    try:
        refusal = decision.get("refuse")
        if refusal is None:
            return read(decision) if decision else as_it_is
        refused = _refusal(refusal)
    except (HubError, ValueError, TypeError) as error:
        log.error("a proxy's answer is no good: %s", error)
        raise HubError(ErrorCode.INTERNAL, FAILED, outcome=Outcome.NOT_DONE) from None
    raise refused


def _refusal(value: Any) -> HubError:
    if not isinstance(value, dict) or not isinstance(value.get("reason"), str):
        raise ValueError("refuse must be an object with a reason")
    code = ErrorCode(value.get("code", ErrorCode.FORBIDDEN))
    wait = value.get("retry_after_ms")
    if wait is not None and (type(wait) is not int or not 0 <= wait <= 3_600_000):
        raise ValueError("retry_after_ms must be an integer from 0 to 3600000")
    return HubError(code, value["reason"][:_MAX_REASON], retry_after_ms=wait)


def _who(connection: Connection, identity: Identity) -> Decision:
    info = None if identity.info is None else orjson.Fragment(identity.info)
    return {
        "user": identity.user,
        "connection": connection.id,
        "address": connection.address,
        "service": identity.service,
        "info": info,
    }


def _connecting(connection: Connection, identity: Identity, renewal: bool) -> Decision:
    return {**_who(connection, identity), "channels": identity.channels, "renewal": renewal}


def _subscribing(connection: Connection, identity: Identity, command: Subscribe) -> Decision:
    since = None if command.since is None else str(command.since)
    asked = {"channel": command.channel, "presence": command.presence is not None, "since": since}
    return {**_who(connection, identity), **asked}


def _allowed(before: Subscription, given: Decision) -> Subscription:
    info = before.info if given.get("info") is None else json_info(given["info"])
    return Subscription(positioned(before.command, given.get("since")), info)


def _published(publication: Publication) -> Decision:
    return {
        "channel": publication.channel,
        "type": publication.type,
        "payload": orjson.Fragment(publication.payload),
        "user": publication.sender,
        "publisher": publication.publisher,
        "connection": publication.origin,
        "key": publication.key,
        "final": publication.final,
        "event_id": publication.event_id,
        "meta": None if publication.meta is None else orjson.Fragment(publication.meta),
    }
