"""What of a trace the hub's parts know: where it is begun, carried on, and looked at. Off, nothing of it exists."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import orjson

from ..protocol.event import Event, Publication

SYSTEM = "notification_hub"
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)

_Answer = TypeVar("_Answer")


class Fanned(Protocol):
    """A channel that hands events on."""

    name: str

    @property
    def subscribers(self) -> int:
        """To so many."""


class Kind(Enum):
    """Of a step: `CLIENT` asks somebody, `CONSUMER` handles what somebody sent."""

    CLIENT = "client"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class Step:
    """Work that publications lead to, or that leads to some.

    `name` is one of few. `behind` are the values of ``traceparent`` that those bear who are handled, each may be
    missing or rubbish: the step is a child of the first that is sampled, and linked to all. `within`: where
    something is under way here, it is a child of that. `begins`: where nobody has decided, a trace may begin here.
    """

    name: str
    kind: Kind
    attributes: Mapping[str, Any] = field(default_factory=dict)
    behind: Sequence[str | None] = ()
    within: bool = False
    begins: bool = False


class Follower(Protocol):
    """Spans of what stands before the hub or behind it: bridges, proxies, webhooks. As for `Tracer`."""

    async def follow(self, step: Step, work: Callable[[str | None], Awaitable[_Answer]]) -> _Answer:
        """`step` around `work`, which gets the ``traceparent`` for those that it asks, None where nothing is
        sampled. An answer's `status`, where it has one, is HTTP's."""

    def current(self) -> str | None:
        """The ``traceparent`` of what is under way in this task."""

    async def close(self) -> None:
        """Send what waits, for a moment."""


class Tracer(Follower, Protocol):
    """Spans of one node. Nothing here raises because of a trace, and nothing waits for a receiver of spans."""

    async def request(
        self, route: str, method: str, traceparent: str | None, work: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """An HTTP request around `work`, whose answer has a `status_code`."""

    async def send(
        self, publications: Sequence[Publication], work: Callable[[], Awaitable[list[_Answer]]]
    ) -> list[_Answer]:
        """Publications around `work`, inside the request that is under way, or behind the trace that their `meta`
        names. Where it is sampled and `meta` names none, `meta` gets its `traceparent`."""

    def handed_on(self, bursts: Sequence[tuple[Fanned, Sequence[Any]]], now: float) -> None:
        """Events that this node wrote to its clients, at the Unix time `now`: one span for each sampled event."""


def parent(text: str | None) -> tuple[int, int] | None:
    """Trace and span of a sampled `traceparent` (W3C Trace Context, section 3.2); None for all else.

    One that is not sampled is looked at no closer: its flags stand at the end. All zeros mean no trace.
    """
    if not text or text[-1:] not in "13579bdf":
        return None
    found = _PARENT.fullmatch(text)
    if found is None or text.startswith("ff"):
        return None
    trace, span = int(found[1], 16), int(found[2], 16)
    return (trace, span) if trace and span else None


def decided(text: str | None) -> bool:
    """Whether somebody before has decided, one way or the other, whether this is sampled."""
    return bool(text) and _PARENT.fullmatch(text or "") is not None


def found(meta: bytes | None) -> str | None:
    """The ``traceparent`` of a publication's or an event's `meta`, unchecked."""
    if meta is None or b'"traceparent"' not in meta:
        return None
    value = orjson.loads(meta).get("traceparent")
    return value if isinstance(value, str) else None


def messaging(operation: str, system: str = SYSTEM) -> dict[str, Any]:
    """OpenTelemetry's conventions for messaging: what is done, and of which system."""
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def asking(url: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`attributes` of a request by ``POST`` to a place whose path may be a secret: only its host is told."""
    place = urlsplit(url)
    port = {} if place.port is None else {"server.port": place.port}
    return {"http.request.method": "POST", "server.address": place.hostname or "", **port, **attributes}


def headers(traceparent: str | None) -> dict[str, str]:
    """What carries a trace on."""
    return {} if traceparent is None else {"traceparent": traceparent}


def traced(events: Sequence[Event]) -> list[Event]:
    """Those that may bear a trace: one look at each, and most have no `meta`."""
    return [event for event in events if event.meta is not None and b'"traceparent"' in event.meta]
