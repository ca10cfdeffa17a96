"""Who is in a channel: the list and its changes."""

from typing import Any

from .items import PresenceKind

Member = dict[str, Any]
Change = tuple[PresenceKind, list[Member]]


class Members:
    """The members of one channel. A member is (user, `as`) where it named one, else a connection."""

    def __init__(self) -> None:
        self._members: dict[tuple[Any, Any], Member] = {}

    def all(self) -> list[Member]:
        """The members now."""
        return [*self._members.values()]

    def apply(self, kind: PresenceKind, members: list[Member]) -> list[Change]:
        """One change as the hub tells it, less what is known already."""
        changed = []
        for member in members:
            key = _key(member)
            if kind is PresenceKind.LEAVE:
                if self._members.pop(key, None) is not None:
                    changed.append(member)
            elif self._members.get(key) != member:
                self._members[key] = member
                changed.append(member)
        return [(kind, changed)] if changed else []

    def replace(self, members: list[Member]) -> list[Change]:
        """A fresh list: what differs from the old one, so that a reconnect shows no flicker."""
        fresh = {_key(member): member for member in members}
        gone = [member for key, member in self._members.items() if key not in fresh]
        came = [member for key, member in fresh.items() if key not in self._members]
        other = [m for key, m in fresh.items() if key in self._members and self._members[key] != m]
        self._members = fresh
        changes = ((PresenceKind.LEAVE, gone), (PresenceKind.JOIN, came), (PresenceKind.UPDATE, other))
        return [(kind, changed) for kind, changed in changes if changed]


def _key(member: Member) -> tuple[Any, Any]:
    return member.get("user"), member.get("as") or member.get("connection")
