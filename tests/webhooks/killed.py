"""A node that publishes as fast as it can until it is killed: ``python -m tests.webhooks.killed REDIS ENDPOINT N``.

It writes a line, ``channel offset``, for each event once that was answered as stored.
"""

import asyncio
import sys

from hub.broker.base import Published
from hub.broker.redis import intents
from hub.protocol.event import Publication
from hub.webhooks import courier

from .stage import node, table

CHANNELS, KEYS = 3, 2


def hurry() -> None:
    """A dead node's queue is another one's after a second, not after a minute."""
    courier.MINE_S, courier._GO_ON_S = 1.0, 0.3
    intents._FIRST_LOOK_S = 0.2


async def main(redis_url: str, endpoint: str, number: int) -> None:
    """Until the end."""
    hurry()
    async with node(redis_url, table(endpoint), number=number) as one:
        count = 0
        while True:
            count += 1
            channel, key = f"state:{count % CHANNELS}", f"k{count % KEYS}"
            publication = Publication(channel, "n", b'{"round":%d}' % number, "svc", key=key)
            (stored,) = await one.broker.publish([publication])
            if isinstance(stored, Published) and stored.position is not None:
                print(channel, stored.position.offset, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
