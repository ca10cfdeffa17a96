"""An HTTP stream begins: its welcome, and the channels that it asked for. It sends no commands later."""

import asyncio
from collections.abc import Sequence

from ..auth.identity import Identity
from ..connections.connection import Connection, about
from ..protocol.commands import Subscribe
from ..protocol.errors import HubError
from .authenticate import refuse, welcome
from .host import LetsIn
from .permissions import check_subscribe
from .subscribe import BATCH, subscribe


def check(node: LetsIn, identity: Identity, commands: Sequence[Subscribe]) -> None:
    """What makes a stream impossible for good.

    Raises:
        HubError: ``unknown_namespace`` or ``forbidden``, with the channel.
    """
    for command in commands:
        try:
            node.namespaces.of(command.channel)
            if command.token is None:
                check_subscribe(identity, command.channel)
        except HubError as error:
            raise about(command, error) from None


async def begin(
    node: LetsIn,
    connection: Connection,
    identity: Identity,
    commands: Sequence[Subscribe],
    *,
    resumable: bool,
) -> None:
    """Let a stream in and subscribe its channels. What fails ends it: nobody would ask again."""
    try:
        if node.application is not None:
            identity = await node.application.connect(connection, identity, renewal=False)
            if connection.closed:
                return
        node.enter(connection, identity, None)
    except HubError as error:
        refuse(connection, error)
        return
    connection.push(welcome(node, connection, identity, resumable=resumable))
    for at in range(0, len(commands), BATCH):
        batch = commands[at : at + BATCH]
        results = await asyncio.gather(*(_subscribe(node, connection, command) for command in batch))
        for failed in results:
            if failed is not None and not connection.closed:
                refuse(connection, failed)


async def _subscribe(node: LetsIn, connection: Connection, command: Subscribe) -> HubError | None:
    try:
        await subscribe(node, connection, command)
    except HubError as error:
        return about(command, error)
    return None
