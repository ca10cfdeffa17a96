"""Kafka: a consumer group; offsets are committed by hand, when everything below them was handed on.

Positions are ``[generation, offset]``: offsets are unique in a partition of one life of a topic. A topic that was
deleted and made anew begins at 0 again, and nothing in the protocol says so: the setting `generation` does. Each
generation has a group of its own (``hub``, ``hub-1``), as what was committed belongs to one life of the topic.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import aiokafka
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import ConsumerRecord, TopicPartition

from ..records import Batch, Record
from ..settings import BridgeSettings
from ..source import Revoked, SourceError

LONGEST_WORK_MS = 300_000  # a batch that takes longer costs the partition: back-pressure pauses instead
REQUEST_MS = 20_000
LOOK_S = 5.0
WAIT_MS, HELD_MS = 1000, 20
METADATA_MS = 30_000  # within which new partitions are found
FETCH_BYTES = 1_048_576  # of a partition at once, and of all of a broker's:
MOST_BYTES = 16 * FETCH_BYTES  # what bounds the memory of a bridge, whatever the lag


class KafkaSource:
    """Topics of a cluster, as a member of a group."""

    # What this process has committed, by bridge, generation and partition: a deleted topic takes the offsets of its
    # groups along, and the source that finds it anew is another object.
    _settled: ClassVar[dict[tuple[str, int, str], int]] = {}

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._ready: list[Batch] = []
        self._held: set[str] = set()
        self._released = asyncio.Event()
        self._next: dict[str, int] = {}  # the offset that has to come next, or a later one

    async def probe(self) -> str:
        """See that the topics are there, and who else reads as this group."""
        admin = AIOKafkaAdminClient(request_timeout_ms=REQUEST_MS, **_options(self._settings))
        try:
            await admin.start()
            found = await admin.describe_topics()  # of all: asking for one by its name may make it
            sizes = {each["topic"]: len(each["partitions"]) for each in found}
            if missing := [name for name in self._settings.topics if name not in sizes]:
                raise _no_topic(missing)
            counts = [f"{name} ({sizes[name]} partitions)" for name in self._settings.topics]
            return f"topics {', '.join(counts)}{await self._strangers(admin)}"
        except KafkaError as error:
            raise _in_words(error, self._settings) from None
        finally:
            await admin.close()

    async def _strangers(self, admin: AIOKafkaAdminClient) -> str:
        """Who shares the partitions and would take records that this bridge then never sees."""
        group = _group(self._settings)
        answers = await admin.describe_consumer_groups([group])
        members = [member for answer in answers for each in answer.groups for member in each[5]]
        others = {str(member[1]) for member in members} - {f"hub-bridge-{self._settings.name}"}
        return f"; the group {group} has other members too: {', '.join(sorted(others))}" if others else ""

    async def start(self, revoked: Revoked) -> None:
        """Connect."""
        options = _options(self._settings)
        self._consumer = aiokafka.AIOKafkaConsumer(
            group_id=_group(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_interval_ms=LONGEST_WORK_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=MOST_BYTES,
            request_timeout_ms=REQUEST_MS,
            metadata_max_age_ms=METADATA_MS,
            **options,
        )
        try:
            await self._consumer.start()
            await self._known_topics()
            self._consumer.subscribe(self._settings.topics, listener=_Rebalance(self, revoked))
            if self._settings.dead_topic:
                self._producer = aiokafka.AIOKafkaProducer(acks="all", enable_idempotence=True, **options)
                await self._producer.start()
        except KafkaError as error:
            raise _in_words(error, self._settings) from None

    async def next(self) -> Batch:
        """The next records of a partition that is not held. What was fetched of several partitions is given
        one by one."""
        assert self._consumer is not None
        while not self._ready:
            try:
                found = await self._fetched()
                for place, records in found.items():
                    if records:
                        await self._follow(place, records)
                        made = [_record(each, self._generation) for each in records]
                        self._ready.append(Batch(_name(place), made))
            except KafkaError as error:
                raise _in_words(error, self._settings) from None
        return self._ready.pop(0)

    async def _fetched(self) -> "dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]":
        """What has come. A topic that vanishes takes its partitions away in silence, and the library then waits for
        an assignment for ever: so one looks where nothing is assigned, or nothing is heard of it.

        Raises:
            SourceError: there is no such topic any more.
        """
        assert self._consumer is not None
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                found = await self._of_those_that_are_open()
                if found or self._consumer.assignment():
                    return found
        await self._known_topics()
        return found

    async def _of_those_that_are_open(self) -> "dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]":
        assert self._consumer is not None
        assigned = self._consumer.assignment()
        wanted = [place for place in assigned if _name(place) not in self._held]
        wait_ms = WAIT_MS if len(wanted) == len(assigned) else HELD_MS  # one may be released meanwhile
        if assigned and not wanted:
            self._released.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), WAIT_MS / 1000)
            # Who asks for nothing leaves its group after `LONGEST_WORK_MS`; no names would mean all of them.
            wanted, wait_ms = [TopicPartition(self._settings.topics[0], -1)], 0
        most = self._settings.batch
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = await self._consumer.getmany(
            *wanted, timeout_ms=wait_ms, max_records=most
        )
        return found

    async def settle(self, batch: Batch) -> None:
        """Every record of the batch was handed on, rejected or left out on purpose: acknowledge it. The next
        offset to read is committed."""
        assert self._consumer is not None
        last = batch.records[-1].handle
        place = TopicPartition(last.topic, last.partition)
        if place not in self._consumer.assignment():
            return  # it went to another reader meanwhile, who reads this again
        try:
            await self._consumer.commit({place: last.offset + 1})
            self._settled[self._key(batch.partition)] = last.offset + 1
        except IllegalStateError:
            return
        except KafkaError as error:
            raise _in_words(error, self._settings) from None

    async def reject(self, record: Record, code: str, reason: str) -> None:
        """The record can't be handed on; a dead letter has it. To ``<topic>.dlq``, with where it came
        from."""
        if self._producer is None:
            return
        found: ConsumerRecord[bytes, bytes] = record.handle
        headers = [
            *(found.headers or ()),
            ("hub-error", f"{code}: {reason}".encode()),
            ("hub-source", f"{found.topic}/{found.partition}@{found.offset}".encode()),
        ]
        try:
            await self._producer.send_and_wait(
                f"{found.topic}.dlq", found.value, key=found.key, headers=headers
            )
        except KafkaError as error:
            raise _in_words(error, self._settings) from None

    def hold(self, partition: str) -> None:
        """Read no more of it for now: what it gave is still under way. Heartbeats go on. It is not asked for, where
        the library's own `pause` throws away what has been fetched of it."""
        self._held.add(partition)

    def release(self, partition: str) -> None:
        """Read on."""
        self._held.discard(partition)
        self._released.set()

    async def lag(self) -> Mapping[str, int]:
        """Records that wait, by partition, as far as the system tells."""
        assert self._consumer is not None
        found = {}
        for place in self._consumer.assignment():
            top = self._consumer.highwater(place)
            if top is not None:
                try:
                    found[_name(place)] = max(0, top - await self._consumer.position(place))
                except KafkaError as error:
                    raise _in_words(error, self._settings) from None
        return found

    async def close(self) -> None:
        """Let go, within seconds."""
        for each in (self._consumer, self._producer):
            if each is not None:
                try:
                    async with asyncio.timeout(5.0):
                        await each.stop()
                except (KafkaError, TimeoutError):
                    pass  # it is gone, and so is what it knew
        self._consumer = self._producer = None

    def forget(self, partitions: Collection[str]) -> None:
        """What was fetched of partitions that go to another reader is not handed on here."""
        self._ready = [batch for batch in self._ready if batch.partition not in partitions]
        for name in partitions:
            self._next.pop(name, None)
            self._held.discard(name)

    @property
    def _generation(self) -> int:
        return self._settings.generation or 0

    def _key(self, partition: str) -> tuple[str, int, str]:
        return self._settings.name, self._generation, partition

    async def _follow(self, place: TopicPartition, records: "list[ConsumerRecord[bytes, bytes]]") -> None:
        """See that a partition goes on where it was.

        Raises:
            SourceError: it begins anew: it would be taken for a repetition of what was handed on.
        """
        assert self._consumer is not None
        name, first = _name(place), records[0].offset
        if name not in self._next:
            committed = await self._consumer.committed(place) or 0
            self._next[name] = max(committed, self._settled.get(self._key(name), 0))
        if first < self._next[name]:
            raise SourceError(
                f"{name} begins anew at {first}, the hub stands at {self._next[name]}: "
                f"raise `generation`, or commit where it goes on",
                final=True,
            )
        self._next[name] = records[-1].offset + 1

    async def _known_topics(self) -> None:
        assert self._consumer is not None
        known = await self._consumer.topics()
        if missing := [topic for topic in self._settings.topics if topic not in known]:
            raise _no_topic(missing)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, source: KafkaSource, revoked: Revoked) -> None:
        self._source = source
        self._revoked = revoked

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Settle what is in flight; what was fetched and not given is another's."""
        names = [_name(place) for place in revoked]
        self._source.forget(names)
        await self._revoked(names)
        self._source.forget(names)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Reading begins at the committed offsets by itself."""


def _group(settings: BridgeSettings) -> str:
    return f"{settings.group}-{settings.generation}" if settings.generation else settings.group


def _name(place: TopicPartition) -> str:
    return f"{place.topic}/{place.partition}"


def _record(found: "ConsumerRecord[bytes, bytes]", generation: int) -> Record:
    key = found.key
    return Record(
        found.value or b"",
        (generation, found.offset),
        key=None if key is None else key.decode("utf-8", "replace"),
        headers={name: (value or b"").decode("utf-8", "replace") for name, value in found.headers or ()},
        time_ms=found.timestamp if found.timestamp and found.timestamp > 0 else None,
        handle=found,
    )


def _options(settings: BridgeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": settings.servers,
        "client_id": f"hub-bridge-{settings.name}",
    }
    if settings.tls:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.ca)
    if settings.username is not None:
        options |= {
            "sasl_mechanism": settings.sasl,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": settings.password.get_secret_value() if settings.password else "",
        }
    options["security_protocol"] = {
        (False, False): "PLAINTEXT",
        (True, False): "SSL",
        (False, True): "SASL_PLAINTEXT",
        (True, True): "SASL_SSL",
    }[settings.tls, settings.username is not None]
    return options


def _no_topic(missing: Sequence[str]) -> SourceError:
    return SourceError(f"there is no topic {', '.join(missing)}", final=True)


def _in_words(error: KafkaError, settings: BridgeSettings) -> SourceError:
    where = ", ".join(settings.servers)
    final = isinstance(error, UnknownTopicOrPartitionError | TopicAuthorizationFailedError)
    return SourceError(f"Kafka at {where}: {type(error).__name__}: {error}"[:300], final=final)
