"""What commands ask of the node that they run on: one Protocol a concern, and each names the least it needs."""

from collections.abc import Sequence
from typing import Protocol

from ..auth.channel_right import ChannelRight
from ..auth.identity import Identity
from ..auth.resume import Returning
from ..auth.revocations import Revocations
from ..broker.base import Broker, Published
from ..connections.admission import Admission
from ..connections.connection import Connection, Host
from ..delivery.channel import Subscription
from ..namespaces import Namespaces
from ..presence.board import PresenceBoard
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..recovery.table import ChannelTable
from ..runtime.counters import Counters
from ..runtime.floods import Floods
from ..runtime.tasks import Tasks
from ..settings import Settings
from .application import Application
from .publications import PublicationChecks


class Publishes(Protocol):
    """Hands publications to the broker."""

    async def publish(
        self, publications: Sequence[Publication], *, ordered: bool = False
    ) -> list[Published | HubError]:
        """For each where it stands, or why not."""


class Subscribes(Protocol):
    """Where subscriptions begin, stand and end."""

    settings: Settings
    application: Application | None
    namespaces: Namespaces
    broker: Broker
    channels: ChannelTable
    presence: PresenceBoard
    revocations: Revocations
    counters: Counters
    tasks: Tasks

    def wall(self) -> float:
        """Unix seconds."""

    async def verify_channel(self, token: str) -> ChannelRight:
        """What a channel token allows; raises `HubError`."""

    def replace(self, connection: Connection, subscription: Subscription) -> None:
        """It takes the place of the one that the connection had of this channel."""

    def drop(self, connection: Connection, name: str) -> None:
        """End a subscription, where there is one."""

    def withdraw(self, connection: Connection, channel: str, code: ErrorCode, reason: str) -> None:
        """End a subscription whose right has ended, and say why."""


class LetsIn(Subscribes, Protocol):
    """Who may come, and when they count; a token may bring channels along."""

    id: str

    async def verify(self, token: str) -> Identity:
        """Who a token speaks for; raises `HubError`."""

    def returning(self, resume: str | None, user: str) -> Returning | None:
        """The connection that a `resume` value continues."""

    def resume_token(self, connection: Connection, identity: Identity) -> str:
        """The `resume` value of a welcome."""

    def enter(self, connection: Connection, identity: Identity, returning: Returning | None) -> None:
        """From now on the connection counts; raises `HubError`."""


class Executes(LetsIn, Publishes, Protocol):
    """Does all commands."""

    publication_checks: PublicationChecks


class Entrance(LetsIn, Host, Protocol):
    """What a handshake needs, and the transport that has made it: a place for the connection, and its host."""

    settings: Settings
    counters: Counters
    tasks: Tasks
    admission: Admission
    floods: Floods
