"""A node: who listens to what here, and what all the parts of one hub process share."""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .auth import admin_tickets
from .auth.channel_right import ChannelRight
from .auth.explain import explain
from .auth.identity import Identity
from .auth.resume import ResumeTokens, Returning
from .auth.revocations import Revocations
from .auth.signing import Signer
from .auth.tokens import Authenticator
from .broker.base import Broker, Inbox, Published
from .cluster.bus import CommandBus
from .cluster.commands import ClusterCommands
from .cluster.peers import HEAVY_PART, Peers, describe
from .cluster.readiness import Readiness
from .cluster.revocation_ledger import RevocationLedger
from .cluster.worker_ipc import WorkerIpc
from .commands import dispatch
from .commands.application import Application, asked
from .commands.publications import PublicationChecks
from .connections.admission import Admission
from .connections.connection import Connection
from .connections.observer import Ending, NoObserver, Observer
from .connections.table import ConnectionTable
from .connections.user_rates import UserRates
from .delivery.channel import Channel, Subscription
from .delivery.prepared import PreparedMessage
from .presence.board import PresenceBoard
from .protocol import codes, ids, replies
from .protocol.codes import CloseCode, ErrorCode
from .protocol.commands import Command
from .protocol.errors import HubError
from .protocol.event import Event, Publication
from .protocol.replies import Window
from .recovery.position_check import PositionCheck
from .recovery.table import ChannelTable
from .runtime.counters import Counters
from .runtime.floods import Floods
from .runtime.flush import FlushScheduler
from .runtime.standing import StandingWork
from .runtime.tasks import Tasks
from .runtime.timer_wheel import TimerWheel
from .settings import Settings
from .tracing.base import Tracer

log = logging.getLogger(__name__)

Publishing = Callable[[Sequence[Publication], Sequence[Published | HubError]], None]
Execute = Callable[[Connection, Command], Awaitable[None]]

SWEEP_S = 1.0
LAG_EVERY_S = 0.1
REGISTER_S = 5.0  # a node says that it lives so often, and is taken for dead after three times that


