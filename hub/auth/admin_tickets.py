"""Admin tickets: what a page of the console holds in place of the token or key of who runs the hub.

Signed and not stored, so that they are worth something too while the storage is away. They speak for a person who
has `admin`, on every route and socket, for a working day at most; who revokes the token revokes them.
"""

from collections.abc import Callable
from dataclasses import replace

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .identity import Identity, Level
from .refusals import expired, invalid
from .signing import Signer
from .tickets import dump, load

PREFIX = "c."
LIFETIME_S = 8 * 3600.0
MAX_BYTES = 8192


class AdminTickets:
    """Issues and reads them; any node that has the same secret can. `clock` gives Unix seconds."""

    def __init__(self, signer: Signer, clock: Callable[[], float]) -> None:
        self._signer = signer
        self._clock = clock

    def issue(self, identity: Identity) -> tuple[str, int]:
        """A ticket that speaks for `identity`, and its life in whole seconds. One got by another one ends with it.

        Raises:
            HubError: ``forbidden`` without `admin`; ``token_expired`` where less than a second is left;
                ``bad_message`` where it gets too long.
        """
        if identity.admin < Level.READ:
            raise HubError(ErrorCode.FORBIDDEN, "this needs the right admin:read")
        now = self._clock()
        ends = min(now + LIFETIME_S, identity.expires_at)
        if ends - now < 1:
            raise expired("the token expires too soon for a ticket")
        # What it may do with connections follows its right as admin, whatever the key could do besides.
        bearer = replace(identity, expires_at=ends, control=identity.admin)
        ticket = PREFIX + self._signer.sign(dump(bearer))
        if len(ticket) > MAX_BYTES:
            raise HubError(
                ErrorCode.BAD_MESSAGE, "who has so many grants gets no ticket: it would be too long"
            )
        return ticket, int(ends - now)

    def read(self, ticket: str) -> Identity:
        """Whom the ticket speaks for; whether its token was revoked is for the caller to check.

        Raises:
            HubError: ``token_invalid`` or ``token_expired``.
        """
        record = self._signer.verify(ticket.removeprefix(PREFIX)) if len(ticket) <= MAX_BYTES else None
        if record is None:
            raise invalid("this ticket is not of this hub")
        identity = load(record)
        if identity.expires_at <= self._clock():
            raise expired("the ticket has ended: sign in again")
        return identity
