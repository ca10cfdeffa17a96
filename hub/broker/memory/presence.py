"""Who is in a channel, in the memory of one process."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ..base import Member, check_member
from .timers import Alarm, Timers

_FULL_RETRY_MS = 10_000

Announce = Callable[[str, str, Member], None]
"""Called with the channel, the change (``join``, ``leave``, ``update``) and the member."""


class _Present:
    __slots__ = ("leaving", "member")

    def __init__(self, member: Member, leaving: Alarm) -> None:
        self.member = member
        self.leaving = leaving


class MemoryPresence:
    """`Presence` within one process. Members live as long as it does: no node can die alone here."""

    def __init__(self, timers: Timers, announce: Announce, limit: int) -> None:
        self._timers = timers
        self._announce = announce
        self._limit = limit
        self._channels: dict[str, dict[tuple[str, str], _Present]] = {}

    async def enter(self, channel: str, member: Member) -> None:
        """`member.owner` becomes the owner."""
        check_member(member.user, member.name)
        self._timers.tick(self._timers.clock())
        members = self._channels.get(channel, {})
        name = (member.user, member.name)
        present = members.get(name)
        if present is not None:
            self._return(channel, present, member)
            return
        if len(members) >= self._limit:
            raise HubError(
                ErrorCode.LIMIT,
                f"{self._limit} members are present, which is the limit of a channel",
                channel=channel,
                retry_after_ms=_FULL_RETRY_MS,
            )
        leaving = Alarm(partial(self._left, channel, name))
        self._channels.setdefault(channel, members)[name] = _Present(member, leaving)
        self._announce(channel, "join", member)

    async def set_state(self, channel: str, user: str, name: str, owner: str, state: bytes) -> None:
        """Announces an update."""
        present = self._owned(channel, user, name, owner)
        if present is None:
            raise HubError(
                ErrorCode.CONFLICT,
                "another connection speaks for this member now, or it left",
                channel=channel,
            )
        present.member = replace(present.member, state=state)
        self._announce(channel, "update", present.member)

    async def leave(self, channel: str, user: str, name: str, owner: str, grace_s: float) -> None:
        """The member leaves after `grace_s` unless somebody entered as it meanwhile; a leave by anyone but
        the owner does nothing."""
        present = self._owned(channel, user, name, owner)
        if present is None:
            return
        if grace_s > 0:
            self._timers.set(present.leaving, self._timers.clock() + grace_s)
        else:
            self._left(channel, (user, name))

    async def members(self, channel: str) -> list[Member]:
        """All members at this moment, in the order of entering."""
        self._timers.tick(self._timers.clock())
        return [present.member for present in self._channels.get(channel, {}).values()]

    async def count(self, channel: str) -> tuple[int, int]:
        """How many members there are at this moment, and how many users they are."""
        self._timers.tick(self._timers.clock())
        members = self._channels.get(channel, {})
        return len(members), len({user for user, _ in members})

    def _owned(self, channel: str, user: str, name: str, owner: str) -> _Present | None:
        self._timers.tick(self._timers.clock())
        present = self._channels.get(channel, {}).get((user, name))
        return present if present is not None and present.member.owner == owner else None

    def _return(self, channel: str, present: _Present, member: Member) -> None:
        self._timers.cancel(present.leaving)
        before = present.member
        if member.state is None:
            member = replace(member, state=before.state)
        present.member = member
        if (member.info, member.state) != (before.info, before.state):
            self._announce(channel, "update", member)

    def _left(self, channel: str, name: tuple[str, str]) -> None:
        members = self._channels[channel]
        present = members.pop(name)
        self._timers.cancel(present.leaving)
        if not members:
            del self._channels[channel]
        self._announce(channel, "leave", present.member)