class Node:
    """The parts, joined. To each of them, to commands, routes, transports and a departure it is only what their
    Protocols name; to the broker it is the `Listener`. `execute` does a client's command, or raises `HubError`."""

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        authenticator: Authenticator,
        secret: str,
        *,
        id: str,
        worker_ipc: WorkerIpc,
        wall: Callable[[], float] = time.time,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.id = id
        self.broker = broker
        self.namespaces = settings.table
        self.counters = Counters()
        self.observer: Observer = observer or NoObserver()
        self.application: Application | None = None
        self.on_published: Publishing | None = None  # told of what this node has published
        self.flushes = FlushScheduler(loop.call_soon, wall)
        self.tracer = tracer
        if tracer is not None:
            self.flushes.on_written = tracer.handed_on
        self.timers = TimerWheel(loop)
        self.tasks = Tasks()
        self.now = loop.time
        self.standing = StandingWork(self.now, HubError, self.counters.faults)
        self.wall = wall
        self.floods = Floods(self.now)
        self.user_rates = UserRates()
        self.heartbeat = settings.heartbeat_ms / 1000
        self.default_window: Window = (settings.reconnect_min_ms, settings.reconnect_max_ms)
        self.connections = ConnectionTable()
        self.peers = Peers(id)
        self.publication_checks = PublicationChecks(self.namespaces, settings.message_bytes)
        self.revocations = Revocations(wall, ttl=settings.revocation_ttl)
        self._bus = CommandBus(
            self.id, broker.registry, Signer(secret, "node"), self.tasks, self.counters, wall
        )
        self.channels = ChannelTable(
            broker,
            self.namespaces,
            self.flushes,
            self.tasks,
            self.counters,
            self.floods,
            self.now,
            linger=settings.channel_linger,
            tail_bytes=settings.tail_bytes,
            snapshot_bytes=settings.snapshot_bytes,
            frame_bytes=settings.frame_bytes,
            on_gap=self._on_gap,
        )
        self._position_check = PositionCheck(
            broker,
            self.channels,
            self.tasks,
            self.counters,
            settings.position_check,
        )
        self.presence = PresenceBoard(
            broker,
            self.tasks,
            self.channels.get,
            settings.presence_batch,
            settings.presence_grace,
            settings.frame_bytes,
        )
        self._authenticator = authenticator
        self._resume = ResumeTokens(Signer(secret, "resume"), wall, settings.resume_ttl)
        self.admin_tickets = admin_tickets.AdminTickets(Signer(secret, "admin"), wall)
        self.execute: Execute = partial(dispatch.execute, self)
        # What the broker tells goes straight to the part that it concerns.
        self.on_event: Callable[[str, Event], None] = self.channels.on_event
        self.on_erased = self.channels.on_erased
        self.on_presence = self.presence.on_change
        self.on_command = self._bus.on_command
        self.admission = Admission(
            settings.accept_rate,
            settings.connection_limit,
            settings.max_connections_per_address,
            self.now,
            settings.max_http_connections_per_address,
        )
        self.readiness = Readiness(
            broker, worker_ipc, self.standing, all_shards=settings.ready_requires_all_shards
        )
        self.cluster = ClusterCommands(
            id,
            broker.registry,
            RevocationLedger(broker.registry, Signer(secret, "revocation"), self.counters),
            self._bus,
            self.connections,
            self.channels,
            self.revocations,
            self.now,
        )

    # Life

    async def start(self) -> None:
        """Connect to the broker and begin the standing work."""
        await self.broker.start(self)
        check = self._position_check
        self.stand("sweep", self._sweep, lambda: SWEEP_S, SWEEP_S)
        self.stand("registration", self._register, lambda: REGISTER_S, 2 * REGISTER_S)
        self.stand("loop_lag", self._watch_loop, lambda: 0.0, 1.0)
        self.stand("position_check", check.step, lambda: 0.0, check.longest_s)
        self.readiness.started = True

    async def stop(self) -> None:
        """Close what is still open, and let go of the broker; also after a start that has failed."""
        started, self.readiness.started = self.readiness.started, False
        for connection in list(self.connections.all()):
            connection.close(CloseCode.DRAINING, "this node is going away")
        if started:
            with contextlib.suppress(HubError, TimeoutError):  # it is missed within seconds all the same
                await asyncio.wait_for(self.broker.registry.unregister_node(self.id), 1.0)
        await self.tasks.close()
        await self.broker.close()

    def stand(
        self, name: str, work: Callable[[], Awaitable[None]], pause: Callable[[], float], longest_s: float
    ) -> None:
        """From now on `work` is done again and again, as `StandingWork.run` has it."""
        self.tasks.spawn(self.standing.run(name, work, pause, longest_s))

    async def _sweep(self) -> None:
        self.channels.sweep()

    async def _watch_loop(self) -> None:
        """How late does the loop come to a timer? The rate of new connections follows it."""
        before = self.now()
        await asyncio.sleep(LAG_EVERY_S)
        lag = max(0.0, self.now() - before - LAG_EVERY_S)
        self.counters.loop_lag_s = lag
        self.counters.loop_delay.observe(lag)
        self.counters.longest_lag_s = max(self.counters.longest_lag_s, lag)
        self.admission.adapt(lag)

    async def _register(self) -> None:
        rate = 0.0 if self.readiness.draining else self.admission.rate
        heavy = self.connections.heavy(max(2, self.settings.max_connections_per_user // HEAVY_PART))
        registry = self.broker.registry
        deaf_s = max((shard.deaf_s for shard in self.broker.health()), default=0.0)
        said = describe(len(self.connections), rate, heavy, deaf_s)
        await registry.register_node(self.id, said, 3 * REGISTER_S)
        self.peers.heard(await registry.nodes())
        await self.cluster.learn_revocations()

    # Connections

    def new_connection_id(self) -> str:
        """An id that no other connection of any node has."""
        return ids.connection_id(secrets.randbits(ids.CONNECTION_BITS))

    async def verify(self, token: str) -> Identity:
        """Who a token speaks for, or an admin ticket.

        Raises:
            HubError: exactly why not.
        """
        if token.startswith(admin_tickets.PREFIX):
            identity = replace(self.admin_tickets.read(token), hides=self.namespaces.with_masks)
        else:
            identity = await self._authenticator.verify(token)
        self.revocations.check(identity)
        return identity

    async def verify_channel(self, token: str) -> ChannelRight:
        """What a channel token allows.

        Raises:
            HubError: exactly why not.
        """
        right = await self._authenticator.verify_channel(token)
        self.revocations.check(right)
        return right

    async def explain_token(self, token: str) -> list[str]:
        """Whether a token is good here and now, exactly why, and what it allows: lines for its holder."""
        return await explain(self._authenticator, token, self.wall(), self.revocations.check)

    def returning(self, resume: str | None, user: str) -> Returning | None:
        """The connection that a `resume` value continues; it may be any node's."""
        return self._resume.check(resume, user) if resume else None

    def resume_token(self, connection: Connection, identity: Identity) -> str:
        """The `resume` value of a welcome."""
        return self._resume.issue(connection.member, self.id, identity.user)

    def enter(self, connection: Connection, identity: Identity, returning: Returning | None) -> None:
        """A connection has said who it is: from now on it counts.

        Raises:
            HubError: ``limit``.
        """
        member = returning.connection if returning else connection.id
        most = self.settings.max_connections_per_user
        held = self.connections.of_user(identity.user)
        # The connection that this one continues has given up its place: one place, however many continue it.
        released = any(other.member == member for other in held)
        count = len(held) - released + self.peers.held(identity.user)
        if count >= most:
            why = f"user {identity.user} has {count} connections, {most} are allowed"
            error = HubError(ErrorCode.LIMIT, why, retry_after_ms=30_000)
            error.user = identity.user
            raise error
        self.revocations.check(identity)  # it may have been revoked since its token was checked
        connection.speak_for(identity)
        connection.member = member
        connection.session.opened()
        self.connections.add(identity.user, connection)
        self.counters.connections_opened += 1
        if self.settings.max_connection_age:
            connection.rotate_at = self.now() + self.settings.max_connection_age * random.uniform(0.9, 1.1)
        connection.reschedule()
        if connection.transport is not None:
            connection.transport.admitted()
        self.observer.admitted(connection)

    def forget(self, connection: Connection, ending: Ending) -> None:
        """A connection is over: nothing here knows it any more."""
        code = ending.code
        self.counters.closed[codes.name(code)] += 1
        identity = connection.identity
        if identity is None:
            return
        self.observer.ended(connection, ending)
        self.connections.remove(identity.user, connection)
        for subscription in list(connection.subscriptions.values()):
            self._end(connection, subscription, at_once=code == CloseCode.NORMAL)
        connection.subscriptions.clear()

    def drop(self, connection: Connection, name: str) -> None:
        """End a subscription, where there is one."""
        subscription = connection.subscriptions.pop(name, None)
        connection.let_go(name)
        if subscription is not None:
            subscription.channel.flush()  # what came before its end goes out before the word of it
            subscription.settle()
            self._end(connection, subscription, at_once=True)

    def withdraw(self, connection: Connection, channel: str, code: ErrorCode, reason: str) -> None:
        """End a subscription whose right has ended, and say why."""
        if channel in connection.subscriptions:
            self.drop(connection, channel)
            connection.push(replies.unsubscribed(channel, code, reason))

    def replace(self, connection: Connection, subscription: Subscription) -> None:
        """`subscription` takes the place of the one that the connection had of this channel."""
        old = connection.subscriptions.get(subscription.channel.name)
        connection.subscriptions[subscription.channel.name] = subscription
        if old is None:
            return
        keeps_member = old.presence == subscription.presence
        self._end(connection, old, at_once=True, present=old.presence is not None and not keeps_member)

    def _end(
        self, connection: Connection, subscription: Subscription, *, at_once: bool, present: bool = True
    ) -> None:
        subscription.end()
        subscription.channel.leave(subscription)
        self.channels.left(subscription.channel)
        if present and subscription.presence is not None and connection.identity is not None:
            name = subscription.channel.name
            self.presence.leave(
                connection, connection.identity.user, name, subscription.presence, at_once=at_once
            )

    # Events

    def _on_gap(self, channel: Channel, start: int, end: int, filled: bool, seen: bool) -> None:
        if not seen:  # else `on_lost` has told those who watch
            self.presence.refresh(channel)
        self.observer.gap(channel.name, start, end, filled=filled)

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Publish; an error in one leaves the others. `ordered` as `Broker.publish` has it."""
        if self.application is not None and any(
            self.application.asks_publish(each.channel) for each in publications
        ):
            return await self._publish_asked(self.application, publications, ordered)
        return await self._publish(publications, ordered)

    async def _publish(
        self, publications: Sequence[Publication], ordered: bool
    ) -> list[Published | HubError]:
        began = time.perf_counter()
        store = partial(self.broker.publish, publications, ordered=ordered)
        results = await (store() if self.tracer is None else self.tracer.send(publications, store))
        self.counters.publish_time.observe(time.perf_counter() - began)
        self.counters.published += sum(not isinstance(result, HubError) for result in results)
        if self.on_published is not None:
            self.on_published(publications, results)
        return results

    async def _publish_asked(
        self, application: Application, publications: Sequence[Publication], ordered: bool
    ) -> list[Published | HubError]:
        """Publish what the application lets through, as it leaves it."""
        answers = await asked(
            application, publications, self.publication_checks.check_payload, ordered=ordered
        )
        let_through = [each for each in answers if isinstance(each, Publication)]
        published = iter(await self._publish(let_through, ordered))
        return [each if isinstance(each, HubError) else next(published) for each in answers]

    def on_lost(self, channels: Collection[str]) -> None:
        """`Listener.on_lost`."""
        self.channels.on_lost(channels)
        for name in channels:
            channel = self.channels.get(name)
            if channel is not None:
                self.presence.refresh(channel)

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None:
        """`Listener.on_ack`: to the user's other connections; who moved the cursor so far got a reply."""
        found = self.channels.get(channel)
        push = PreparedMessage(replies.acked(channel, inbox.cursor, inbox.unread))
        for subscription in found.everyone() if found is not None else ():
            connection: Any = subscription.owner
            acked = connection.acked.get(channel) if connection.acked is not None else None
            knows = (
                acked is not None
                and acked.epoch == inbox.cursor.epoch
                and acked.offset >= inbox.cursor.offset
            )
            if connection.identity is not None and connection.identity.user == user and not knows:
                connection.share(push)
