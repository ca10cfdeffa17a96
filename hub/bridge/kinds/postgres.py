"""PostgreSQL: an outbox table that the application fills in its own transactions (`postgres.sql` makes it).

Rows are removed after the hub's answer, so whatever is there waits. No cursor is kept: ``id > last`` would lose
rows that commit late. Positions are ``[life of the table, id]``; ids rise in the order of commits *by channel*.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg
import orjson

from ..records import Batch, ReadSize, Record
from ..settings import BridgeSettings
from ..source import Revoked, SourceError

LOCK = 1751478883  # of the one reader; `postgres.sql` uses the number before it for channels
LOOK_S = 1.0  # a notification may be lost with a link: so often one looks anyway
STAND_BY_S = 1.0
DEADLINE_S = 10.0


class PostgresSource:
    """One outbox table."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._table = ".".join('"' + part.replace('"', '""') + '"' for part in settings.table.split("."))
        self._link: Any = None
        self._news = asyncio.Event()
        self._open = asyncio.Event()
        self._under_way: set[int] = set()
        self._generation = 0
        self._turn = asyncio.Lock()
        self._size = ReadSize(settings.batch)

    async def probe(self) -> str:
        """See that the tables are there."""
        try:
            with _in_words(self._settings):
                self._link = await self._connect()
                await self._link.fetchval(f"SELECT generation FROM {self._life}")  # noqa: S608
            (count,) = (await self.lag()).values()
        finally:
            await self.close()
        return f"table {self._settings.table} ({count} rows)"

    async def start(self, revoked: Revoked) -> None:
        """Connect. Waits for the lock as a stand-by."""
        with _in_words(self._settings):
            self._link = await self._connect()
            while not await self._link.fetchval(  # noqa: ASYNC110
                "SELECT pg_try_advisory_lock($1, hashtext($2))", LOCK, self._table
            ):
                # another process lets go of it, and nothing tells us
                await asyncio.sleep(STAND_BY_S)
            await self._link.add_listener("hub_outbox", lambda *_: self._news.set())
        self._open.set()

    async def next(self) -> Batch:
        """The next records of a partition that is not held."""
        while True:
            await self._open.wait()
            self._news.clear()
            rows = await self._rows()
            if rows and rows[0]["generation"] != self._generation:  # the table was made anew
                self._generation = rows[0]["generation"]
                self._under_way.clear()
            if rows:
                self._under_way |= {row["id"] for row in rows}
                records = [self._record(row) for row in rows]
                self._size.learn(records)
                return Batch(self._partition, records)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it. The rows
        are removed: of the table that they were read of, not of one that was made anew."""
        ids = [record.handle for record in batch.records]
        place = batch.records[-1].place
        life = place[0] if isinstance(place, tuple) else place
        query = (
            f"DELETE FROM {self._table} WHERE id = ANY($1::bigint[]) "  # noqa: S608
            f"AND $2 = (SELECT generation FROM {self._life})"
        )
        with _in_words(self._settings):
            async with self._turn:
                await self._link.execute(query, ids, life)
        self._under_way.difference_update(ids)

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
            async with self._turn:
                count = await self._link.fetchval(f"SELECT count(*) FROM {self._table}")  # noqa: S608
        return {self._partition: int(count)}

    async def close(self) -> None:
        """Let go, within seconds."""
        if self._link is not None:
            with contextlib.suppress(asyncpg.PostgresError, OSError, TimeoutError):
                await self._link.close(timeout=3.0)

    async def _connect(self) -> Any:
        assert self._settings.url is not None
        return await asyncpg.connect(
            self._settings.url.get_secret_value(),
            timeout=DEADLINE_S,
            command_timeout=DEADLINE_S,
            server_settings={"application_name": f"hub-bridge-{self._settings.name}"},
        )

    @property
    def _life(self) -> str:
        return self._table[:-1] + '_life"'

    @property
    def _partition(self) -> str:
        return f"{self._settings.table}/0"

    async def _rows(self) -> list[Any]:
        query = (
            f"SELECT id, channel, event, payload, key, final, version, meta, "  # noqa: S608
            f"(extract(epoch FROM created_at) * 1000)::bigint AS time, "
            f"(SELECT generation FROM {self._life}) AS generation "
            f"FROM {self._table} WHERE id NOT IN (SELECT unnest($1::bigint[])) ORDER BY id LIMIT $2"  # hashed
        )
        with _in_words(self._settings):
            async with self._turn:
                found: list[Any] = await self._link.fetch(query, list(self._under_way), self._size.count)
                return found

    def _record(self, row: Any) -> Record:
        """The row as a JSON message: the settings' templates read it as any other."""
        fields: dict[str, Any] = {name: row[name] for name in ("channel", "event", "key", "final", "version")}
        meta = orjson.loads(row["meta"]) if row["meta"] else {}
        body = orjson.dumps({**fields, "meta": meta, "payload": orjson.Fragment(row["payload"])})
        headers = {name: str(value) for name, value in meta.items()}
        return Record(
            body, (self._generation, row["id"]), headers=headers, time_ms=row["time"], handle=row["id"]
        )


@contextlib.contextmanager
def _in_words(settings: BridgeSettings) -> Iterator[None]:
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError) as error:
        raise SourceError(f"PostgreSQL refuses {settings.name}: {error}"[:300], final=True) from None
    except asyncpg.UndefinedTableError as error:
        why = f"{error}; `hub bridge --schema postgres` prints what makes the table"
        raise SourceError(f"PostgreSQL of {settings.name}: {why}"[:300], final=True) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise SourceError(f"PostgreSQL of {settings.name}: {type(error).__name__}: {error}"[:300]) from None
