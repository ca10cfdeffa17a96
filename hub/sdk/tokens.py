"""Where a client gets its token from, anew for each connection."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .errors import TokenRefused

Token = str | Callable[[], str | Awaitable[str]]


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
            return self._token
        async with asyncio.timeout(self._deadline):
            if inspect.iscoroutinefunction(self._token):
                value = await self._token()
            else:
                found = await asyncio.to_thread(self._token)
                value = await found if inspect.isawaitable(found) else found
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise TokenRefused("the token callable must return a non-empty string of printable ASCII")
        return value
