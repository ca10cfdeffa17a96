"""How often a user's token may ask over HTTP: the rules of its sockets, one bucket a user."""

from typing import Protocol

from ..auth.identity import Identity
from ..connections.connection import rate_limited
from ..connections.user_rates import UserRates
from ..namespaces import Namespaces
from ..settings import Settings

_COMMANDS = ""  # no namespace is called so


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
        wait = self._node.user_rates.take(identity.user, f"http:{name}", rate, burst, self._node.now())
        if wait:
            raise rate_limited(f"{what} of this user", wait)
