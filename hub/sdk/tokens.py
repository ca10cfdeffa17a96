"""Where a client gets its token from, anew for each connection."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .errors import TokenRefused

Token = str | Callable[[], str | Awaitable[str]]
SPREAD = 10.0  # seconds: the hub spreads its warnings, whoever asks a token endpoint spreads once more


def renewal_wait(elapsed: float, left: float, random: Callable[[], float]) -> float:
    """Seconds to wait with a renewal, told of the token's end, `elapsed` after it was accepted, with `left` to go.

    Not before half of its life is over (one that lives for less than a minute is warned of as soon as it is
    accepted), nor after its end.
    """
    half = max(1.0, (left - elapsed) / 2)
    return half + random() * max(0.0, min(SPREAD, (left - half) / 2))


class TokenSource:
    """A fixed token, or a callable (sync ones run in a thread: they may do a blocking request)."""

    def __init__(self, token: Token, deadline: float) -> None:
        self._token = token
        self._deadline = deadline

    @property
    def renewable(self) -> bool:
        """Whether asking again may bring another token."""
        return not isinstance(self._token, str)

    async def get(self) -> str:
        """A token.

        Raises:
            TokenRefused: the callable says itself that there is none to be had.
            Exception: whatever else it raised; TimeoutError after the deadline. Worth another try.
        """
        if isinstance(self._token, str):
            return _checked(self._token)
        async with asyncio.timeout(self._deadline):
            if inspect.iscoroutinefunction(self._token):
                value = await self._token()
            else:
                found = await asyncio.to_thread(self._token)
                value = await found if inspect.isawaitable(found) else found
        return _checked(value)


class NoToken(TokenSource):
    """For a client that shows a certificate in place of one."""

    def __init__(self) -> None:
        super().__init__("", 0.0)

    @property
    def renewable(self) -> bool:
        """A certificate that was renewed is read at the next connection."""
        return True

    async def get(self) -> str:
        """Nothing to send."""
        return ""


def _checked(token: object) -> str:
    """A token read from a file ends with a line end; what else can't travel in a header is never sent or told."""
    value = token.strip() if isinstance(token, str) else ""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise TokenRefused("a token is a non-empty string of printable ASCII without spaces")
    return value
