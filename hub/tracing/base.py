"""What of a trace the hub's parts know: where it is begun, carried on, and looked at. Off, nothing of it exists."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from ..protocol.event import Event, Publication

_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)

_Answer = TypeVar("_Answer")


class Fanned(Protocol):
    """A channel that hands events on."""

    name: str

    @property
    def subscribers(self) -> int:
        """To so many."""


class Tracer(Protocol):
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

    async def close(self) -> None:
        """Send what waits, for a moment."""


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


def traced(events: Sequence[Event]) -> list[Event]:
    """Those that may bear a trace: one look at each, and most have no `meta`."""
    return [event for event in events if event.meta is not None and b'"traceparent"' in event.meta]
