"""Redis Streams: one reader of a stream at a time, by a lease; its group remembers what was not acknowledged.

All readers use one consumer's name, so that whoever holds the lease finds what the one before left pending, and
hands it on before anything newer. Positions are the ids of entries, ``ms-sequence``.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from ...runtime.tasks import ended
from ..records import Batch, ReadSize, Record
from ..settings import BridgeSettings
from ..source import Revoked, SourceError

CONSUMER = "hub-bridge"
LEASE_MS = 10_000
RENEW_S = 3.0
BLOCK_MS = 1000
BODY_FIELDS = ("data", "payload", "body", "message")
"""Where producers put a message: Dapr's component writes `data`. Without any of them the entry's fields are it."""

# Only the holder prolongs or ends a lease.
_RENEW = (
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0"
)
_END = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"


class RedisStreamSource:
    """Streams of one Redis, read by strict priority in their order, or by `weights`."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._me = secrets.token_hex(12)
        self._held: set[str] = set()
        self._pending: dict[str, str] = dict.fromkeys(settings.streams, "0")  # where its own left-overs go on
        self._turns = _turns(settings)
        self._size = ReadSize(settings.batch)
        self._redis: redis.asyncio.Redis | None = None
        self._lease: asyncio.Task[None] | None = None
        self._lost: asyncio.Event = asyncio.Event()
        self._released: asyncio.Event = asyncio.Event()

    async def probe(self) -> str:
        """See what the keys are; a stream that is not there yet is made by who reads it."""
        client = self._redis = self._connect()
        try:
            with _in_words(self._settings):
                kinds = [_text(await client.type(name)) for name in self._settings.streams]
                for name, kind in zip(self._settings.streams, kinds, strict=True):
                    if kind not in ("stream", "none"):
                        raise SourceError(f"the key {name} is a {kind}, no stream", final=True)
                counts = [await client.xlen(name) for name in self._settings.streams]
        finally:
            await client.aclose()
        streams = zip(self._settings.streams, counts, strict=True)
        return f"streams {', '.join(f'{name} ({count} entries)' for name, count in streams)}"

    async def start(self, revoked: Revoked) -> None:
        """Connect. Waits for the lease as a stand-by."""
        self._redis = self._connect()
        with _in_words(self._settings):
            while not await self._redis.set(self._key, self._me, nx=True, px=LEASE_MS):  # noqa: ASYNC110
                await asyncio.sleep(RENEW_S / 2)
            for stream in self._settings.streams:
                await self._make_group(stream)
        self._lease = asyncio.create_task(self._keep(revoked))

    async def next(self) -> Batch:
        """The next records of a partition that is not held."""
        while True:
            if self._lost.is_set():
                raise SourceError("another reader holds the lease")
            with _in_words(self._settings):
                found = await self._left_over() or await self._newer()
            if found is not None:
                return found

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it."""
        assert self._redis is not None
        with _in_words(self._settings):
            ids = [record.handle for record in batch.records]
            await self._redis.xack(batch.partition, self._settings.group, *ids)

    async def reject(self, record: Record, code: str, reason: str) -> None:
        """The record can't be handed on; a dead letter has it. The dead letter is enough."""

    def hold(self, partition: str) -> None:
        """Read no more of it for now: what it gave is still under way."""
        self._held.add(partition)

    def release(self, partition: str) -> None:
        """Read on."""
        self._held.discard(partition)
        self._released.set()

    async def lag(self) -> Mapping[str, int]:
        """Records that wait, by partition, as far as the system tells. Redis 7 tells it, older ones do
        not."""
        assert self._redis is not None
        found = {}
        with _in_words(self._settings):
            for stream in self._settings.streams:
                for group in await self._redis.xinfo_groups(stream):
                    if _text(group["name"]) == self._settings.group:
                        found[stream] = int(group.get("lag") or 0) + int(group.get("pending") or 0)
        return found

    async def close(self) -> None:
        """Let go, within seconds."""
        if self._lease is not None:
            await ended([self._lease])
        if self._redis is not None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._redis.eval(_END, 1, self._key, self._me)
            with contextlib.suppress(RedisError, OSError):
                await self._redis.aclose()

    def _connect(self) -> redis.asyncio.Redis:
        assert self._settings.url is not None
        client = redis.asyncio.from_url(
            self._settings.url.get_secret_value(),
            socket_connect_timeout=5.0,
            socket_timeout=BLOCK_MS / 1000 + 5.0,
            client_name=f"hub-bridge-{self._settings.name}",
            protocol=3,
        )
        # Entries as the server sends them: the library's own form costs as much as all that is done with them here.
        client.set_response_callback("XREADGROUP", _as_it_is)
        return client

    @property
    def _key(self) -> str:
        return f"hub-bridge:{self._settings.name}:{self._settings.group}"

    @property
    def _open(self) -> list[str]:
        return [stream for stream in self._settings.streams if stream not in self._held]

    async def _make_group(self, stream: str) -> None:
        assert self._redis is not None
        try:
            await self._redis.xgroup_create(stream, self._settings.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _keep(self, revoked: Revoked) -> None:
        """Prolong the lease; where it is lost, another reads now."""
        assert self._redis is not None
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                if not await self._redis.eval(_RENEW, 1, self._key, self._me, str(LEASE_MS)):
                    self._lost.set()
                    await revoked(self._settings.streams)
                    return

    async def _left_over(self) -> Batch | None:
        """What was read before, by this reader or the one before, and not acknowledged."""
        for stream in self._open:
            after = self._pending.get(stream)
            if after is not None:
                records = await self._read({stream: after}, None)
                if records:
                    self._pending[stream] = records[0].records[-1].handle
                    return records[0]
                del self._pending[stream]
        return None

    async def _newer(self) -> Batch | None:
        wanted = [stream for stream in self._open if stream not in self._pending]
        if not wanted:
            self._released.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):  # the lease may be lost meanwhile
                    await self._released.wait()
            return None
        for stream in next(self._turns):
            if stream in wanted and (found := await self._read({stream: ">"}, None)):
                return found[0]
        # Nothing waits anywhere: whatever comes first. One entry, so that the order of streams is decided anew.
        found = await self._read(dict.fromkeys(wanted, ">"), BLOCK_MS, 1)
        return found[0] if found else None

    async def _read(
        self, streams: dict[str, str], block_ms: int | None, most: int | None = None
    ) -> list[Batch]:
        assert self._redis is not None
        answer: Any = await self._redis.xreadgroup(
            self._settings.group,
            CONSUMER,
            streams,  # type: ignore[arg-type]
            count=most or self._size.count,
            block=block_ms,
        )
        batches = []
        for name, entries in (answer or {}).items():
            if entries:
                batches.append(Batch(_text(name), [_record(id, fields) for id, fields in entries]))
                self._size.learn(batches[-1].records)
        # A stream that gave what it gave stays read: entries of the others wait in their own pending lists.
        for batch in batches[1:]:
            self._pending.setdefault(batch.partition, "0")
        return batches[:1]


