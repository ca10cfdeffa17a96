"""One system each, as a test sees it: its server, its settings of a bridge, and how messages get in."""

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import aiokafka
import aiokafka.admin
import asyncpg
import nats
import orjson
import redis.asyncio

from ..support.server import free_port
from .process import Process, listens

Message = dict[str, Any]

MAPPING = """
channel = "order:{data.order}"
event = "{data.kind}"
id = "{data.id}"
payload = "data.n"
"""


class Feed(Protocol):
    """A system that is up."""

    server: Process

    def settings(self) -> str:
        """The ``[[bridges]]`` that read it."""

    async def produce(self, messages: Sequence[Message]) -> None:
        """Hand messages in, in order, and wait until they are stored."""

    async def raw(self, body: bytes) -> None:
        """Hand in bytes as they are."""


class RedisFeed:
    """A stream of a Redis of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"redis://127.0.0.1:{port}"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "redis_stream"\nurl = "{self.url}"\nstreams = ["orders"]\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            for message in messages:
                await client.xadd("orders", {"data": orjson.dumps(message)})

    async def raw(self, body: bytes) -> None:
        async with redis.asyncio.from_url(self.url) as client:
            await client.xadd("orders", {"data": body})


class NatsFeed:
    """A stream of a JetStream of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"nats://127.0.0.1:{port}"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "nats"\nservers = ["{self.url}"]\nstream = "orders"\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        client = await nats.connect(self.url)
        stream = client.jetstream(timeout=30)
        for message in messages:
            await stream.publish("orders.new", orjson.dumps(message))
        await client.close()

    async def raw(self, body: bytes) -> None:
        client = await nats.connect(self.url)
        await client.jetstream(timeout=30).publish("orders.new", body)
        await client.close()


class PostgresFeed:
    """An outbox in a PostgreSQL of its own."""

    def __init__(self, server: Process, dsn: str) -> None:
        self.server = server
        self.dsn = dsn

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "postgres"\nurl = "{self.dsn}"\nbatch = 50\n'
            'channel = "{data.channel}"\nevent = "{data.event}"\npayload = "data.payload"\nkey = "{data.key}"\n'
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        link = await asyncpg.connect(self.dsn)
        for message in messages:
            await link.execute(
                "SELECT hub_publish($1, $2, $3)",
                f"order:{message['order']}",
                message["kind"],
                str(message["n"]),
            )
        await link.close()

    async def raw(self, body: bytes) -> None:
        link = await asyncpg.connect(self.dsn)
        await link.execute("SELECT hub_publish($1, 'x', '1')", body.decode())
        await link.close()


class KafkaFeed:
    """A topic of three partitions in a broker of its own."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.address = f"127.0.0.1:{port}"

    def settings(self) -> str:
        return (
            f'[[bridges]]\nname = "orders"\nkind = "kafka"\nservers = ["{self.address}"]\ntopics = ["orders"]\n'
            f"batch = 50\n{MAPPING}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address, acks="all") as producer:
            for message in messages:
                await producer.send_and_wait("orders", orjson.dumps(message), key=message["order"].encode())

    async def raw(self, body: bytes) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self.address, acks="all") as producer:
            await producer.send_and_wait("orders", body)

    async def make_topic(self) -> None:
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.create_topics([aiokafka.admin.NewTopic("orders", 3, 1)])
        finally:
            await admin.close()


class RabbitFeed:
    """A queue with a single active consumer, in a broker of its own; a message's identity is its message_id."""

    def __init__(self, server: Process, port: int) -> None:
        self.server = server
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"

    def settings(self) -> str:
        mapping = "\n".join(line for line in MAPPING.splitlines() if not line.startswith("id "))
        return (
            f'[[bridges]]\nname = "orders"\nkind = "rabbitmq"\nurl = "{self.url}"\nqueue = "orders"\n'
            f"batch = 50\n{mapping}"
        )

    async def produce(self, messages: Sequence[Message]) -> None:
        await self._publish([(orjson.dumps(message), message["id"]) for message in messages])

    async def raw(self, body: bytes) -> None:
        await self._publish([(body, None)])

    async def make_queue(self) -> None:
        async with await aio_pika.connect(self.url) as link:
            channel = await link.channel()
            arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
            await channel.declare_queue("orders", durable=True, arguments=arguments)

    async def _publish(self, messages: Sequence[tuple[bytes, str | None]]) -> None:
        async with await aio_pika.connect(self.url) as link:
            exchange = (await link.channel(publisher_confirms=True)).default_exchange
            for body, id in messages:
                message = aio_pika.Message(
                    body, message_id=id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                )
                await exchange.publish(message, "orders")


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
        client = await nats.connect(feed.url)
        await client.jetstream(timeout=30).add_stream(name="orders", subjects=["orders.*"])
        await client.close()
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
    for _ in range(100):
        try:
            link = await asyncpg.connect(dsn)
            break
        except (asyncpg.CannotConnectNowError, OSError):
            await asyncio.sleep(0.1)
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
"""
KAFKA_LOG = """
Configuration:
  Appenders: {Console: {name: out, PatternLayout: {pattern: "%d %p %c %m%n"}}}
  Loggers: {Root: {level: warn, AppenderRef: [{ref: out}]}}
"""


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


FEEDS = {
    "kafka": kafka_feed,
    "rabbitmq": rabbitmq_feed,
    "redis_stream": redis_feed,
    "nats": nats_feed,
    "postgres": postgres_feed,
}
