"""One way in: a message becomes publications by its mapping; what can never be published becomes a dead letter."""

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

from starlette.datastructures import Headers

from ..auth.claims import grants
from ..auth.identity import Identity
from ..bridge.letters import Letter, letter_id, publication
from ..bridge.mapping import Mapper, Poison, event_id
from ..bridge.masks import masker
from ..bridge.records import Record, where
from ..bridge.settings import MappingSettings
from ..commands.batch import publish_all
from ..http import dead_letters
from ..http.context import HttpContext
from ..http.publish import checked
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.publications import parse_entry

SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "dapr-api-token"})
"""Headers that no mapping sees."""


class Outcome(Enum):
    """What became of a message."""

    STORED = "stored"
    LEFT_OUT = "left out"  # by the filter
    DEAD = "kept as a dead letter"


class Door:
    """What comes in by one hook or subscription; `origin` is what dead letters say: ``github:hook``."""

    def __init__(self, settings: MappingSettings, origin: str) -> None:
        self.settings = settings
        self.origin = origin
        self._mapper = Mapper(settings)
        self._mask = masker(settings)
        # Its event ids are its own, as those of an API key are.
        name = f"hook:{settings.name}"
        self._identity = Identity(name, math.inf, grants((), ("*",), ()), service=True, name=f"key:{name}")

    def events(self, record: Record, *, remember: bool = True) -> list[dict[str, Any]]:
        """The publications of a message; none where the filter leaves it out. `remember`: its identity for
        `id_memory` seconds, which only services may ask for.

        Raises:
            Poison: it can't be handed on.
        """
        events = self._mapper.map(record, self.origin)
        for event in events:
            if "event_id" not in event and record.id is not None:
                event["event_id"] = event_id(record.id)
            if remember and "event_id" in event:
                event["event_id_ttl_ms"] = int(self.settings.id_memory * 1000)
        return events

    async def take(self, context: HttpContext, record: Record) -> Outcome:
        """Publish a message, or keep it.

        Raises:
            HubError: neither can be done now; the sender is to repeat it.
        """
        try:
            events = self.events(record)
        except Poison as poison:
            await self.keep(context, record, poison.code, poison.reason)
            return Outcome.DEAD
        if not events:
            return Outcome.LEFT_OUT
        results = await publish(context, self._identity, events)
        raise_first([result for result in results if result.get("retry")])
        refused = [(event, each) for event, each in zip(events, results, strict=True) if "code" in each]
        for event, each in refused:
            await self.keep(context, record, each["code"], each["reason"], event)
        return Outcome.DEAD if refused else Outcome.STORED

    async def keep(
        self,
        context: HttpContext,
        record: Record,
        code: str,
        reason: str,
        event: dict[str, Any] | None = None,
    ) -> None:
        """A dead letter, once for each message and channel."""
        origin = f"{self.origin}@{where(record)}"
        id = letter_id(origin if event is None else f"{origin}/{event['channel']}")
        kept = None if event is None else publication(event)
        letter = Letter(id, origin, code, reason, record.tries, record.value, kept)
        await dead_letters.keep(context, self._mask(letter).fields(), self._identity.user)


async def publish(
    context: HttpContext, identity: Identity, events: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Publish in order by channel, with the rights of `identity`; an answer each."""
    commands = [parse_entry(None, event) for event in events]
    return await publish_all(
        context.node, commands, lambda command: checked(context, identity, command), ordered=True
    )


def raise_first(results: Sequence[dict[str, Any]]) -> None:
    """Raise the first refusal.

    Raises:
        HubError: it.
    """
    for result in results:
        if "code" in result:
            code, reason, channel = ErrorCode(result["code"]), result["reason"], result.get("channel")
            raise HubError(code, reason, channel=channel, retry_after_ms=result.get("retry_after_ms"))


def headers_of(headers: Headers) -> dict[str, str]:
    """Headers as a mapping sees them, by names in small letters; of one that comes twice, the first."""
    return {name: headers[name] for name in headers if name not in SECRET}
