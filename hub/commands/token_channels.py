"""The channels that a token brings along: subscribed all at once, and tried again until each of them holds.

The plainest client sends no commands: what was away while it connected would be silent for the life of its
connection. Each is told by its own `hub.subscribed`, or first by a `hub.error` that says why it has to wait.
"""

import asyncio
import random
from collections.abc import Sequence

from ..connections.connection import Connection, about
from ..protocol.codes import ErrorCode
from ..protocol.commands import Subscribe
from ..protocol.errors import HubError
from ..runtime.backoff import REAL_TIME, Backoff
from ..runtime.first_step import together
from .host import Subscribes
from .subscribe import subscribe

AT_ONCE = 32  # channels of one connection that open at one time
PASSING = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL, ErrorCode.RATE_LIMITED})
MOST_S = 30.0  # between two tries, about


async def subscribe_by_token(node: Subscribes, connection: Connection, commands: Sequence[Subscribe]) -> None:
    """Subscribe each, and tell it. Returns once all have been tried; who has to wait goes on by itself."""
    if not commands:
        return
    connection.awaited = {*(connection.awaited or ()), *(command.channel for command in commands)}
    for at in range(0, len(commands), AT_ONCE):
        await together(_first(node, connection, each) for each in commands[at : at + AT_ONCE])


async def _first(node: Subscribes, connection: Connection, command: Subscribe) -> None:
    error = await _try(node, connection, command)
    if error is None:
        return
    connection.refuse(None, about(command, error))
    if error.code in PASSING:
        node.tasks.spawn(_until_it_holds(node, connection, command, error))
    else:
        connection.waits_no_more(command.channel)


async def _until_it_holds(
    node: Subscribes, connection: Connection, command: Subscribe, error: HubError | None
) -> None:
    """It was told once that it has to wait: from now on only what else is wrong is told."""
    backoff = Backoff(REAL_TIME, 1.0, MOST_S)
    while error is not None:
        if error.code not in PASSING:
            connection.refuse(None, about(command, error))
            connection.waits_no_more(command.channel)
            return
        await asyncio.sleep(random.uniform(0.5, 1.0) * (error.retry_after_ms or 0) / 1000 + backoff.next())
        if not connection.awaits(command.channel):
            return
        error = await _try(node, connection, command)


async def _try(node: Subscribes, connection: Connection, command: Subscribe) -> HubError | None:
    try:
        await subscribe(node, connection, command)
    except HubError as error:
        return error
    connection.waits_no_more(command.channel)
    return None
