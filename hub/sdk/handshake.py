"""Opening one connection: the upgrade, the welcome, and what a refusal means."""

import asyncio
import logging
import ssl as tls
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from hub.protocol.codec import decode, loads_json
from hub.protocol.codes import Then, then
from hub.protocol.errors import HubError
from hub.protocol.frames import SUBPROTOCOLS, Encoding

from ..runtime.backoff import Window
from .tls import ClientTls

_NAMES = {encoding: name for name, encoding in SUBPROTOCOLS.items()}
# websockets writes the upgrade request's headers at DEBUG, the token among them: that level is never inherited.
_quiet = logging.getLogger("hub.client.websocket")
_quiet.setLevel(logging.INFO)
MAX_FRAME = 8 * 1024 * 1024  # bytes; the welcome says what the hub really keeps to


@dataclass(frozen=True, slots=True)
class Departure:
    """Why a connection ended or was refused, and what its end means."""

    then: Then
    reason: str
    code: int | None = None
    window: Window | None = None


class HandshakeRefused(Exception):
    """No connection came about."""

    def __init__(self, departure: Departure) -> None:
        super().__init__(departure.reason)
        self.departure = departure


class Socket(ClientConnection):
    """A connection that knows when it last heard anything, the hub's pings included."""

    heard: float | None = None

    def process_event(self, event: Any) -> None:
        self.heard = self.loop.time()
        super().process_event(event)


@dataclass(frozen=True, slots=True)
class Welcome:
    """``hub.welcome`` (times in seconds)."""

    connection: str
    user: str
    resume: str | None
    heartbeat: float
    reconnect: Window | None
    message_bytes: int
    fields: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, message: dict[str, Any]) -> "Welcome":
        limits = message.get("limits")
        size = limits.get("message_bytes") if isinstance(limits, dict) else None
        heartbeat, resume = message.get("heartbeat_ms"), message.get("resume")
        return cls(
            str(message.get("connection")),
            str(message.get("user")),
            resume if isinstance(resume, str) else None,
            heartbeat / 1000 if type(heartbeat) is int and heartbeat > 0 else 25.0,
            Window.of(message.get("reconnect")),
            size if type(size) is int and size > 0 else 65536,
            message,
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect. `deadline` is in seconds, for the upgrade and the welcome together."""

    url: str
    encoding: Encoding = Encoding.JSON
    deadline: float = 10.0
    ssl: tls.SSLContext | None = None
    headers: Sequence[tuple[str, str]] = ()
    proxy: str | Literal[True] | None = None
    tls: ClientTls | None = None

    @property
    def where(self) -> str:
        """The address for a person: without its query, which may hold a secret, and without a user's name."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def open(self, token: str, resume: str | None) -> tuple[Socket, Welcome]:
        """A welcomed connection.

        Raises:
            Refused: with what to do next; the reason holds neither token nor URL query.
        """
        try:
            async with asyncio.timeout(self.deadline):
                socket = await self._upgrade(token, resume)
                try:
                    return socket, await self._welcome(socket)
                except BaseException:
                    socket.transport.abort()
                    raise
        except InvalidStatus as error:
            raise HandshakeRefused(_of_response(error.response)) from None
        except TimeoutError:
            raise HandshakeRefused(_again(f"no welcome within {self.deadline:g} s")) from None
        except (OSError, InvalidHandshake, EOFError) as error:
            raise HandshakeRefused(_again(f"{type(error).__name__}: {_first_line(error)}")) from None

    async def _upgrade(self, token: str, resume: str | None) -> Socket:
        url = self.url
        if resume is not None:
            url += f"{'&' if urlsplit(url).query else '?'}resume={quote(resume, safe='')}"
        options: dict[str, Any] = {"ssl": self.ssl} if self.ssl is not None else {}
        if self.tls is not None:
            self.tls.refresh()
            options["ssl"] = self.tls.context
        bearer = [("Authorization", f"Bearer {token}")] if token else []
        socket = await connect(
            url,
            subprotocols=[Subprotocol(_NAMES[self.encoding])],
            additional_headers=[*bearer, *self.headers],
            compression=None,
            proxy=self.proxy,
            open_timeout=None,
            close_timeout=5,
            ping_interval=None,
            max_size=MAX_FRAME,
            create_connection=Socket,
            logger=_quiet,
            **options,
        )
        assert isinstance(socket, Socket)
        return socket

    async def _welcome(self, socket: Socket) -> Welcome:
        notice: dict[str, Any] | None = None
        try:
            while True:
                message = decode(await socket.recv(decode=False), self.encoding)
                if message.get("type") == "hub.welcome":
                    return Welcome.of(message)
                if message.get("type") == "hub.close":
                    notice = message
                elif message.get("type") != "hub.error":
                    raise HandshakeRefused(_again("the first message was no hub.welcome"))
        except ConnectionClosed:
            raise HandshakeRefused(departure_of(socket, notice)) from None
        except HubError as error:
            raise HandshakeRefused(_again(f"the first message was unreadable: {error.reason}")) from None


def departure_of(socket: ClientConnection, notice: dict[str, Any] | None) -> Departure:
    """What the end of `socket` means, after a ``hub.close`` where one came: the table of section 7.

    A cut that swallowed the close frame (1006) has the code that ``hub.close`` announced.
    """
    code, reason = socket.close_code or 1006, socket.close_reason or ""
    window = None
    if notice is not None:
        announced = notice.get("code")
        if code in (1005, 1006) and type(announced) is int:
            code = announced
        reason = str(notice.get("reason") or reason)
        window = Window.of(notice.get("reconnect"))
    return Departure(then(code), reason or "the connection was cut", code, window)


def _of_response(response: Response) -> Departure:
    """What a refusal before the upgrade means: an HTTP status and a problem+json body."""
    status, problem = response.status_code, _problem(response)
    reason = f"HTTP {status}: {problem.get('detail') or response.reason_phrase}"
    if (
        status in (403, 404, 405) and "code" not in problem
    ):  # apps answer 403 to an upgrade that they don't know
        reason += ", and not by a hub: is it mounted elsewhere?"
    if status == 401:
        return Departure(Then.RENEW, reason, status)
    if status in (400, 403):
        return Departure(Then.STOP, reason, status)
    return Departure(Then.WINDOW, reason, status, _retry_after(response, problem))


def _retry_after(response: Response, problem: dict[str, Any]) -> Window | None:
    """Not before the hub says, and spread over as long again: the refused came together."""
    exact, header = problem.get("retry_after_ms"), response.headers.get("Retry-After") or ""
    if type(exact) is int and exact >= 0:
        seconds = exact / 1000
    elif header.isascii() and header.isdigit() and len(header) < 6:
        seconds = float(header)
    else:
        return None
    return Window(seconds, seconds + max(seconds, 1.0))


def _problem(response: Response) -> dict[str, Any]:
    """The problem+json body (RFC 9457), empty where there is none."""
    try:
        problem = loads_json(bytes(response.body or b""))
    except HubError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _again(reason: str) -> Departure:
    return Departure(Then.BACKOFF, reason)


def _first_line(error: BaseException) -> str:
    return (str(error) or "no detail").splitlines()[0][:200]
