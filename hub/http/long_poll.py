"""Long polling: a request for history that waits for the next event, counted as a connection meanwhile."""

import asyncio
import contextlib

from starlette.requests import Request

from ..commands.host import Entrance
from ..delivery.channel import Subscription
from ..delivery.outbox import Outbox
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.frames import Encoding
from ..protocol.position import Position

MOST_S = 60


class Bell:
    """Who listens here: it rings at the first event, and reads none. It is no connection, and has no cursor."""

    identity = acked = None

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    def write(self, _data: bytes) -> None:
        """`Sink.write`: something came."""
        self.rung.set()


def seconds(request: Request) -> int:
    """What ``wait=`` asks for; 0 where it asks for nothing.

    Raises:
        HubError: ``bad_message``.
    """
    text = request.query_params.get("wait", "0")
    if len(text) > 2 or not (text.isascii() and text.isdigit()) or int(text) > MOST_S:
        raise HubError(ErrorCode.BAD_MESSAGE, f"wait must be an integer of seconds up to {MOST_S}")
    return int(text)


async def wait_for_more(
    node: Entrance, request: Request, address: str, name: str, at: Position, seconds: int
) -> None:
    """Wait until the channel is no longer at the position `at`, so long at most, and no longer than the client.

    Raises:
        HubError: ``unavailable`` or ``limit``: there is no place for one more.
    """
    await node.admission.admit(address, returning=True)
    node.admission.opened(address)
    try:
        channel = await node.channels.acquire(name)
        bell = Bell()
        outbox = Outbox(bell, node.flushes, Encoding.NDJSON, node.settings.outbox_bytes, bell.rung.set)
        listener = Subscription(bell, outbox, channel)
        try:
            channel.go_live(listener, channel.top)
            if Position(channel.epoch, channel.top) == at:
                await _first(bell, request, seconds)
        finally:
            listener.end()
            channel.leave(listener)
            outbox.close()
            node.channels.release(channel)
    finally:
        node.admission.lost(address)


async def _first(bell: Bell, request: Request, seconds: int) -> None:
    """The bell, the end of the client, or of the time."""
    waiting = [asyncio.ensure_future(bell.rung.wait()), asyncio.ensure_future(_gone(request))]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
