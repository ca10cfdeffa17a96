"""What a call of the server API is made with."""

from dataclasses import dataclass
from typing import Any

from ...auth.identity import Identity, Level
from ...http.context import HttpContext
from ...protocol.codes import ErrorCode
from ...protocol.errors import HubError
from ...protocol.fields import bad
from ...protocol.fields import channel as channel_in
from .. import codes
from ..names import HubNames

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """`service` asks, and names channels as `names` has it. `data` is the bytes of the request's own `data`."""

    context: HttpContext
    service: Identity
    names: HubNames
    data: bytes | None = None

    def channel(self, fields: Fields) -> str:
        """The hub's name of the channel that is meant.

        Raises:
            HubError: ``bad_message``.
        """
        name = fields.get("channel")
        if not isinstance(name, str):
            raise bad("channel must be a string")
        try:
            return channel_in({"channel": self.names.inward(name)})
        except HubError as error:
            raise bad(error.reason) from None

    def control(self, level: Level) -> None:
        """What changes connections, or sees them, is for who may.

        Raises:
            HubError: ``forbidden``.
        """
        if self.service.control < level:
            why = f"this API key names its rights, and admin:{level.name.lower()} is not among them"
            raise HubError(ErrorCode.FORBIDDEN, why)


def failure(message: Fields, number: int | None = None) -> Fields:
    """An error's `code` and `reason` as the libraries know them. A channel that is well named and refused all the
    same has no such thing; a conflict is about an `idempotency_key`."""
    others = {ErrorCode.BAD_CHANNEL: codes.NOT_AVAILABLE, ErrorCode.CONFLICT: codes.BAD_CALL}
    return codes.error(message, number or others.get(ErrorCode(message["code"])))


class Unrecoverable(HubError):
    """The position is of a numbering that is no more."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CONFLICT, "the position is of a numbering that is no more")


def text(fields: Fields, name: str) -> str | None:
    """A field that is a string; None where it is missing or empty.

    Raises:
        HubError: ``bad_message``.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise bad(f"{name} must be a string")
    return value or None
