"""RabbitMQ: acknowledged after the hub's answer, many at once; nothing is requeued for back-pressure: it reorders.

A queue has no stable positions, and a redelivered message may come behind its successors: a message's identity is
its ``message_id`` (or what the setting `id` names), remembered by the hub for `id_memory` seconds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping

import aio_pika
import aio_pika.exceptions
import aiormq.exceptions
from aio_pika.abc import AbstractIncomingMessage

from ..records import Batch, Record
from ..settings import BridgeSettings
from ..source import Revoked, SourceError

log = logging.getLogger("hub.bridge")

MOST_LINGERS, QUICK = 4, 5
PREFETCH = 3  # times the batch: at the hub, behind that, and being acknowledged


class RabbitSource:
    """One queue."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._channel: aio_pika.abc.AbstractChannel | None = None
        self._queue: aio_pika.abc.AbstractQueue | None = None
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._open = asyncio.Event()
        self._told = False

    async def probe(self) -> str:
        """See that the queue is there."""
        try:
            with _in_words(self._settings):
                await self._connect()
            (count,) = (await self.lag()).values()
        finally:
            await self.close()
        return f"queue {self._settings.queue} ({count} messages)"

    async def start(self, revoked: Revoked) -> None:
        """Connect."""
        assert self._settings.queue is not None
        with _in_words(self._settings):
            self._channel = await self._connect()
            self._channel.close_callbacks.add(lambda *_: self._closed.set())
            await self._channel.set_qos(prefetch_count=PREFETCH * self._settings.batch)
            self._queue = await self._channel.get_queue(self._settings.queue)
            underlay = await self._channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda *_: self._closed.set())  # the queue was deleted
            await self._queue.consume(self._arrived.put, no_ack=False)
        self._open.set()

    async def next(self) -> Batch:
        """The next records of a partition that is not held. What has arrived, as soon as something has."""
        await self._open.wait()
        first = await self._first()
        found = [first]
        if self._settings.linger:
            await self._gather()
        while len(found) < self._settings.batch and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        return Batch(self._partition, [self._record(message) for message in found])

    async def _gather(self) -> None:
        """A moment; a few where many come in each, as of a queue that was full: a request for each few messages
        would cost more than they do."""
        for _ in range(MOST_LINGERS):
            before = self._arrived.qsize()
            if before >= self._settings.batch - 1:
                return
            await asyncio.sleep(self._settings.linger)
            if self._arrived.qsize() - before < QUICK:
                return

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it. All up
        to the last, in one frame. Rejected ones are out of it already."""
        assert self._channel is not None
        waiting = [record.handle for record in batch.records if not record.handle.processed]
        if waiting:
            with _in_words(self._settings):
                await waiting[-1].ack(multiple=True)

    async def reject(self, record: Record, code: str, reason: str) -> None:
        """The record can't be handed on; a dead letter has it. To the queue's dead letter exchange, where it
        has one."""
        with _in_words(self._settings):
            await record.handle.reject(requeue=False)

    def hold(self, partition: str) -> None:
        """Read no more of it for now: what it gave is still under way. The prefetch is what bounds what the
        server sends meanwhile."""
        self._open.clear()

    def release(self, partition: str) -> None:
        """Read on."""
        self._open.set()

    async def lag(self) -> Mapping[str, int]:
        """Records that wait, by partition, as far as the system tells. What is ready in the queue."""
        assert self._channel is not None
        with _in_words(self._settings):
            queue = await self._channel.declare_queue(self._settings.queue, passive=True)
        return {self._partition: queue.declaration_result.message_count or 0}

    async def close(self) -> None:
        """Let go, within seconds."""
        if self._connection is not None:
            with contextlib.suppress(aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError):
                async with asyncio.timeout(5.0):
                    await self._connection.close()

    async def _connect(self) -> aio_pika.abc.AbstractChannel:
        assert self._settings.url is not None
        self._connection = await aio_pika.connect(
            self._settings.url.get_secret_value(),
            timeout=10,
            client_properties={"connection_name": f"hub-bridge-{self._settings.name}"},
        )
        self._connection.close_callbacks.add(lambda *_: self._closed.set())
        self._channel = await self._connection.channel()
        return self._channel

    @property
    def _partition(self) -> str:
        return f"{self._settings.queue}/0"

    async def _first(self) -> AbstractIncomingMessage:
        if not self._arrived.empty():
            return self._arrived.get_nowait()
        arrived = asyncio.ensure_future(self._arrived.get())
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait([arrived, closed], return_when=asyncio.FIRST_COMPLETED)
            if arrived.done():
                return arrived.result()
            raise SourceError(f"RabbitMQ of {self._settings.name}: the link is lost")
        finally:
            arrived.cancel()
            closed.cancel()

    def _record(self, message: AbstractIncomingMessage) -> Record:
        if not message.message_id and self._settings.id is None and not self._told:
            self._told = True
            log.warning(
                "%s: messages without a message_id: a redelivery is handed on twice; set message_id, or `id`",
                self._settings.name,
            )
        headers = {
            name: value if isinstance(value, str) else str(value) for name, value in message.headers.items()
        }
        if message.content_type:
            headers.setdefault("content-type", message.content_type)
        if message.correlation_id:
            headers.setdefault("correlationid", str(message.correlation_id))
        return Record(
            message.body,
            None,
            id=message.message_id,
            key=message.routing_key,
            headers=headers,
            time_ms=int(message.timestamp.timestamp() * 1000) if message.timestamp else None,
            tries=int(str(message.headers.get("x-delivery-count", 0))) + 1,
            handle=message,
        )


@contextlib.contextmanager
def _in_words(settings: BridgeSettings) -> Iterator[None]:
    try:
        yield
    except aio_pika.exceptions.ChannelNotFoundEntity as error:
        raise SourceError(f"RabbitMQ of {settings.name}: {error}"[:300], final=True) from None
    except (
        aio_pika.exceptions.ProbableAuthenticationError,
        aiormq.exceptions.ChannelAccessRefused,
    ) as error:
        raise SourceError(f"RabbitMQ refuses {settings.name}: {error}"[:300], final=True) from None
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError) as error:
        raise SourceError(f"RabbitMQ of {settings.name}: {type(error).__name__}: {error}"[:300]) from None
