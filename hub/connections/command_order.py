"""Commands on one channel take effect in the order sent; those on different channels need not wait."""

import asyncio
from collections.abc import Sequence


class CommandPlace:
    """A command's place: `before` are the commands that it waits for."""

    __slots__ = ("before", "channels", "done")

    def __init__(self, channels: Sequence[str], before: Sequence[asyncio.Future[None]]) -> None:
        self.channels = channels
        self.before = before
        self.done: asyncio.Future[None] | None = None

    async def reached(self) -> None:
        """Wait until it is this command's turn."""
        for future in self.before:
            if not future.done():
                await future


class CommandOrder:
    """The commands of one connection that are under way; `len` is how many."""

    __slots__ = ("_last", "_pending")

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Future[None]] = {}
        self._pending = 0

    def __len__(self) -> int:
        return self._pending

    def enter(self, channels: Sequence[str]) -> CommandPlace:
        """A place after all commands on `channels` that came before."""
        place = CommandPlace(
            channels, [future for name in channels if (future := self._last.get(name)) is not None]
        )
        if channels:
            place.done = asyncio.get_running_loop().create_future()
            self._last.update(dict.fromkeys(channels, place.done))
        self._pending += 1
        return place

    def leave(self, place: CommandPlace) -> None:
        """The command is through, one way or the other."""
        self._pending -= 1
        if place.done is None:
            return
        for name in place.channels:
            if self._last.get(name) is place.done:
                del self._last[name]
        if not place.done.done():  # a task that waits for it and is cancelled at the end takes it along
            place.done.set_result(None)
