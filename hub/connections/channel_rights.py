"""The channel rights of one connection: what each of its subscriptions may beside the connection's own token."""

import random
from typing import Protocol

from ..auth.channel_right import ChannelRight

EXPIRING_S = (30.0, 60.0)  # before its end, a right is said to be ending


class Rights(Protocol):
    """What somebody may do with channels."""

    def may_subscribe(self, channel: str) -> bool:
        """Whether it may be read."""

    def may_publish(self, channel: str) -> bool:
        """Whether it may be published to."""

    def may_presence(self, channel: str) -> bool:
        """Whether its members may be seen, and joined."""


class Either:
    """What one of two allows."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Rights, second: Rights) -> None:
        self._first = first
        self._second = second

    def may_subscribe(self, channel: str) -> bool:
        """Whether it may be read."""
        return self._first.may_subscribe(channel) or self._second.may_subscribe(channel)

    def may_publish(self, channel: str) -> bool:
        """Whether it may be published to."""
        return self._first.may_publish(channel) or self._second.may_publish(channel)

    def may_presence(self, channel: str) -> bool:
        """Whether its members may be seen, and joined."""
        return self._first.may_presence(channel) or self._second.may_presence(channel)


class ChannelRights:
    """One right a channel, and when the next of them is due. Times are Unix seconds: `now` is handed in."""

    __slots__ = ("_notices", "_rights")

    def __init__(self) -> None:
        self._rights: dict[str, ChannelRight] = {}
        self._notices: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._rights)

    def get(self, channel: str) -> ChannelRight | None:
        """The right on a channel."""
        return self._rights.get(channel)

    def all(self) -> list[ChannelRight]:
        """All of them."""
        return list(self._rights.values())

    def put(self, right: ChannelRight) -> None:
        """It takes the place of the one before."""
        self._rights[right.channel] = right
        self._notices[right.channel] = right.expires_at - random.uniform(*EXPIRING_S)

    def remove(self, channel: str) -> None:
        """Its subscription has ended."""
        self._rights.pop(channel, None)
        self._notices.pop(channel, None)

    def ended(self, now: float) -> list[ChannelRight]:
        """Those that are over."""
        return [right for right in self._rights.values() if right.expires_at <= now]

    def expiring(self, now: float) -> list[ChannelRight]:
        """Those whose end has come near since the last call."""
        near = [channel for channel, notice in self._notices.items() if notice <= now]
        for channel in near:
            del self._notices[channel]
        return [self._rights[channel] for channel in near]

    def due(self) -> float:
        """When the next one has to be told, or ends; infinite where none does."""
        ends = (right.expires_at for right in self._rights.values())
        return min(min(ends, default=float("inf")), min(self._notices.values(), default=float("inf")))
