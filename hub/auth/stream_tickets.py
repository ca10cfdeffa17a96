"""Stream tickets: an EventSource sends its URL again at each reconnect, so what stands there must be good more than
once, and for nothing else.

Such a ticket is signed and not stored. It allows to listen to the channels that it names, by a stream only, until
the token ends for which it was given; who revokes that token revokes the ticket.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .claims import grants
from .identity import Identity, Level
from .refusals import expired, invalid
from .signing import Signer
from .tickets import dump, load

PREFIX = "s."
MAX_BYTES = 8192
MAX_CHANNELS = 128


class StreamTickets:
    """Issues and reads them; any node that has the same secret can."""

    def __init__(self, signer: Signer, clock: Callable[[], float]) -> None:
        self._signer = signer
        self._clock = clock

    def issue(self, identity: Identity, channels: Sequence[str]) -> tuple[str, int]:
        """A ticket for `channels`, all of which `identity` may listen to, and its life in whole seconds.

        Raises:
            HubError: ``token_expired`` where less than a second is left, ``bad_message`` where it gets too long.
        """
        left = int(identity.expires_at - self._clock())
        if left < 1:
            raise expired("the token expires too soon for a ticket")
        ticket = PREFIX + self._signer.sign(dump(_listener(identity, channels)))
        if len(ticket) > MAX_BYTES:
            raise HubError(ErrorCode.BAD_MESSAGE, "a ticket for so many channels does not fit into a URL")
        return ticket, left

    def read(self, ticket: str) -> Identity:
        """Whom the ticket speaks for: its `channels` are all that it may listen to.

        Raises:
            HubError: ``token_invalid`` or ``token_expired``.
        """
        if not ticket.startswith(PREFIX) or len(ticket) > MAX_BYTES:
            raise invalid("this is no ticket for streams: POST /v1/tickets with stream:true gives one")
        record = self._signer.verify(ticket.removeprefix(PREFIX))
        identity = load(record or b"")
        if identity.expires_at <= self._clock():
            raise expired("the token that the ticket stood for has expired")
        return identity


def _listener(identity: Identity, channels: Sequence[str]) -> Identity:
    nothing = grants((), (), ())
    return replace(
        identity,
        grants=nothing,
        channels=tuple(channels),
        info=None,
        service=False,
        control=Level.NONE,
        admin=min(identity.admin, Level.READ),
    )
