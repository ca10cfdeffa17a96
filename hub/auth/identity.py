"""Who a connection or a request is, and what it may do. Past `auth/` nobody sees a raw claims dict."""

from dataclasses import dataclass, field
from enum import IntEnum

from ..protocol.channels import is_channel, is_reserved
from .grants import Pattern


class Level(IntEnum):
    """How much of the hub itself somebody may see or change; each holds those before."""

    NONE = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Grants:
    """Patterns of the channels that a token allows, by verb."""

    subscribe: Pattern
    publish: Pattern
    presence: Pattern


@dataclass(frozen=True, slots=True)
class Identity:
    """A checked token or API key.

    `expires_at` and `issued_at` are Unix seconds (`issued_at` None where the token does not say;
    `expires_at` is infinite for an API key). `channels` are subscribed by the server. `info` is JSON that
    presence shows. `name` is whom an `event_id` belongs to: the `sub` (``token:<sub>`` where that could be taken
    for a key), or ``key:<name>`` of an API key.
    `control` is what it may do with connections, tokens and the node: each service but one whose key names its
    rights. `admin` is the right to what only people who run the hub may see, which must be named. `hides` are
    namespaces whose events it is not shown whole, whatever its grants: those with a `mask`, for the console.
    """

    user: str
    expires_at: float
    grants: Grants
    channels: tuple[str, ...] = ()
    info: bytes | None = None
    service: bool = False
    issued_at: float | None = None
    jti: str | None = None
    name: str = field(default="")
    control: Level = Level.NONE
    admin: Level = Level.NONE
    hides: frozenset[str] = frozenset()

    def may_subscribe(self, channel: str) -> bool:
        """Whether a grant allows it; one's own ``user:<sub>`` is always allowed, compared literally."""
        if is_reserved(channel):
            return self.admin >= Level.READ
        if self.hides and channel.partition(":")[0] in self.hides:
            return False
        return (
            self.grants.subscribe.matches(channel) or channel == self.own_channel or channel in self.channels
        )

    def may_publish(self, channel: str) -> bool:
        """Whether a grant allows publishing; the namespace has its own say."""
        return self.grants.publish.matches(channel) and not is_reserved(channel)

    def may_presence(self, channel: str) -> bool:
        """Whether a grant allows seeing and having presence."""
        return self.grants.presence.matches(channel) and not is_reserved(channel)

    @property
    def own_channel(self) -> str | None:
        """``user:<sub>``, where the `sub` is inside the grammar of channel names."""
        channel = f"user:{self.user}"
        return channel if is_channel(channel) else None
