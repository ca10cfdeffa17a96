"""Handlers that have a say, as an `Application`: what they are given, and what their answers mean."""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from ..auth.identity import Identity
from ..commands.application import (
    FAILED,
    Subscription,
    changed,
    granted,
    json_info,
    no_method,
    positioned,
)
from ..connections.connection import Connection
from ..protocol.codec import dumps_json
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.commands import Call, Subscribe
from ..protocol.errors import HubError
from ..protocol.event import Publication
from .messages import (
    Admit,
    Allow,
    CallRequest,
    Change,
    ConnectRequest,
    PublishRequest,
    SubscribeRequest,
)
from .registry import Handler, Handlers
from .runner import Runner

log = logging.getLogger(__name__)

inside: ContextVar[tuple[Handler, ...]] = ContextVar("hub_handlers", default=())
"""The handlers of events in which the present task or thread is: what they publish must not come back to them."""


class HandlerApplication:
    """`Application` by the handlers of one hub."""

    def __init__(self, handlers: Handlers, runner: Runner) -> None:
        self._handlers = handlers
        self._runner = runner
        self._subscribe = lru_cache(maxsize=4096)(lambda channel: matching(handlers.subscribe, channel))
        self._publish = lru_cache(maxsize=4096)(lambda channel: matching(handlers.publish, channel))

    async def connect(self, connection: Connection, identity: Identity, *, renewal: bool) -> Identity:
        """As `Application.connect`."""
        for handler in self._handlers.connect:
            request = ConnectRequest(
                identity.user,
                connection.id,
                connection.address,
                identity.channels,
                _value(identity.info),
                identity.service,
                renewal,
            )
            answer = await self._runner.run(handler, request)
            if answer is not None:
                identity = _taken(handler, answer, Admit, lambda given: granted(identity, _fields(given)))  # noqa: B023
        return identity

    def asks_subscribe(self, channel: str) -> bool:
        """As `Application.asks_subscribe`."""
        return bool(self._subscribe(channel))

    async def subscribe(self, connection: Connection, command: Subscribe) -> Subscription:
        """As `Application.subscribe`."""
        user, shown = connection.who
        result = Subscription(command)
        for handler in self._subscribe(command.channel):
            request = SubscribeRequest(
                user,
                connection.id,
                command.channel,
                result.command.since,
                command.presence is not None,
                _value(result.info or shown),
            )
            answer = await self._runner.run(handler, request)
            if answer is not None:
                result = _taken(handler, answer, Allow, lambda given: _allowed(result, given))  # noqa: B023
        return result

    def asks_publish(self, channel: str) -> bool:
        """As `Application.asks_publish`."""
        return bool(self._publish(channel))

    async def publish(self, publication: Publication) -> Publication:
        """As `Application.publish`."""
        for handler in self._publish(publication.channel):
            answer = await self._run_inside(handler, _publish_request(publication))
            if answer is not None:
                publication = _taken(
                    handler,
                    answer,
                    Change,
                    lambda given: changed(publication, given.fields()),  # noqa: B023
                )
        return publication

    async def call(self, connection: Connection, command: Call) -> bytes:
        """As `Application.call`."""
        handler = self._handlers.calls.get(command.method)
        if handler is None:
            raise no_method(command.method)
        user, _ = connection.who
        request = CallRequest(user, connection.id, command.method, orjson.loads(command.payload))
        answer = await self._runner.run(handler, request)
        result: bytes = answered(handler, answer, lambda: dumps_json(answer))
        return result

    async def _run_inside(self, handler: Handler, request: Any) -> Any:
        within = copy_context()  # the handler's own: a command may go on in another context than it began in
        within.run(inside.set, (*inside.get(), handler))
        return await self._runner.run(handler, request, within)


def matching(handlers: Sequence[Handler], channel: str) -> tuple[Handler, ...]:
    """Those that are for a channel."""
    return tuple(handler for handler in handlers if handler.channels.matches(channel))


def answered(handler: Handler, answer: Any, read: Callable[[], Any]) -> Any:
    """What `read` makes of a handler's answer.

    Raises:
        HubError: ``internal``, and the log says what is wrong with the answer.
    """
    try:
        return read()
    except (HubError, ValueError, TypeError) as error:
        kind = type(answer).__name__
        log.error("the handler %s answered with %s that is no good: %s", handler.name, kind, error)
        raise HubError(ErrorCode.INTERNAL, FAILED, outcome=Outcome.NOT_DONE) from None


def _taken(handler: Handler, answer: Any, kind: type, read: Callable[[Any], Any]) -> Any:
    def checked() -> Any:
        if not isinstance(answer, kind):
            raise TypeError(f"{kind.__name__}, Refuse or None is what it may answer")
        return read(answer)

    return answered(handler, answer, checked)


def _fields(answer: Admit) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in ("subscribe", "publish", "presence", "channels", "info")}


def _allowed(before: Subscription, answer: Allow) -> Subscription:
    command = positioned(before.command, answer.since)
    info = before.info if answer.info is None else json_info(answer.info)
    return replace(before, command=command, info=info)


def _publish_request(publication: Publication) -> PublishRequest:
    return PublishRequest(
        publication.channel,
        publication.type,
        publication.sender,
        publication.publisher,
        publication.origin,
        publication.key,
        publication.final,
        publication.event_id,
        publication.payload,
        publication.meta,
    )


def _value(text: bytes | None) -> Any:
    return None if text is None else orjson.loads(text)
