"""One system each, as a test sees it: its server, its settings of a bridge, and how messages get in."""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aio_pika
import aio_pika.exceptions
import aiokafka
import aiokafka.admin
import aiokafka.errors
import asyncpg
import nats
import nats.errors
import orjson
import redis.asyncio
import redis.exceptions

from ..support.pace import SCALE
from ..support.server import free_port
from .process import Process, listens

Message = dict[str, Any]

MAPPING = """
channel = "order:{data.order}"
event = "{data.kind}"
payload = "data.n"
"""


T = TypeVar("T")


def batched(items: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), count):
        yield items[start : start + count]


async def again(attempt: Callable[[], Awaitable[T]], error: type[Exception]) -> T:
    """What fails while a server starts, until it does not."""
    async with asyncio.timeout(60 * SCALE):
        while True:
            with contextlib.suppress(error, OSError):
                return await attempt()
            await asyncio.sleep(0.2)


class Feed(Protocol):
    """A system that is up."""

    server: Process

    def settings(self) -> str:
        """The ``[[bridges]]`` that read it."""

    page: tuple[str, Mapping[str, str]]
    """Its section of docs/sources.md, and what stands here for what stands there."""
    wrong: tuple[str, str, str]
    """What of its settings to replace by what, and what is to be said of it then."""

    async def produce(self, messages: Sequence[Message]) -> None:
        """Hand messages in, in order, and wait until they are stored."""

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        """Hand in each as it comes, over one connection."""

    async def raw(self, body: bytes) -> None:
        """Hand in bytes as they are."""

    async def up(self) -> None:
        """Wait until the server takes messages."""

    vanished: str
    """What is said of the topic, queue, stream or table where it is gone; '' where the bridge makes it."""

    async def vanish(self) -> None:
        """Delete the topic, queue, stream or table under whoever reads it."""

    async def anew(self) -> None:
        """The same, and make it again."""


class RedisFeed:
    """A stream of a Redis of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"redis://127.0.0.1:{port}"
        self.page = (
            "Redis Streams",
            {"redis://127.0.0.1:6379": self.url, "redis-cli": f"redis-cli -p {port}"},
        )
        self.wrong = ("redis://", "redis://nobody:wr0ng@", "Redis refuses orders")
        self.vanished = ""

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "redis_stream"\nurl = "{self.url}"\nstreams = ["orders"]\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        async with redis.asyncio.from_url(self.url) as client, client.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.xadd("orders", {"data": orjson.dumps(message)})
            await pipe.execute()

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            async for message in messages:
                await client.xadd("orders", {"data": orjson.dumps(message)})

    async def raw(self, body: bytes) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await client.xadd("orders", {"data": body})

    async def up(self) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await again(client.ping, redis.exceptions.RedisError)

    async def vanish(self) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await client.delete("orders")

    async def anew(self) -> None:
        await self.vanish()


class NatsFeed:
    """A stream of a JetStream of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"nats://127.0.0.1:{port}"
        self.page = ("NATS JetStream", {"nats://127.0.0.1:4222": self.url})
        self.wrong = ('stream = "orders"', 'stream = "nowhere"', "stream not found")
        self.vanished = "stream not found"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "nats"\nservers = ["{self.url}"]\nstream = "orders"\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        client = await nats.connect(self.url)
        stream = client.jetstream(timeout=30)
        for some in batched(messages, 500):
            answers = [await stream.publish_async("orders.new", orjson.dumps(each)) for each in some]
            await asyncio.gather(*answers)
        await client.close()

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        client = await nats.connect(self.url)
        async for message in messages:
            await client.publish("orders.new", orjson.dumps(message))
        await client.close()

    async def raw(self, body: bytes) -> None:
        client = await nats.connect(self.url)
        await client.jetstream(timeout=30).publish("orders.new", body)
        await client.close()

    async def make_stream(self) -> None:
        client = await nats.connect(self.url)
        await client.jetstream(timeout=30).add_stream(name="orders", subjects=["orders.*"])
        await client.close()

    async def up(self) -> None:
        client = await nats.connect(self.url)
        await again(lambda: client.jetstream(timeout=5).stream_info("orders"), nats.errors.Error)
        await client.close()

    async def vanish(self) -> None:
        client = await nats.connect(self.url)
        await client.jetstream(timeout=30).delete_stream("orders")
        await client.close()

    async def anew(self) -> None:
        await self.vanish()
        await self.make_stream()


