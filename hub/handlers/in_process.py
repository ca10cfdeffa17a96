"""What the program around a hub does with it, without a network: publish, look at presence, disconnect."""

import asyncio
import concurrent.futures
import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from ..auth.grants import EVERYTHING
from ..auth.identity import Grants, Identity, Level
from ..broker.base import Broker, Published
from ..cluster.commands import ClusterCommands
from ..commands.host import Publishes
from ..commands.publications import PublicationChecks
from ..namespaces import Namespaces
from ..presence.members import members_fields
from ..protocol.codes import ErrorCode, Outcome
from ..protocol.errors import HubError
from ..protocol.publications import parse_publish
from ..runtime.tasks import Tasks
from .asked import inside
from .told import HOPS, MOST_HOPS, hops

log = logging.getLogger(__name__)

MOST_SOON = 10_000

_EVERYTHING = Grants(EVERYTHING, EVERYTHING, EVERYTHING)
APPLICATION = Identity("app", math.inf, _EVERYTHING, service=True, name="key:app", control=Level.WRITE)
"""As whom the program publishes: a service."""


class Runs(Publishes, Protocol):
    """What this asks of the node."""

    namespaces: Namespaces
    broker: Broker
    cluster: ClusterCommands
    tasks: Tasks
    publication_checks: PublicationChecks


class InProcess:
    """The verbs of a `Hub` whose lifespan was entered; all of them raise `HubError` as the HTTP API answers."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon = 0

    def _running(self) -> Runs:
        """The node.

        Raises:
            RuntimeError: the hub is not started.
        """
        raise NotImplementedError

    async def publish(
        self,
        channel: str,
        event: str,
        payload: Any,
        *,
        key: str | None = None,
        final: bool = False,
        version: int | tuple[int, int] | None = None,
        event_id: str | None = None,
        event_id_ttl_ms: int | None = None,
        lease_ms: int | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> Published:
        """Publish, as a service does: namespaces' schemas and `on_publish` have their say.

        Raises:
            HubError: why not; ``conflict`` where a handler publishes into a channel that it is asked about or told
                of, or an event came by too many handlers: that would be a loop.
        """
        node = self._running()
        _check_loop(channel)
        message = {
            "channel": channel,
            "event": event,
            "payload": payload,
            "key": key,
            "final": final,
            "version": list(version) if isinstance(version, tuple) else version,
            "event_id": event_id,
            "event_id_ttl_ms": event_id_ttl_ms,
            "lease_ms": lease_ms,
            "meta": _with_hops(meta),
        }
        command = parse_publish(None, message)
        publication = node.publication_checks.publication(command, APPLICATION, None)
        (result,) = await node.publish([publication])
        if isinstance(result, HubError):
            raise result
        return result

    def publish_soon(
        self, channel: str, event: str, payload: Any, **options: Any
    ) -> "concurrent.futures.Future[Published]":
        """As `publish`, from any thread, without waiting. The future says what becomes of it; a failure is logged.

        Raises:
            HubError: ``unavailable``: too many wait already.
        """
        self._running()
        loop = self._loop
        assert loop is not None
        if self._soon >= MOST_SOON:
            why = f"{MOST_SOON} publications of publish_soon wait already"
            raise HubError(ErrorCode.UNAVAILABLE, why, retry_after_ms=100, outcome=Outcome.NOT_DONE)
        self._soon += 1
        future = asyncio.run_coroutine_threadsafe(self.publish(channel, event, payload, **options), loop)
        future.add_done_callback(self._published_soon)
        return future

    def _published_soon(self, future: "concurrent.futures.Future[Published]") -> None:
        self._soon -= 1
        if not future.cancelled() and (error := future.exception()) is not None:
            log.warning("a publication of publish_soon failed: %s", error)

    async def presence(self, channel: str, *, by_user: bool = False) -> list[dict[str, Any]]:
        """Who is in a channel, on all nodes: as ``GET …/presence`` answers."""
        node = self._running()
        if not node.namespaces.of(channel).presence:
            raise HubError(ErrorCode.BAD_CHANNEL, f"the namespace of {channel} has no presence")
        members = await node.broker.presence.members(channel)
        found: list[dict[str, Any]] = orjson.loads(orjson.dumps(members_fields(members, by_user=by_user)))
        return found

    async def disconnect(
        self, *, user: str | None = None, connection: str | None = None, reconnect: bool = False
    ) -> None:
        """Close a user's connections, or one, on every node; `reconnect`: they may come back."""
        if (user is None) == (connection is None):
            raise ValueError("give either user or connection")
        await self._running().cluster.disconnect(user=user, connection=connection, reconnect=reconnect)


def _check_loop(channel: str) -> None:
    for handler in inside.get():
        if handler.channels.matches(channel):
            why = f"a loop is cut: the handler {handler.name} publishes into {channel}, which it is for"
            log.error("%s", why)
            raise HubError(ErrorCode.CONFLICT, why, channel=channel)
    if hops.get() > MOST_HOPS:
        why = f"a loop is cut: what is published into {channel} came by {MOST_HOPS} handlers of events"
        log.error("%s", why)
        raise HubError(ErrorCode.CONFLICT, why, channel=channel)


def _with_hops(meta: Mapping[str, str] | None) -> dict[str, str] | None:
    """What is published by a handler of events says so."""
    count = hops.get()
    if not count:
        return None if meta is None else dict(meta)
    return {**(meta or {}), HOPS: str(count)}
