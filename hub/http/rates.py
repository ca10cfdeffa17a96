"""How often a user's token may ask over HTTP: the rules of its sockets, one bucket a user; and of an API key that
has a rate of its own.

What is left is told in the fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from ..auth.identity import Identity
from ..connections.connection import rate_limited
from ..connections.user_rates import UserRates
from ..namespaces import Namespaces
from ..settings import Settings

_COMMANDS = ""  # no namespace is called so


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands after a request: `left` of `burst`, which fills at `rate` a second."""

    rate: float
    burst: float
    left: float

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header lines."""
        full_s = -(-(self.burst - self.left) // self.rate)
        policy = f'"requests";q={self.burst:.0f};w={-(-self.burst // self.rate):.0f}'
        now = f'"requests";r={max(0, int(self.left))};t={max(0.0, full_s):.0f}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", now.encode())]


standing: ContextVar[Standing | None] = ContextVar("hub_rate_standing", default=None)
"""Of the present request, where who asks has a limit."""


class Limits(Protocol):
    """Where the rates are written."""

    settings: Settings
    namespaces: Namespaces
    user_rates: UserRates

    def now(self) -> float:
        """Monotonic seconds."""


class Rates:
    """The limits of users over HTTP; services have none."""

    def __init__(self, node: Limits) -> None:
        self._node = node

    def check_command(self, identity: Identity) -> None:
        """One request: what a command is on a socket.

        Raises:
            HubError: ``rate_limited``.
        """
        if not identity.service:
            settings = self._node.settings
            self._request(identity, settings.command_rate, settings.command_burst, "this user")

    def check_key(self, identity: Identity, rate: float, burst: float) -> None:
        """One request with an API key that has a rate of its own.

        Raises:
            HubError: ``rate_limited``.
        """
        self._request(identity, rate, burst, "this API key")

    def _request(self, identity: Identity, rate: float, burst: float, whose: str) -> None:
        now = self._node.now()
        bucket = self._node.user_rates.bucket(
            identity.user if not identity.service else identity.name, f"http:{_COMMANDS}", rate, burst, now
        )
        wait = bucket.take(now)
        standing.set(Standing(rate, burst, bucket.left(now)))
        if wait:
            raise rate_limited(f"requests of {whose}", wait)

    def check_publication(self, identity: Identity, channel: str) -> None:
        """One publication, by the rate of its namespace.

        Raises:
            HubError: ``rate_limited``.
        """
        if not identity.service:
            name = channel.partition(":")[0]
            rules = self._node.namespaces.of(channel)
            self._take(identity, name, rules.publish_rate, rules.publish_burst, f"publications in {name}")

    def _take(self, identity: Identity, name: str, rate: float, burst: float, what: str) -> None:
        wait = self._node.user_rates.take(identity.user, f"http:{name}", rate, burst, self._node.now())
        if wait:
            raise rate_limited(f"{what} of this user", wait)
