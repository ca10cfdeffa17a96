"""How often a user's token may ask over HTTP: the rules of its sockets, one bucket a user."""

from collections import OrderedDict
from typing import Protocol

from ..auth.identity import Identity
from ..connections.connection import rate_limited
from ..namespaces import Namespaces
from ..runtime.bucket import TokenBucket
from ..settings import Settings

MAX_BUCKETS = 65_536
_COMMANDS = ""  # no namespace is called so


class Limits(Protocol):
    """Where the rates are written."""

    settings: Settings
    namespaces: Namespaces

    def now(self) -> float:
        """Monotonic seconds."""


class Rates:
    """The buckets of the users that asked lately; services have none."""

    def __init__(self, node: Limits) -> None:
        self._node = node
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def check_command(self, identity: Identity) -> None:
        """One request: what a command is on a socket.

        Raises:
            HubError: ``rate_limited``.
        """
        if not identity.service:
            settings = self._node.settings
            self._take(identity, _COMMANDS, settings.command_rate, settings.command_burst, "requests")

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
        now = self._node.now()
        key = (identity.user, name)
        bucket = self._buckets.pop(key, None) or TokenBucket(rate, burst, now)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        wait = bucket.take(now)
        if wait:
            raise rate_limited(f"{what} of this user", wait)