class PostgresFeed:
    """An outbox in a PostgreSQL of its own."""

    def __init__(self, server: Process, dsn: str) -> None:
        self.server = server
        self.dsn = dsn
        self.page = ("PostgreSQL", {"postgresql://hub@127.0.0.1/shop": dsn})
        self.wrong = ("hub@", "nobody:wr0ng@", "PostgreSQL refuses orders")
        self.vanished = "hub bridge --schema postgres"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "postgres"\nurl = "{self.dsn}"\nbatch = 50\n'
            'channel = "{data.channel}"\nevent = "{data.event}"\npayload = "data.payload"\nkey = "{data.key}"\n'
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        link = await asyncpg.connect(self.dsn)
        for some in batched(messages, 50):
            rows = [
                (f"order:{each['order']}", each["kind"], orjson.dumps(each["n"]).decode()) for each in some
            ]
            await link.executemany("SELECT hub_publish($1, $2, $3)", rows)
        await link.close()

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        link = await asyncpg.connect(self.dsn)
        async for each in messages:
            row = (f"order:{each['order']}", each["kind"], orjson.dumps(each["n"]).decode())
            await link.execute("SELECT hub_publish($1, $2, $3)", *row)
        await link.close()

    async def raw(self, body: bytes) -> None:
        link = await asyncpg.connect(self.dsn)
        await link.execute("SELECT hub_publish($1, 'x', '1')", body.decode())
        await link.close()

    async def up(self) -> None:
        link = await again(lambda: asyncpg.connect(self.dsn), asyncpg.PostgresError)
        await link.close()

    async def vanish(self) -> None:
        link = await asyncpg.connect(self.dsn)
        await link.execute("DROP TABLE hub_outbox, hub_outbox_life")
        await link.close()

    async def anew(self) -> None:
        await self.vanish()
        await _make_outbox(self.dsn)


class KafkaFeed:
    """A topic of three partitions in a broker of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.address = f"127.0.0.1:{port}"
        self._codecs = itertools.cycle((None, "gzip", "snappy", "lz4", "zstd"))  # of each hand-over another
        self.page = ("Kafka", {"127.0.0.1:9092": self.address})
        self.wrong = ('topics = ["orders"]', 'topics = ["nowhere"]', "there is no topic nowhere")
        self.vanished = "there is no topic orders"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "kafka"\nservers = ["{self.address}"]\ntopics = ["orders"]\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        options = {"acks": "all", "enable_idempotence": True, "compression_type": next(self._codecs)}
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address, **options) as producer:
            answers = [
                await producer.send("orders", orjson.dumps(message), key=message["order"].encode())
                for message in messages
            ]
            await asyncio.gather(*answers)

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            async for message in messages:
                await producer.send("orders", orjson.dumps(message), key=message["order"].encode())

    async def raw(self, body: bytes) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address, acks="all") as producer:
            await producer.send_and_wait("orders", body)

    async def make_topic(self, name: str = "orders", partitions: int = 3) -> None:
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.create_topics([aiokafka.admin.NewTopic(name, partitions, 1)])
        finally:
            await admin.close()

    async def up(self) -> None:
        """The broker leads its partitions again."""

        async def led() -> None:
            async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address, acks="all") as producer:
                await producer.partitions_for("orders")

        await again(led, aiokafka.errors.KafkaError)

    async def vanish(self) -> None:
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.delete_topics(["orders"])
            while "orders" in await admin.list_topics():
                await asyncio.sleep(0.1)
        finally:
            await admin.close()

    async def anew(self) -> None:
        await self.vanish()
        await self.make_topic()


class RabbitFeed:
    """A queue with a single active consumer, in a broker of its own; a message's identity is its message_id."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        self.page = ("RabbitMQ", {"amqp://guest:guest@127.0.0.1/": self.url})
        self.wrong = ("guest:guest", "guest:wr0ng", "RabbitMQ refuses orders")
        self.vanished = "no queue 'orders'"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "rabbitmq"\nurl = "{self.url}"\nqueue = "orders"\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        await self._publish([(orjson.dumps(message), message["id"]) for message in messages])

    async def stream(self, messages: AsyncIterator[Message]) -> None:
        async with await aio_pika.connect(self.url) as link:
            exchange = (await link.channel(publisher_confirms=False)).default_exchange
            async for each in messages:
                message = aio_pika.Message(orjson.dumps(each), message_id=each["id"], delivery_mode=2)
                await exchange.publish(message, "orders")

    async def raw(self, body: bytes) -> None:
        await self._publish([(body, None)])

    async def make_queue(self) -> None:
        async with await aio_pika.connect(self.url) as link:
            channel = await link.channel()
            arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
            await channel.declare_queue("orders", durable=True, arguments=arguments)

    async def up(self) -> None:
        """The queue has its leader again."""

        async def led() -> None:
            async with await aio_pika.connect(self.url) as link:
                await (await link.channel()).get_queue("orders")

        await again(led, aio_pika.exceptions.AMQPError)

    async def vanish(self) -> None:
        async with await aio_pika.connect(self.url) as link:
            await (await link.channel()).queue_delete("orders")

    async def anew(self) -> None:
        await self.vanish()
        await self.make_queue()

    async def _publish(self, messages: Sequence[tuple[bytes, str | None]]) -> None:
        async with await aio_pika.connect(self.url) as link:
            exchange = (await link.channel(publisher_confirms=True)).default_exchange
            for some in batched(messages, 200):
                ready = [aio_pika.Message(body, message_id=id, delivery_mode=2) for body, id in some]
                await asyncio.gather(*(exchange.publish(message, "orders") for message in ready))


