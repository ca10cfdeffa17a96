"""`state` channels as map subscriptions: keys and their values, in phases that the client asks for one by one.

    it asks for              the answer
    -----------------------  ----------------------------------------------------------------------
    STATE                    the first page of the snapshot
    STATE, with a cursor     the next page; with the last one, live
    STREAM, LIVE             live from that position; what was missed follows as publications

Live is a subscription from the position at which the snapshot is complete. Where something is lost since then, or
the node has let go of the snapshot, error 112 sends the client back to the first page. A key is removed by a final
event whose payload is null, or where the hub itself deletes it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from ..delivery.snapshot import Snapshot
from ..namespaces import Mode, Namespaces
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.fields import bad
from ..protocol.position import Position
from . import codes, pushes
from .requests import MAP_STATE, RequestId

TYPE = 1
STATE = MAP_STATE
PAGE, MOST = 100, 1000  # entries of a page, where the client does not say; and at most
READING = 8  # snapshots of which a connection may be reading pages

_events = msgspec.json.Decoder(list[Raw])


class StatePage(NamedTuple):
    """Some of the entries of a snapshot that is complete at `position`. `cursor` asks for the next ones; empty
    where there are none."""

    entries: list[dict[str, Any]]
    cursor: str
    position: Position

    def reply(self, id: RequestId) -> dict[str, Any]:
        """The answer, where more follows."""
        epoch, offset = self.position
        result = {"type": TYPE, "phase": STATE, "cursor": self.cursor, "epoch": epoch, "offset": offset}
        return {"id": int(id), "subscribe": {**result, "state": self.entries}}


class MapReads:
    """The snapshots that a connection reads page by page."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    def begin(self, channel: str, snapshot: Snapshot) -> None:
        """From now on cursors are of this one."""
        self._snapshots[channel] = snapshot
        self._snapshots.move_to_end(channel)
        if len(self._snapshots) > READING:
            self._snapshots.popitem(last=False)

    def end(self, channel: str) -> None:
        """No more pages are wanted."""
        self._snapshots.pop(channel, None)

    def page(self, channel: str, request: Mapping[str, Any], id: RequestId) -> StatePage:
        """The page that a request names.

        Raises:
            HubError: the snapshot is no more; or ``bad_message``.
        """
        snapshot = self._snapshots.get(channel)
        number, first = _place(request.get("cursor", ""))
        if snapshot is None or snapshot.lost or not number < len(snapshot.pages):
            id.code = codes.UNRECOVERABLE
            raise HubError(ErrorCode.CONFLICT, "the pages of this snapshot are no more: begin again")
        limit = min(request.get("limit", 0), MOST) or PAGE
        if limit < 0:
            raise bad("limit must not be negative")
        bodies = _events.decode(b"[" + snapshot.pages[number].events + b"]")
        entries = [pushes.stored(bytes(body)) for body in bodies[first : first + limit]]
        there = [each for each in entries if "removed" not in each]
        following = (number, first + limit) if first + limit < len(bodies) else (number + 1, 0)
        cursor = f"{following[0]}.{following[1]}" if following[0] < len(snapshot.pages) else ""
        return StatePage(there, cursor, snapshot.top.position)


def check(request: Mapping[str, Any], channel: str, namespaces: Namespaces, id: RequestId) -> None:
    """Whether the hub has what is asked for.

    Raises:
        HubError: it has not.
    """
    if request.get("type") != TYPE:
        id.code = codes.NOT_AVAILABLE
        raise HubError(
            ErrorCode.UNKNOWN_TYPE, "of subscriptions with a type, only maps of keys are available"
        )
    if namespaces.of(channel).mode is not Mode.STATE:
        raise bad(f"{channel} is no map: only state channels are")


def _place(cursor: str) -> tuple[int, int]:
    """The page of a snapshot, and the entry in it."""
    page, _, entry = (cursor or "0.0").partition(".")
    for part in (page, entry):
        if not (part.isascii() and part.isdigit() and len(part) < 9):
            raise bad("the cursor is none that the hub gave away")
    return int(page), int(entry)
