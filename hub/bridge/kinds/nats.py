"""NATS JetStream: one puller a stream, by a lease; its position lies in a key-value bucket beside the stream.

A durable consumer would redeliver what a dead puller left only after its `ack_wait`, and newer messages before it.
Here a puller begins behind the position that was handed on, with an ordered consumer that acknowledges nothing, so
the order is that of the stream, whatever dies. Positions are ``[creation time of the stream in ms, sequence]``.

Messages are handed on as they come: the library's own `fetch` waits until a batch is full, or for all of its time.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, KeyValueConfig, StreamInfo
from nats.js.kv import KeyValue

from ...runtime.tasks import ended
from ..records import Batch, ReadSize, Record
from ..settings import BridgeSettings
from ..source import Revoked, SourceError

LEASE_S = 10.0
RENEW_S = 3.0
PULL_S = 5.0  # how long the server keeps a request for messages
PULL = "$JS.API.CONSUMER.MSG.NEXT"
OVER = ("404", "408")  # no messages now, and the request's time is over: it is asked again
REQUEST_S = 10.0
POSITIONS, LEASES = "hub-bridge-positions", "hub-bridge-leases"


class NatsSource:
    """One stream, or one subject of it."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._me = secrets.token_hex(12).encode()
        self._client: Client | None = None
        self._js: JetStreamContext | None = None
        self._positions: KeyValue | None = None
        self._leases: KeyValue | None = None
        self._consumer = ""
        self._inbox = ""
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()  # no more than what was asked for
        self._wanted = 0  # of what was asked for, what has not come
        self._lease: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._open = asyncio.Event()
        self._generation = 0
        self._read = 0
        self._revision = 0
        self._size = ReadSize(settings.batch)

    async def probe(self) -> str:
        """See that the stream is there."""
        try:
            with _in_words(self._settings):
                info = await self._connect()
        finally:
            await self.close()
        return f"stream {self._settings.stream} ({info.state.messages} messages)"

    async def start(self, revoked: Revoked) -> None:
        """Connect. Waits for the lease as a stand-by."""
        with _in_words(self._settings):
            info = await self._connect()
            assert self._js is not None
            assert self._client is not None
            assert self._settings.stream is not None
            self._generation = int(info.created.timestamp() * 1000) if info.created else 0
            self._positions = await self._bucket(POSITIONS, None)
            self._leases = await self._bucket(LEASES, LEASE_S)
            revision = await self._hold_lease()
            self._read = await self._position()
            self._inbox = self._client.new_inbox()
            await self._client.subscribe(self._inbox, cb=self._arrived.put)
            consumer = await self._js.add_consumer(
                self._settings.stream,
                config=ConsumerConfig(
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=self._read + 1,
                    ack_policy=AckPolicy.NONE,
                    inactive_threshold=60.0,
                    filter_subject=self._settings.subject,
                    mem_storage=True,
                    num_replicas=1,
                ),
            )
            self._consumer = consumer.name
        self._open.set()
        self._lease = asyncio.create_task(self._keep(revision, revoked))

    async def next(self) -> Batch:
        """The next records of a partition that is not held."""
        while True:
            await self._open.wait()
            if self._lost.is_set():
                raise SourceError("another puller holds the lease")
            with _in_words(self._settings):
                found = await self._pull()
            records = [_record(message, self._generation) for message in found]
            records = [record for record in records if record.handle > self._read]
            if records:
                self._size.learn(records)
                self._read = records[-1].handle
                return Batch(self._partition, records)

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it. The
        position moves; where another has moved it, this puller is the one no more."""
        assert self._positions is not None
        value = f"{self._generation}:{batch.records[-1].handle}".encode()
        with _in_words(self._settings):
            try:
                if self._revision:
                    self._revision = await self._positions.update(self._name, value, self._revision)
                else:
                    self._revision = await self._positions.create(self._name, value)
            except nats.js.errors.KeyWrongLastSequenceError:
                entry = await self._positions.get(self._name)
                if entry.value != value:
                    raise
                self._revision = entry.revision or 0  # it was told, and the answer was lost

    async def reject(self, record: Record, code: str, reason: str) -> None:
        """The record can't be handed on; a dead letter has it. The dead letter is enough."""

    def hold(self, partition: str) -> None:
        """Read no more of it for now: what it gave is still under way."""
        self._open.clear()

    def release(self, partition: str) -> None:
        """Read on."""
        self._open.set()

    async def lag(self) -> Mapping[str, int]:
        """Records that wait, by partition, as far as the system tells."""
        with _in_words(self._settings):
            info = await self._info()
        return {self._partition: info.num_pending or 0}

    async def close(self) -> None:
        """Let go, within seconds."""
        if self._lease is not None:
            await ended([self._lease])
        if self._client is not None:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(5.0):
                    if self._lease is not None and not self._lost.is_set() and self._leases is not None:
                        await self._leases.delete(self._name)
                    await self._client.close()

    @property
    def _name(self) -> str:
        return f"{self._settings.name}.{self._settings.stream}"

    @property
    def _partition(self) -> str:
        return f"{self._settings.stream}/0"

    async def _connect(self) -> StreamInfo:
        assert self._settings.stream is not None
        self._client = await nats.connect(
            servers=[str(server) for server in self._settings.servers],
            user=self._settings.username,
            password=self._settings.password.get_secret_value() if self._settings.password else None,
            name=f"hub-bridge-{self._settings.name}",
            connect_timeout=5,
            allow_reconnect=False,  # the bridge begins anew instead: positions and lease are read again
        )
        self._js = self._client.jetstream(timeout=REQUEST_S)
        return await self._js.stream_info(self._settings.stream)

    async def _pull(self) -> list[Msg]:
        """What has come, as soon as something has; empty where nothing did for a while. More is asked for while
        half of the last is on its way."""
        assert self._client is not None
        if self._wanted <= self._size.count // 2:
            more = self._size.count - max(0, self._wanted)
            self._wanted += more
            request = {"batch": more, "expires": int(PULL_S * 1e9)}
            subject = f"{PULL}.{self._settings.stream}.{self._consumer}"
            await self._client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        try:
            async with asyncio.timeout(PULL_S + 1.0):
                found = [await self._arrived.get()]
        except TimeoutError:
            self._wanted = 0
            await self._info()  # a consumer goes with its stream
            return []
        while len(found) < self._settings.batch and not self._arrived.empty():
            found.append(self._arrived.get_nowait())
        return self._messages(found)

    def _messages(self, found: Sequence[Msg]) -> list[Msg]:
        """Without what the server says of the request itself: that comes without a subject to acknowledge at.

        Raises:
            SourceError: the consumer is gone.
        """
        messages = [message for message in found if message.reply]
        self._wanted -= len(messages)
        for message in found:
            status = (message.headers or {}).get("Status", "")
            if message.reply or status == "100":
                continue
            self._wanted = 0
            if status not in OVER:
                why = (message.headers or {}).get("Description", "nobody answers")
                raise SourceError(f"JetStream of {self._settings.name}: {status} {why}")
        return messages

    async def _info(self) -> ConsumerInfo:
        assert self._js is not None
        assert self._settings.stream is not None
        found: ConsumerInfo = await self._js.consumer_info(self._settings.stream, self._consumer)
        return found

    async def _bucket(self, name: str, ttl: float | None) -> KeyValue:
        assert self._js is not None
        try:
            return await self._js.key_value(name)
        except nats.js.errors.NotFoundError:
            return await self._js.create_key_value(KeyValueConfig(bucket=name, history=1, ttl=ttl))

    async def _hold_lease(self) -> int:
        assert self._leases is not None
        while True:
            try:
                return await self._leases.create(self._name, self._me)
            except nats.js.errors.KeyWrongLastSequenceError:
                await asyncio.sleep(RENEW_S / 2)

    async def _keep(self, revision: int, revoked: Revoked) -> None:
        assert self._leases is not None
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                revision = await self._leases.update(self._name, self._me, revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                self._lost.set()
                self._open.set()
                await revoked([self._partition])
                return
            except (nats.errors.Error, OSError, TimeoutError):
                continue  # the link is gone: `next` says so

    async def _position(self) -> int:
        """The sequence that was handed on last in this life of the stream."""
        assert self._positions is not None
        try:
            entry = await self._positions.get(self._name)
        except nats.js.errors.KeyNotFoundError:
            return 0
        self._revision = entry.revision or 0
        generation, _, sequence = (entry.value or b"").decode().partition(":")
        return int(sequence) if generation == str(self._generation) else 0


def _record(message: Msg, generation: int) -> Record:
    sequence = message.metadata.sequence.stream
    headers = {name: str(value) for name, value in (message.headers or {}).items()}
    return Record(
        message.data,
        (generation, sequence),
        id=headers.get("Nats-Msg-Id"),
        key=message.subject,
        headers=headers,
        time_ms=int(message.metadata.timestamp.timestamp() * 1000),
        handle=sequence,
    )


@contextlib.contextmanager
def _in_words(settings: BridgeSettings) -> Iterator[None]:
    try:
        yield
    except nats.js.errors.NotFoundError as error:
        raise SourceError(
            f"JetStream of {settings.name}: {error.description or error}"[:300], final=True
        ) from None
    except nats.errors.AuthorizationError as error:
        raise SourceError(f"NATS refuses {settings.name}: {error}", final=True) from None
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise SourceError(f"NATS of {settings.name}: {type(error).__name__}: {error}"[:300]) from None