@asynccontextmanager
async def redis_feed(folder: Path) -> AsyncIterator[RedisFeed]:
    port = free_port()
    command = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
    ]
    with Process(command, folder, listens(port)) as server:
        yield RedisFeed(server, port)


@asynccontextmanager
async def nats_feed(folder: Path) -> AsyncIterator[NatsFeed]:
    port = free_port()
    program = Path(sys.executable).with_name("nats-server")
    command = [str(program), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder / "data")]
    with Process(command, folder, listens(port)) as server:
        feed = NatsFeed(server, port)
        await feed.make_stream()
        yield feed


@asynccontextmanager
async def postgres_feed(folder: Path) -> AsyncIterator[PostgresFeed]:
    port = free_port()
    bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        for each in [folder, *folder.parents]:
            if each.owner() == "root" and not each.stat().st_mode & 0o005 and each != Path("/"):
                each.chmod(each.stat().st_mode | 0o011)
        shutil.chown(folder, user)
    data = folder / "data"
    made = [str(bin / "initdb"), "-D", str(data), "-A", "trust", "-U", "hub", "--no-sync"]
    subprocess.run(made, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    with Process(
        [str(bin / "postgres"), "-D", str(data), *options], folder, listens(port), user=user
    ) as server:
        dsn = f"postgresql://hub@127.0.0.1:{port}/postgres"
        await _make_outbox(dsn)
        yield PostgresFeed(server, dsn)


async def _make_outbox(dsn: str) -> None:
    schema = subprocess.run(
        [str(Path(sys.executable).with_name("hub")), "bridge", "--schema", "postgres"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    link = await again(lambda: asyncpg.connect(dsn), asyncpg.PostgresError)
    await link.execute(schema)
    await link.close()


KAFKA = Path(__file__).parents[2] / "build" / "kafka"
KAFKA_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
KAFKA_LOG = """
Configuration:
  Appenders: {Console: {name: out, PatternLayout: {pattern: "%d %p %c %m%n"}}}
  Loggers: {Root: {level: warn, AppenderRef: [{ref: out}]}}
"""


KAFKA_TOOLS = {"kafka-topics.sh": "TopicCommand", "kafka-console-producer.sh": "ConsoleProducer"}


def kafka_tools(folder: Path) -> None:
    """The scripts of Kafka's own distribution, of which Maven has the classes alone."""
    for name, tool in KAFKA_TOOLS.items():
        script = folder / name
        java = f"java -Xmx128m -XX:TieredStopAtLevel=1 -cp '{KAFKA}/*' org.apache.kafka.tools.{tool}"
        script.write_text(f'#!/bin/sh\nexec {java} "$@"\n')
        script.chmod(0o755)


@asynccontextmanager
async def kafka_feed(folder: Path) -> AsyncIterator[KafkaFeed]:
    port, controller = free_port(), free_port()
    properties, log4j = folder / "server.properties", folder / "log4j2.yaml"
    properties.write_text(KAFKA_PROPERTIES.format(port=port, controller=controller, data=folder / "data"))
    log4j.write_text(KAFKA_LOG)
    java = ["java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += [f"-Dlog4j2.configurationFile={log4j}", "-cp", f"{KAFKA}/*"]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    form = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
    subprocess.run(form, check=True, cwd=folder, capture_output=True, timeout=120)
    with Process([*java, "kafka.Kafka", str(properties)], folder, listens(port)) as server:
        feed = KafkaFeed(server, port)
        await feed.make_topic()
        yield feed


RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@asynccontextmanager
async def rabbitmq_feed(folder: Path) -> AsyncIterator[RabbitFeed]:
    port, names = free_port(), free_port()
    (folder / "names").mkdir()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    (folder / "plugins").write_text("[].\n")
    environment = {
        "HOME": str(folder),  # where Erlang keeps its cookie
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_NODENAME": f"n{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    # Erlang's name server would outlive the node that starts it, so it is started before it.
    epmd = ["epmd", "-port", str(names), "-address", "127.0.0.1"]
    with (
        Process(epmd, folder / "names", listens(names)),
        Process([str(RABBITMQ)], folder, listens(port), environment=environment) as server,
    ):
        feed = RabbitFeed(server, port)
        await feed.make_queue()
        yield feed


FEEDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Any]]] = {
    "kafka": kafka_feed,
    "rabbitmq": rabbitmq_feed,
    "redis_stream": redis_feed,
    "nats": nats_feed,
    "postgres": postgres_feed,
}
