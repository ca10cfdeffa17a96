"""A right on one channel, beside those of the connection that has it: from a channel token, or a service's gift."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChannelRight:
    """A checked channel token, or what a service gave: `user` may subscribe to `channel` until `expires_at`.

    `expires_at` and `issued_at` are Unix seconds; what a service gave has no end of its own. `publish` and
    `presence`: whether these are allowed too. `info` is JSON that presence shows in this channel; None: that of
    the connection's own token.
    """

    user: str
    channel: str
    expires_at: float = math.inf
    publish: bool = False
    presence: bool = False
    info: bytes | None = None
    issued_at: float | None = None
    jti: str | None = None

    def may_subscribe(self, channel: str) -> bool:
        """Whether it is for this channel."""
        return channel == self.channel

    def may_publish(self, channel: str) -> bool:
        """Whether it allows publishing; the namespace has its own say."""
        return self.publish and channel == self.channel

    def may_presence(self, channel: str) -> bool:
        """Whether it allows seeing and having presence."""
        return self.presence and channel == self.channel
