"""An event that is older than a subscription: where that began, and whether the event was part of how it began."""

from collections.abc import Sequence
from typing import Any

from ..broker.base import Broker
from ..protocol.errors import HubError
from ..protocol.event import Event
from .words import at

SCANNED = 1000  # events behind it among which a newer one of its key is looked for

Facts = dict[str, Any]


def older(place: Facts, offset: int, event: Event | None) -> bool:
    """Whether a subscription began at `offset` or behind it. By positions, as the clocks of nodes differ; where it
    began in another numbering (``of``), which may have been given on under a new name, by the time as well."""
    if offset > (place.get("from") or 0):
        return False
    return "of" not in place or (event is not None and event.time < place.get("since", 0))


async def later(event: Event | None, places: Sequence[Facts], broker: Broker) -> Sequence[int] | None:
    """Offsets of newer events of its key, where that bears on a snapshot; None where that is not known."""
    ends = [int(place["from"]) for place in places if _in_snapshot(place, event)]
    if event is None or max(ends, default=0) <= event.offset:
        return ()
    most = max(ends) - event.offset
    try:
        page = await broker.read(event.channel, event.offset, min(most, SCANNED))
    except HubError:
        return None
    found = [each.offset for each in page.events if each.key == event.key]
    return found if found or most <= SCANNED else None


def sentence(
    channel: str, whose: str, place: Facts, offset: int, event: Event | None, newer: Sequence[int] | None
) -> str:
    """What `explain` answers: `newer` is what `later` has found."""
    return (
        f"event {offset} is older than the subscription of {whose} to {channel}, which began at "
        f"{at(place.get('since', 0))} at position {place.get('of', place['epoch'])}:{place['from']}: "
        f"{_part(place, event, newer)}"
    )


def _part(place: Facts, event: Event | None, newer: Sequence[int] | None) -> str:
    """Whether the event was part of how the subscription began, as the end of a sentence."""
    begun = place.get("begun", "live")
    if begun == "position":
        return "it resumed from there, where its client said it stood, so that the client had it before"
    if begun == "gap":
        return "what was missed could not be recovered any more, and the client was told of that gap"
    if begun == "live":
        return "nothing older was asked for, so that it was no part of it (`since` asks for what was before)"
    if event is None:
        return "the snapshot that it began with had it if it was the newest of its key then"
    if event.key is None:
        return "the snapshot that it began with holds the newest event of each key, and this one has no key"
    instead = [each for each in newer or () if each <= int(place["from"])]
    if instead:
        return f"the snapshot that it began with had event {instead[-1]} in its place, a newer one of its key"
    if newer is None:
        return "the snapshot that it began with had it, or a newer one of its key"
    gone = ", unless the time of its key was over (snapshot_ttl)" if event.final else ""
    return f"it was part of the snapshot that it began with{gone}"


def _in_snapshot(place: Facts, event: Event | None) -> bool:
    return (
        event is not None
        and event.key is not None
        and place.get("begun") == "snapshot"
        and older(place, event.offset, event)
    )
