"""The protocol state of one connection.

    state      a message is           then
    ---------  ---------------------  ------------------------------------------
    WAITING    authenticate           its command; `opened()` once it is accepted
    WAITING    anything else          ``unauthenticated``
    OPEN       a command              its command
    OPEN       anything else          ``bad_message`` or ``unknown_type``; the connection stays
    any        ten bad ones in a row  `exhausted`: close with 4400
    CLOSED     anything               ignored by the transport

No I/O and no clock: bytes in, commands out, errors raised.
"""

from dataclasses import replace
from enum import Enum
from typing import Any

from .codec import decode, salvage
from .codes import ErrorCode
from .commands import Command, parse
from .console import is_console_line, parse_line
from .dialects import AnyEncoding
from .errors import HubError
from .fields import CommandId, command_id
from .frames import Encoding
from .payloads import keep_payload, keep_payloads
from .publications import Publish

MAX_FAULTS = 10
MAX_BEFORE_AUTH = 16 * 1024  # bytes read of a connection that has not said who it is


class SessionState(Enum):
    """Where a session stands."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"


class HelpRequested(Exception):
    """The console line ``help``: a question about the protocol, not a command of it."""


class Session:
    """Decodes messages, knows what is allowed in which state, and counts what was wrong.

    `console`: the connection asked for no subprotocol, so a person may be typing.
    """

    __slots__ = ("_before_auth", "_faults", "console", "encoding", "last_id", "state")

    def __init__(self, encoding: AnyEncoding, console: bool) -> None:
        self.encoding = encoding
        self.console = console
        self.state = SessionState.WAITING
        self.last_id: CommandId = None
        self._faults = 0
        self._before_auth = 0

    def receive(self, data: bytes, text: bool) -> Command:
        """The command in one message. `last_id` is the id that an error is to be answered with.

        Raises:
            HubError: what is wrong with it; it counts as a fault.
            HelpRequested: the console line ``help``.
        """
        self.last_id = None
        try:
            command = self._command(data, text)
        except HubError:
            self._faults += 1
            raise
        self._faults = 0
        return command

    @property
    def exhausted(self) -> bool:
        """Ten bad messages in a row, or too much before the token: the connection is to be closed."""
        return self._faults >= MAX_FAULTS or (
            self.state is SessionState.WAITING and self._before_auth > MAX_BEFORE_AUTH
        )

    def opened(self) -> None:
        """The token was accepted."""
        self.state = SessionState.OPEN

    def closed(self) -> None:
        """Nothing more is to be read."""
        self.state = SessionState.CLOSED

    def _command(self, data: bytes, text: bool) -> Command:
        if self.state is SessionState.WAITING:
            self._before_auth += len(data)
            if self._before_auth > MAX_BEFORE_AUTH:
                raise HubError(ErrorCode.BAD_MESSAGE, f"more than {MAX_BEFORE_AUTH} bytes before the token")
        if self.console and text and is_console_line(data):
            return self._typed(data.decode())
        message = self._message(data, text)
        self._check_state(message)
        return parse(message)

    def _message(self, data: bytes, text: bool) -> dict[str, Any]:
        """The message as an object; `last_id` is set as soon as it is known."""
        assert isinstance(self.encoding, Encoding)  # who speaks a dialect reads by itself
        if text is not (self.encoding is Encoding.JSON):
            kind, wanted = ("text", "hub.v1.msgpack") if text else ("binary", "hub.v1.json")
            raise HubError(ErrorCode.BAD_MESSAGE, f"a {kind} frame on a connection that speaks {wanted}")
        try:
            message = decode(data, self.encoding)
        except HubError:
            self.last_id = command_id(salvage(data, self.encoding))
            raise
        self.last_id = command_id(message)
        if self.encoding is Encoding.JSON:
            if message.get("type") in ("publish", "call"):
                keep_payload(message, data)
            elif message.get("type") == "batch":
                keep_payloads(message, data)
        return message

    def _typed(self, line: str) -> Command:
        """The command of a console line. A person is answered, whatever a program would be."""
        message = parse_line(line)
        if message["type"] == "help":
            raise HelpRequested
        self._check_state(message)
        command = parse(message)
        return replace(command, answered=True) if isinstance(command, Publish) else command

    def _check_state(self, message: dict[str, Any]) -> None:
        if self.state is SessionState.WAITING and message.get("type") != "authenticate":
            raise HubError(
                ErrorCode.UNAUTHENTICATED,
                'the first message must be {"type":"authenticate","token":"<jwt>"}',
            )