def _turns(settings: BridgeSettings) -> Iterator[Sequence[str]]:
    """In which order streams are looked at, read after read: always the first first, or by weights in turn."""
    if settings.weights is None:
        return itertools.repeat(settings.streams)
    rounds = [
        name for name, weight in zip(settings.streams, settings.weights, strict=True) for _ in range(weight)
    ]
    return itertools.cycle(
        [[name, *(other for other in settings.streams if other != name)] for name in rounds]
    )


def _record(id: bytes, fields: list[bytes] | None) -> Record:
    """Of an entry: names and values in turn; None where it was deleted while it was pending."""
    handle = id.decode()
    milliseconds, _, sequence = handle.partition("-")
    place = (int(milliseconds), int(sequence))
    if fields is not None and len(fields) == 2 and fields[0] == b"data":
        return Record(fields[1], place, time_ms=place[0], handle=handle)  # what most producers write
    pairs = zip((fields or [])[::2], (fields or [])[1::2], strict=True)
    values = {_text(name): value for name, value in pairs}
    body = next((values[name] for name in BODY_FIELDS if name in values), None)
    if body is None:
        body = orjson.dumps({name: value.decode("utf-8", "replace") for name, value in values.items()})
    headers = {
        name: value.decode("utf-8", "replace") for name, value in values.items() if name not in BODY_FIELDS
    }
    return Record(body, place, headers=headers, time_ms=place[0], handle=handle)


def _as_it_is(response: Any, **_: Any) -> Any:
    return response


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@contextlib.contextmanager
def _in_words(settings: BridgeSettings) -> Iterator[None]:
    try:
        yield
    except (AuthenticationError, NoPermissionError) as error:
        raise SourceError(f"Redis refuses {settings.name}: {error}"[:300], final=True) from None
    except (RedisError, OSError, TimeoutError) as error:
        raise SourceError(f"Redis of {settings.name}: {type(error).__name__}: {error}"[:300]) from None
