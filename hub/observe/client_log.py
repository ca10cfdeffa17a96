"""A log of what happens to clients: a line each, and of a storm or a flood a few lines with a count.

INFO: connected, closed, refused. WARNING once for each origin that is not allowed. Never a token or a payload.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

from ..connections.observer import Ending, Observed, Stranger
from ..protocol import codes
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .text import shown

log = logging.getLogger("hub.clients")

A_MINUTE = 6  # lines of a kind and an address in a minute; the next says how many were left out
KINDS_MOST = 2048
ORIGINS_MOST = 256
MINUTE_S = 60.0


class LineLimit:
    """At most so many lines a minute of one kind and address; the clock is handed in."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: OrderedDict[tuple[str, str], list[float]] = OrderedDict()  # [begin, written, left out]

    def take(self, kind: str, address: str) -> int | None:
        """None: write nothing. Else how many lines of this kind were left out before this one."""
        now = self._now()
        entry = self._seen.get((kind, address))
        if entry is None or now - entry[0] >= MINUTE_S:
            left_out = int(entry[2]) if entry is not None else 0
            self._seen[kind, address] = [now, 1.0, 0.0]
            self._seen.move_to_end((kind, address))
            if len(self._seen) > KINDS_MOST:
                self._seen.popitem(last=False)
            return left_out
        if entry[1] >= A_MINUTE:
            entry[2] += 1
            return None
        entry[1] += 1
        return 0


class ClientLog:
    """`Observer` that writes lines. `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._limit = LineLimit(now)
        self._origins: OrderedDict[str, None] = OrderedDict()

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`."""
        self._line(
            "connected", connection.address, f"{_named(connection)} connected from {connection.address}"
        )

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        lasted = self._now() - connection.opened_at
        name = codes.name(ending.code)
        text = f"{_named(connection)} closed with {ending.code} {name}"
        if ending.reason:
            text += f": {shown(ending.reason)}"
        text += f"; it had {_channels(connection)} for {lasted:.0f} s"
        if ending.unread_bytes:
            text += f", and had not read {ending.unread_bytes} bytes"
        if ending.unacked_bytes:
            text += f"; {ending.unacked_bytes} more were not acknowledged"
        self._line(name, connection.address, text)

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """As `Observer.turned_away`."""
        if who.origin is not None and error.code is ErrorCode.FORBIDDEN and who.origin not in self._origins:
            self._origins[who.origin] = None
            if len(self._origins) > ORIGINS_MOST:
                self._origins.popitem(last=False)
            log.warning(
                "a page of %s was refused; HUB_ALLOWED_ORIGINS names those that may connect",
                shown(who.origin),
            )
        user = f" of {shown(who.user)}" if who.user else ""
        text = f"a connection{user} from {who.address} was refused: {_why(error)}"
        self._line(f"refused {error.code.value}", who.address, text)

    def refused(self, connection: Observed, error: HubError) -> None:
        """As `Observer.refused`."""
        about = f" on {shown(error.channel)}" if error.channel else ""
        text = f"{_named(connection)} was refused{about}: {_why(error)}"
        self._line(f"command {error.code.value}", connection.address, text)

    def gap(self, channel: str, start: int, end: int, *, filled: bool) -> None:
        """As `Observer.gap`."""
        how = "refilled from the store" if filled else "LOST: the store no longer has them"
        self._line("gap", "", f"events {start} to {end} of {shown(channel)} were missed here, {how}")

    def _line(self, kind: str, address: str, text: str) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        left_out = self._limit.take(kind, address)
        if left_out is None:
            return
        if left_out:
            text += f" ({left_out} more like it in the minute before)"
        log.info("%s", text)


def _named(connection: Observed) -> str:
    return f"{connection.id} of {shown(connection.who[0])}"


def _why(error: HubError) -> str:
    return f"{error.code.value}: {shown(error.reason, 300)}"


def _channels(connection: Observed) -> str:
    count = len(connection.subscriptions)
    if not count:
        return "no channel"
    names = ", ".join(shown(name, 60) for name in list(connection.subscriptions)[:3])
    return f"{names}{f' and {count - 3} more' if count > 3 else ''}"
