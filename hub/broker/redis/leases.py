"""Leases: a key that is neither published again nor made final in time gets one event that says so.

The truth (a lease's id, its deadline by the channel's server) lies beside the channel. The due-list only
makes somebody look: it is told before the publication (a crash in between leaves an item about nothing) and
again after it (an item about nothing yet may have been looked at and dropped).
"""

import asyncio
from collections.abc import Sequence
from random import getrandbits

import orjson

from ...namespaces import Mode, Namespaces
from ...protocol.codes import Outcome
from ...protocol.errors import HubError
from ...protocol.event import Publication
from ...runtime.tasks import Tasks
from ..base import Published, untried
from . import format as wire
from .channels import RedisChannels
from .client.topology import Topology
from .due import DueList
from .keys import KeyNames
from .scripts import LEASED
from .store import Request, Store

_KIND = "lease"
EXPIRED = "lease_expired"
"""The type of the event that follows a lease which ran out."""


class RedisLeases:
    """Publishing, with leases. The id of a lease ends with how long it lasts, in ms."""

    def __init__(
        self,
        channels: RedisChannels,
        store: Store,
        topology: Topology,
        keys: KeyNames,
        namespaces: Namespaces,
        due: DueList,
    ) -> None:
        self._topology = topology
        self._channels = channels
        self._store = store
        self._keys = keys
        self._namespaces = namespaces
        self._due = due
        self._tasks = Tasks()
        due.handlers[_KIND] = self._look

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """Store and announce each, in order where the channel is the same; an error in one leaves the
        others."""
        leases = [self._lease(publication) for publication in publications]
        if any(leases):
            return await self._publish_leased(publications, leases, ordered)
        answers = await self._channels.publish(publications, ordered=ordered)
        for publication, (_, replaced) in zip(publications, answers, strict=True):
            if replaced:
                self._tidy(publication, None, replaced)
        return [answer for answer, _ in answers]

    def _lease(self, publication: Publication) -> str | None:
        """The id of a publication's lease; None where it has none."""
        if publication.lease_ms is None or publication.key is None or publication.final:
            return None
        try:
            state = self._namespaces.of(publication.channel).mode is Mode.STATE
        except HubError:
            return None  # publishing says it
        return f"{getrandbits(64):016x}-{publication.lease_ms}" if state else None

    async def _publish_leased(
        self, publications: Sequence[Publication], leases: Sequence[str | None], ordered: bool
    ) -> list[Published | HubError]:
        asked = [
            self._adding(publication, lease)
            for publication, lease in zip(publications, leases, strict=True)
            if lease is not None
        ]
        told = iter(await self._store.run(asked))
        results: list[Published | HubError | None] = [
            _refused(reply) if lease is not None and isinstance(reply := next(told), HubError) else None
            for lease in leases
        ]
        if ordered:
            _hold_back(publications, results)
        going = [index for index, result in enumerate(results) if result is None]
        answers = await self._channels.publish(
            [publications[index] for index in going], [leases[index] for index in going], ordered=ordered
        )
        for index, (answer, replaced) in zip(going, answers, strict=True):
            results[index] = answer
            stands = isinstance(answer, Published) and not answer.stale and not answer.duplicate
            if replaced or (stands and leases[index]):
                self._tidy(publications[index], leases[index] if stands else None, replaced)
        return [result for result in results if result is not None]

    def _adding(self, publication: Publication, lease: str, replaced: str = "") -> Request:
        channel, key = publication.channel, publication.key or ""
        instead = (_KIND, channel, key, replaced) if replaced else None
        return self._due.adding((_KIND, channel, key, lease), (publication.lease_ms or 0) / 1000, instead)

    def _tidy(self, publication: Publication, lease: str | None, replaced: str) -> None:
        """Tell the due-list what stands now. Nobody waits for it: it only saves looks."""
        if lease is None:
            request = self._due.dropping((_KIND, publication.channel, publication.key or "", replaced))
        else:
            request = self._adding(publication, lease, replaced)
        self._tasks.spawn(self._store.run([request]))

    async def _look(self, channel: str, key: str, lease: str) -> float | None:
        """A lease is due, says the due-list (`redis_due.Handler`)."""
        stored = self._keys.stored(channel)
        reply = await self._store.one(Request(channel, LEASED, (stored[5], stored[2]), (key, lease)))
        if reply[0] == b"gone":
            return None
        if reply[0] == b"early":
            return int(reply[1]) / 1000
        if (wait := self._set_forward(channel, lease, int(reply[2]))) > 0:
            return wait
        publication = Publication(
            channel, EXPIRED, _payload(channel, reply[1]), publisher="", event_id=f"lease:{lease}", key=key
        )
        await self._channels.expire(publication, lease)
        return None

    def _set_forward(self, channel: str, lease: str, deadline_ms: int) -> float:
        """In how many seconds a lease is really due, where the server's clock was set forward meanwhile."""
        clock = self._topology.of(channel).commander.clock
        _, _, lasts_ms = lease.partition("-")
        if not lasts_ms.isdigit():
            return 0.0
        due_ms = deadline_ms + clock.skipped_ms(deadline_ms - int(lasts_ms))
        return (due_ms - clock.now_ms(asyncio.get_running_loop().time())) / 1000


def _hold_back(publications: Sequence[Publication], results: list[Published | HubError | None]) -> None:
    """Nothing of a channel is published behind one whose lease could not be told."""
    held: set[str] = set()
    for index, publication in enumerate(publications):
        if publication.channel in held:
            results[index] = untried(publication.channel)
        elif results[index] is not None:
            held.add(publication.channel)


def _refused(error: HubError) -> HubError:
    """An entry of the due-list that may or may not stand: without its event it means nothing."""
    error.outcome = Outcome.NOT_DONE
    return error


def _payload(channel: str, value: bytes) -> bytes:
    """What the event says: the key's last event."""
    offset, _, blob = value.partition(b"|")
    try:
        last = wire.event(channel, int(offset), blob).fields()
    except ValueError:
        return b'{"last":null}'
    return orjson.dumps({"last": last})
