"""Whether what was published is on replicas too: for publishers that let go of it once it is safe.

A verb beside `Broker.publish`, and not a part of it: who does not ask pays nothing.
"""

from collections.abc import Collection
from typing import Protocol

from ..protocol.codes import ErrorCode, Outcome
from ..protocol.errors import HubError


class Witness(Protocol):
    """Made before publishing (`Broker.witness`), and asked afterwards.

    It answers for one master from its making on: what another one took meanwhile is not confirmed, whatever it
    says, as it may never have had what was published here.
    """

    async def unconfirmed(self, replicas: int) -> dict[str, HubError]:
        """The channels whose events of before are not for sure on so many replicas, each with an ``unavailable``
        whose outcome is unknown. Within a second or two."""


class NoReplicas:
    """Of a storage that has none."""

    def __init__(self, channels: Collection[str]) -> None:
        self._channels = channels

    async def unconfirmed(self, replicas: int) -> dict[str, HubError]:
        """All of them."""
        return {name: not_replicated(name, "the hub's storage has no replicas") for name in self._channels}


def not_replicated(channel: str, why: str) -> HubError:
    """It is stored, and nothing says that a failover would keep it."""
    return HubError(ErrorCode.UNAVAILABLE, why, channel=channel, retry_after_ms=500, outcome=Outcome.UNKNOWN)
