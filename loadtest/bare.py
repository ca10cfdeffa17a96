"""The bare client of each system: it reads and acknowledges so many messages, as well as its library can.

Nothing else is done with them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

BATCH = 500


async def _kafka(address: str, count: int) -> float:
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer(
        "orders",
        bootstrap_servers=address,
        group_id="hub",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=1_048_576,
    )
    await consumer.start()
    done, begun = 0, 0.0
    while done < count:
        found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        begun = begun or time.perf_counter()
        if found:
            done += sum(map(len, found.values()))
            await consumer.commit()
    took = time.perf_counter() - begun
    await consumer.stop()
    return took


async def _rabbitmq(address: str, count: int) -> float:
    import aio_pika

    async with await aio_pika.connect(address) as link:
        channel = await link.channel()
        await channel.set_qos(prefetch_count=2 * BATCH)
        queue = await channel.get_queue("orders")
        done, begun = 0, 0.0
        over = asyncio.Event()

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal done, begun
            begun = begun or time.perf_counter()
            done += 1
            if done % BATCH == 0 or done == count:
                await message.ack(multiple=True)
            if done == count:
                over.set()

        await queue.consume(take)
        await over.wait()
        return time.perf_counter() - begun


async def _nats(address: str, count: int) -> float:
    import nats

    client = await nats.connect(address)
    pull = await client.jetstream(timeout=30).pull_subscribe("orders.*", durable="bare", stream="orders")
    done, begun = 0, time.perf_counter()
    while done < count:
        messages = await pull.fetch(BATCH, timeout=10)
        for message in messages:
            await message.ack()
        done += len(messages)
    await client.flush()
    took = time.perf_counter() - begun
    await client.jetstream().purge_stream("orders")
    await client.close()
    return took


async def _redis_stream(address: str, count: int) -> float:
    import redis.asyncio

    async with redis.asyncio.from_url(address) as client:
        await client.xgroup_create("orders", "bare", id="0", mkstream=True)
        done, begun = 0, time.perf_counter()
        while done < count:
            answer: Any = await client.xreadgroup("bare", "bare", {"orders": ">"}, count=BATCH)
            ((_, entries),) = answer
            await client.xack("orders", "bare", *(id for id, _ in entries))
            done += len(entries)
        took = time.perf_counter() - begun
        await client.delete("orders")
        return took


async def _postgres(address: str, count: int) -> float:
    import asyncpg

    link = await asyncpg.connect(address)
    done, begun = 0, time.perf_counter()
    while done < count:
        rows = await link.fetch("SELECT * FROM hub_outbox ORDER BY id LIMIT $1", BATCH)
        await link.execute("DELETE FROM hub_outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
        done += len(rows)
    took = time.perf_counter() - begun
    await link.close()
    return took


_READ = {
    "kafka": _kafka,
    "rabbitmq": _rabbitmq,
    "nats": _nats,
    "redis_stream": _redis_stream,
    "postgres": _postgres,
}


def read(kind: str, address: str, count: int, took: Any) -> None:
    """In a process of its own: puts into `took` the seconds from the first message on, and those of CPU."""
    cpu = time.process_time()
    seconds = asyncio.run(_READ[kind](address, count))
    took.put((seconds, time.process_time() - cpu))
